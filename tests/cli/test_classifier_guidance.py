"""Guidance by a classifier at the command line: of samples, of an evaluation, and of a run's own evaluations."""

import json
from pathlib import Path

import numpy
import pytest


@pytest.fixture(scope="module")
def diffusion(fit_diffusion):
    """A run of an unconditional diffusion model, scored with guidance."""
    return fit_diffusion("--evaluation.classifier_guidance", 2)


def test_a_run_is_scored_with_guidance_and_its_protocol_says_so(diffusion):
    (path,) = (diffusion / "evaluation").glob("step_*.json")
    assert json.loads(path.read_text())["protocol"]["weights"] == "ema, classifier guidance 2"


def test_samples_of_classes_that_the_model_does_not_know(lit_gen, diffusion):
    def sampled(*arguments: object) -> numpy.ndarray:
        said = lit_gen("sample", "--ckpt_path", diffusion, "--num_samples", 6, "--output", "x.npz", *arguments)
        assert said.status == 0, said.err
        return numpy.load("x.npz")

    guide = ("--classifier_guidance", 3)
    free, eights, again = sampled(), sampled(*guide, "--label", 8), sampled(*guide, "--label", 8, "--batch_size", 2)
    assert "labels" not in free and eights["labels"].tolist() == [8] * 6
    assert numpy.abs(eights["images"].astype(int) - again["images"]).max() <= 1
    assert not numpy.array_equal(free["images"], eights["images"])
    assert sampled(*guide)["labels"].tolist() == [0, 1, 2, 3, 4, 5]


def test_evaluate_names_it_and_scores_classes(lit_gen, diffusion):
    short = ("--num_samples", 40, "--device", "cpu", "--output", "x.json")
    said = lit_gen(
        "evaluate",
        "--ckpt_path",
        diffusion,
        "--metrics",
        "fid,fid_class,class_accuracy",
        *short,
        "--classifier_guidance",
        2,
    )
    assert said.status == 0, said.err
    assert "ema weights, classifier guidance 2" in said.out
    result = json.loads(Path("x.json").read_text())
    assert result["protocol"]["weights"] == "ema, classifier guidance 2" and "fid_class/3" in result["metrics"]
    assert 0 <= result["metrics"]["class_accuracy_mean"] <= 1
    said = lit_gen("evaluate", "--ckpt_path", diffusion, "--metrics", "fid", *short)
    free = json.loads(Path("x.json").read_text())
    assert free["protocol"]["weights"] == "ema" and free["metrics"]["fid"] != result["metrics"]["fid"]


def test_what_cannot_be_is_one_line(lit_gen, diffusion, trained):
    for run, value, message in (
        (trained, 2, "GAN's samples cannot be guided by a classifier"),
        (diffusion, 0, "classifier_guidance is 0.0, and must be above 0"),
    ):
        said = lit_gen("sample", "--ckpt_path", run, "--output", "y.png", "--classifier_guidance", value)
        assert said.status == 2 and message in said.err
    arguments = ("--ckpt_path", diffusion, "--metrics", "bpd", "--device", "cpu", "--classifier_guidance", 2)
    said = lit_gen("evaluate", *arguments)
    assert said.status == 2 and "none of these metrics looks at" in said.err
