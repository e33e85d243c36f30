"""Worlds of which everything is known, and translators in them; under gloo, scores these in two processes."""

__all__ = [
    "BothWays",
    "CPU",
    "OfAttributes",
    "OfDomains",
    "OfLabels",
    "Segmented",
    "Unpaired",
    "World",
    "found",
    "score",
]

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lit_gen.callbacks.scorers import JudgeScorer
from lit_gen.functional.noise import rand
from lit_gen.functional.quantize import from_uint8
from lit_gen.metrics.image_result import ImageResult
from lit_gen.metrics.judge_evaluator import JudgeEvaluator

CPU = torch.device("cpu")
PALETTE = torch.tensor([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
NAMES, GROUPS = ("ink=red", "ink=green", "ink=blue", "lamp"), ((0, 1, 2), (3,))


def painted(attributes: Tensor) -> Tensor:
    """Images [N, 3, 12, 12] of values in 0 … 255: the left half in an ink, the right half dark, or lit by a lamp."""
    ink, lamp = PALETTE[attributes[:, :3].argmax(1)], attributes[:, 3:].long() * 150 + 20
    left, right = ink[:, :, None, None].expand(-1, -1, 12, 6), lamp[:, :, None, None].expand(-1, 3, 12, 6)
    return torch.cat([left, right], dim=3)


class World:
    """Images of which everything is known, for each judge; a quarter of the test images are said to be of another ink.

    Sources are darker than images by 100.
    """

    name, image_shape, num_classes, class_names, paired = "world", (3, 12, 12), None, None, True
    attribute_names, attribute_groups, source_shape, num_segments = NAMES, GROUPS, (3, 12, 12), 3

    def __init__(self, num: int = 64) -> None:
        generator = torch.Generator().manual_seed(0)
        self.splits: dict[str, dict[str, Tensor]] = {}
        for split in ("train", "val", "test"):
            ink = torch.randint(0, 3, (num,), generator=generator)
            lamp = torch.randint(0, 2, (num,), generator=generator)
            attributes = torch.cat([nn.functional.one_hot(ink, 3), lamp[:, None]], dim=1).float()
            image = painted(attributes) + torch.randint(-20, 20, (num, 3, 12, 12), generator=generator)
            if split == "test":
                attributes[: num // 4, :3] = attributes[: num // 4, :3].roll(1, dims=1)
            label_map = torch.randint(0, 3, (num, 3, 3), generator=generator).repeat_interleave(4, 1)
            label_map = label_map.repeat_interleave(4, 2)
            label_map[:, 0] = 255
            self.splits[split] = {
                "image": image.clamp(0, 255).to(torch.uint8),
                "attributes": attributes,
                "label_map": label_map.to(torch.uint8),
            }

    def fingerprint(self, split: str) -> str:
        return hashlib.sha256(b"".join(x.numpy().tobytes() for x in self.splits[split].values())).hexdigest()

    def num_images(self, split: str) -> int:
        return len(self.splits[split]["image"])

    def segmentation(self, batch: Any) -> Tensor:
        return batch["label_map"]

    def batches(self, split: str, batch_size: int) -> Iterator[dict[str, Tensor]]:
        for index in torch.arange(self.num_images(split)).split(batch_size):
            yield {name: value[index] for name, value in self.splits[split].items()}


class Segmented(World):
    """Each class is an ink."""

    def batches(self, split: str, batch_size: int) -> Iterator[dict[str, Tensor]]:
        for batch in super().batches(split, batch_size):
            yield {**batch, "image": inks(batch["label_map"]) // 2 + batch["image"] // 8}


class Unpaired(World):
    """Sources are grey and dark, images light."""

    def batches(self, split: str, batch_size: int) -> Iterator[dict[str, Tensor]]:
        for batch in super().batches(split, batch_size):
            image = batch["image"] // 4
            yield {"image": image + 150, "source": image.flip(0) + 50}


def inks(label_map: Tensor) -> Tensor:
    return PALETTE[label_map.long().clamp(max=2)].permute(0, 3, 1, 2).to(torch.uint8)


class OfAttributes(nn.Module):
    """Repaints images as is wanted, or leaves them; knows the attributes in an order of its own."""

    attribute_names = ("lamp", "ink=blue", "ink=red", "ink=green")
    attribute_groups, changeable = ((0,), (1, 2, 3)), (0, 1, 2, 3)

    def __init__(self, idle: bool = False, sigma: float = 0.0) -> None:
        super().__init__()
        self.idle, self.sigma = idle, sigma

    def translate(self, batch: Any, generator: Any = None) -> Tensor:
        image, wanted = batch["image"], batch["wanted"]
        assert wanted.shape == batch["attributes"].shape == (len(image), 4)
        # Of one group, another value; of the other, what was there.
        moved = (wanted != batch["attributes"]).float()
        assert set(zip(moved[:, 0].tolist(), moved[:, 1:].sum(1).tolist(), strict=True)) in ({(1, 0)}, {(0, 2)})
        made = image if self.idle else from_uint8(painted(wanted[:, [2, 3, 1, 0]]))
        return made + self.sigma * rand(image.shape, generator, image.device)


class OfLabels(nn.Module):
    """Paints label maps; never sees the image."""

    def __init__(self, order: tuple[int, ...] = (0, 1, 2)) -> None:
        super().__init__()
        self.order = torch.tensor(order)

    def translate(self, batch: Any, generator: Any = None) -> Tensor:
        assert "image" not in batch
        return from_uint8(inks(self.order[batch["label_map"].long().clamp(max=2)]) // 2 + 8)


class OfDomains(nn.Module):
    """Makes sources lighter by some levels of 255."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def translate(self, batch: Any, generator: Any = None) -> Tensor:
        return batch["source"] + self.levels / 127.5


class BothWays(OfDomains):
    """Makes images darker by some levels, too, and loses some on the way."""

    def __init__(self, levels: int, lost: int = 0) -> None:
        super().__init__(levels)
        self.lost = lost

    def translate_back(self, batch: Any) -> Tensor:
        return batch["image"] - (self.levels + self.lost) / 127.5


def score(metric: str, model: Any, data: Any, **arguments: Any) -> ImageResult:
    scorer = JudgeScorer(JudgeEvaluator(metric, **arguments))
    scorer.prepare(model, data, CPU)
    (result,) = scorer.score(model, CPU, "raw")
    return result


def found(folder: Path) -> list[Any]:
    results = [
        score("attribute_accuracy", OfAttributes(sigma=1.5), World(), batch_size=24, cache_dir=str(folder)),
        score("segmentation", OfLabels((1, 0, 2)), Segmented(), batch_size=64, cache_dir=str(folder)),
        score("domain_accuracy", BothWays(60, 3), Unpaired(), batch_size=20, cache_dir=str(folder)),
    ]
    return [[dict(result.metrics), dict(result.real), result.protocol.hash] for result in results]


def _work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    # Each process has a cache of its own, as on two machines; of the 64 maps in one batch, the second gets none.
    (folder / f"{rank}.json").write_text(json.dumps(found(folder / str(rank))))
    dist.destroy_process_group()


if __name__ == "__main__":
    _work(int(sys.argv[1]), Path(sys.argv[2]))
