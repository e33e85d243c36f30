"""The shipped configuration of the Gaussian bump trains until its moments are right."""

import csv
from pathlib import Path

import pytest


def test_the_bump_is_found_where_it_is(lit_gen) -> None:
    said = lit_gen("fit", "--config", "gan/vanilla_gaussian", "--trainer.accelerator", "cpu")
    assert said.status == 0, said.err
    run = Path("runs/vanilla_gaussian/version_0")
    with (run / "metrics.csv").open() as file:
        last = [row for row in csv.DictReader(file) if row["points/kl"]][-1]
    assert last["step"] == "1500"
    assert float(last["points/mean_error"]) < 0.1
    assert float(last["points/covariance_error"]) < 0.2
    # 10,000 points of the truth have 0.034 by the bias of the estimate.
    assert float(last["points/kl"]) < 0.15
    assert float(last["points/modes"]) == 1 and float(last["points/high_quality"]) == pytest.approx(0.989, abs=0.02)
