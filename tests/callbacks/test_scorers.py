"""What networks recognise in translations: perfect and idle translators, whose scores are known."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_gen.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
import judged
from judged import BothWays, OfAttributes, OfDomains, OfLabels, Segmented, Unpaired, World, found, score


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LIT_GEN_CACHE", str(folder))
        yield folder


def test_what_an_idle_translator_changes_and_keeps() -> None:
    result = score("attribute_accuracy", OfAttributes(idle=True), World())
    scores, real = result.metrics, result.real
    # A quarter is said to be of another ink: of these the classifier of real images sees what is really there.
    assert real == {"changed_mean": 0.875, "kept_mean": 0.875, "changed/ink": 0.75, "changed/lamp": 1.0,
                    "kept/ink": 1.0, "kept/lamp": 0.75}  # fmt: skip
    assert {name: value for name, value in scores.items() if "kept" in name and not name.endswith("_std")} == {
        name: value for name, value in real.items() if "kept" in name
    }
    # Of a wrong ink, the other two are wanted alike: half of the quarter happens to be there.
    assert scores["changed/lamp"] == 0 and 0.05 < scores["changed/ink"] < 0.2
    assert scores["changed_mean"] == scores["changed/ink"] / 2
    share = scores["changed/ink"]
    assert scores["changed/ink_std"] == pytest.approx((share * (1 - share) / 63) ** 0.5)


def test_a_perfect_translator_is_recognised_whatever_the_order_of_its_attributes() -> None:
    result = score("attribute_accuracy", OfAttributes(), World())
    assert {value for name, value in result.metrics.items() if not name.endswith("_std")} == {1.0}
    assert result.protocol.settings["attribute_accuracy"]["changed"] == ["ink", "lamp"]


def test_every_other_value_is_wanted_and_by_seed() -> None:
    class Recorder(OfAttributes):
        def translate(self, batch: Any, generator: Any = None) -> Tensor:
            seen.append(batch["wanted"])
            return super().translate(batch, generator)

    seen: list[Tensor] = []
    score("attribute_accuracy", Recorder(), World(), batch_size=64)
    first, again = seen[0], World().splits["test"]["attributes"]
    own, wanted = again[:, :3].argmax(1), first[:, [2, 3, 1]].argmax(1)
    steps = (wanted - own) % 3
    assert set(steps.tolist()) == {1, 2} and 16 < int((steps == 1).sum()) < 48
    score("attribute_accuracy", Recorder(), World(), batch_size=10)
    assert torch.equal(torch.cat(seen[2::2]), first)
    score("attribute_accuracy", Recorder(), World(), batch_size=64, seed=1)
    assert not torch.equal(seen[-2], first)


def test_label_maps_are_found_where_they_are_painted() -> None:
    data = Segmented()
    perfect = score("segmentation", OfLabels(), data)
    assert perfect.metrics["segmentation_accuracy_mean"] == pytest.approx(1.0, abs=0.01)
    assert perfect.real["segmentation_accuracy_mean"] == pytest.approx(1.0, abs=0.01)
    # With two inks swapped, right is what is of the third.
    swapped = score("segmentation", OfLabels((1, 0, 2)), data)
    label_map = data.splits["test"]["label_map"]
    share = float((label_map == 2).sum() / (label_map != 255).sum())
    assert swapped.metrics["segmentation_accuracy_mean"] == pytest.approx(share, abs=0.01)
    assert swapped.metrics["segmentation_iou_mean"] == pytest.approx(1 / 3, abs=0.01)
    assert (
        swapped.protocol == perfect.protocol
        and "segmentation_accuracy[recognition]  1 ± 0, real images 0.9" in perfect.table()
    )


def test_domains_and_cycles() -> None:
    data = Unpaired()
    perfect = score("domain_accuracy", BothWays(100), data)
    assert perfect.metrics == {
        **{"domain_accuracy_mean": 1.0, "domain_accuracy_std": 0.0, "domain_accuracy_back_mean": 1.0},
        **{"domain_accuracy_back_std": 0.0, "cycle_psnr_mean": 100.0, "cycle_psnr_std": 0.0},
    }
    assert perfect.real == {"domain_accuracy_mean": 1.0, "domain_accuracy_back_mean": 1.0}
    idle = score("domain_accuracy", BothWays(0), data).metrics
    assert (idle["domain_accuracy_mean"], idle["domain_accuracy_back_mean"], idle["cycle_psnr_mean"]) == (0, 0, 100)
    lossy = score("domain_accuracy", BothWays(100, lost=5), data).metrics
    assert lossy["cycle_psnr_mean"] == pytest.approx(20 * torch.tensor(255 / 5).log10().item())
    assert set(score("domain_accuracy", OfDomains(100), data).metrics) == {
        "domain_accuracy_mean",
        "domain_accuracy_std",
    }


def test_a_cycle_goes_through_eight_bits() -> None:
    class Steganographer(OfDomains):
        """Hides a source in the last thousandth of a white image."""

        def translate(self, batch: Any, generator: Any = None) -> Tensor:
            return 1 - 1e-3 + 1e-3 * batch["source"]

        def translate_back(self, batch: Any) -> Tensor:
            return (batch["image"] - 1 + 1e-3) * 1e3

    assert score("domain_accuracy", Steganographer(0), Unpaired()).metrics["cycle_psnr_mean"] < 12


def test_networks_are_trained_once(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        first = score("segmentation", OfLabels(), Segmented(48))
        assert "Trained it" in caplog.text
        caplog.clear()
        assert score("segmentation", OfLabels(), Segmented(48)).metrics == first.metrics and not caplog.text
        other = score("segmentation", OfLabels(), Segmented(32))
    assert "Trained it" in caplog.text
    hashes = [result.protocol.settings["segmentation"]["sha256"] for result in (first, other)]
    assert hashes[0] != hashes[1]


def test_one_clear_line() -> None:
    data = World()
    data.num_segments = None  # type: ignore[assignment]
    for metric, model, line in (
        (
            "segmentation",
            OfLabels(),
            "segmentation needs the label maps of images, which these data do not have; leave",
        ),
        ("attribute_accuracy", OfLabels(), "OfLabels changes no attributes, which attribute_accuracy would be of"),
        ("segmentation", nn.Identity(), "Identity does not translate, and segmentation judges translations"),
    ):
        with pytest.raises(UserError, match=line):
            score(metric, model, data)
    data.attribute_names = ("ink=red", "ink=green", "ink=black", "lamp")  # type: ignore[assignment]
    with pytest.raises(UserError, match="the model changes ink=blue, and the data do not know of it"):
        score("attribute_accuracy", OfAttributes(), data)
    data.source_shape = (1, 12, 12)
    with pytest.raises(UserError, match="sources have 1 channels and images 3"):
        score("domain_accuracy", OfDomains(1), data)
    with pytest.raises(UserError, match="translations hold NaN"):
        score("domain_accuracy", OfDomains(torch.nan), Unpaired())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="has 64 images, from which 65 cannot be taken"):
        score("domain_accuracy", OfDomains(1), Unpaired(), num_real=65)


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    environment = {**os.environ, **address, "RANK": "0", "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen([sys.executable, judged.__file__, str(rank), str(tmp_path)], env=environment)
        for rank in range(2)
    ]
    try:
        alone = json.loads(json.dumps(found(tmp_path / "alone")))
        assert [process.wait(timeout=300) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    assert all(json.loads((tmp_path / f"{rank}.json").read_text()) == alone for rank in range(2))
    assert 0.3 < alone[0][0]["changed/ink"] < 1  # noise that matters
