"""Translation on sprites: trains the shipped configurations, scores them on the test split, writes the table.

    python benchmarks/translation_results.py                        # trains what has no scores yet, then prints
    python benchmarks/translation_results.py --methods pix2pix      # some only
    python benchmarks/translation_results.py --table                # prints what is there
    python benchmarks/translation_results.py --edit FILE.png        # draws label maps, edited ones, and SPADE's images

Beside the scores of pairs stands the best that one colour per class can do: medians of the training images, which no
other constants beat in L1 on these. A run that was interrupted goes on.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lit_gen
from lit_gen.__main__ import main as command
from lit_gen.datamodules import Sprites
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.label_colours import label_colours
from lit_gen.functional.png import write_png
from lit_gen.functional.quantize import to_uint8

NPZ = "lpc_sprites/sprites64.npz"
# What each method's scores are, and settings of the data that hold for scoring alone.
METHODS: dict[str, tuple[str, list[str]]] = {
    "pix2pix": ("l1,psnr,segmentation", []),
    "spade": ("l1,psnr,segmentation", []),
    "cyclegan": ("domain_accuracy", []),
    "cut": ("domain_accuracy", []),
    "fastcut": ("domain_accuracy", []),
    "stargan": ("attribute_accuracy", ["--data.attributes", "null"]),
}
SHOES, BODY, TOPWEAR, HAIR = 5, 1, 3, 4


def train(name: str, runs: Path) -> None:
    """Trains a method, if that is not done, and scores it."""
    metrics, settings = METHODS[name]
    folder = runs / f"{name}_sprites" / "version_0"
    done(command(["fit", "--config", f"translation/{name}_sprites.yaml", "--runs", str(runs), "--ckpt_path", "last"]))
    scores = ["--metrics", metrics, "--output", str(folder / "scores.json"), *settings]
    (folder / "scores.json").unlink(missing_ok=True)
    done(command(["evaluate", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt"), *scores]))


def done(status: int) -> None:
    if status:
        sys.exit(status)


def baseline() -> float:
    """Returns the L1 distance in [0, 1] of test images to each class's median colour in the training images."""
    data = Sprites(path=NPZ, kind="label_maps")
    data.prepare_data()
    data.setup("fit")

    def whole(split: str) -> tuple[Tensor, Tensor]:
        batches = list(data.batches(split, 1024))
        return tuple(torch.cat([batch[key] for batch in batches]) for key in ("image", "label_map"))  # type: ignore[return-value]

    (image, label_map), (test, test_map) = whole("train"), whole("test")
    painted = torch.zeros_like(test)
    for label in label_map.unique().tolist():
        colour = image.movedim(1, -1)[label_map == label].float().median(dim=0).values.to(torch.uint8)
        painted = torch.where((test_map == label)[:, None], colour[:, None, None], painted)
    return float((painted.float() - test.float()).abs().mean() / 255)


def table(runs: Path) -> str:
    """Returns the scores of all runs as Markdown."""
    lines = ["| run | score | test images | real test images |", "| --- | --- | ---: | ---: |"]
    for name in METHODS:
        file = runs / f"{name}_sprites" / "version_0" / "scores.json"
        if not file.is_file():
            continue
        found = json.loads(file.read_text("utf-8"))
        for result in (found, *found.get("more", [])):
            lines += rows(name, result)
    lines.append(f"| one colour per class | l1_mean | {baseline():.4f} | |")
    return "\n".join(lines)


def rows(name: str, result: dict[str, Any]) -> list[str]:
    real: dict[str, float] = result.get("real", {})
    kept = {score: value for score, value in result["metrics"].items() if not score.endswith("_std")}
    return [
        f"| {name} | {score} | {value:.4g} | {f'{real[score]:.4g}' if score in real else ''} |"
        for score, value in kept.items()
    ]


@torch.no_grad()
def edit(checkpoint: Path, file: Path) -> None:
    """Draws four label maps, what the model makes of them, the maps edited, and what it makes of these."""
    model: Any = lit_gen.load(checkpoint)
    data = Sprites(path=NPZ, kind="label_maps")
    data.prepare_data()
    data.setup("test")
    label_map = next(iter(data.batches("test", 200)))["label_map"][::50].long()
    columns = [label_map, *edits(label_map)]
    rows = []
    for maps in zip(*columns, strict=True):
        for one in maps:
            made = to_uint8(model.translate({"label_map": one[None]}))[0]
            rows += [label_colours(one[None])[0], made]
    write_png(image_grid(torch.stack(rows), columns=2 * len(columns)), file)


def edits(label_map: Tensor) -> list[Tensor]:
    """Returns label maps without topwear, and with hair eight pixels longer than it was."""
    bare = torch.where(label_map == TOPWEAR, BODY, label_map)
    hair = label_map == HAIR
    longer = torch.stack([torch.roll(hair, down, dims=1) for down in range(1, 9)]).any(dim=0)
    return [bare, torch.where(longer & ~hair & (label_map != SHOES), HAIR, label_map)]


def pictures(runs: Path, folder: Path) -> None:
    """Copies each run's last grid."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in METHODS:
        grids = sorted((runs / f"{name}_sprites" / "version_0" / "samples").glob("*.png"))
        if grids:
            shutil.copyfile(grids[-1], folder / f"{name}_sprites.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS), help="all by default")
    parser.add_argument("--runs", type=Path, default=Path("runs/translation_results"), help="where runs lie")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--pictures", type=Path, help="a folder that the last grids are copied to")
    parser.add_argument("--edit", type=Path, help="where SPADE's picture of edited label maps is written")
    arguments = parser.parse_args()
    if not (arguments.table or arguments.edit):
        for name in arguments.methods:
            if not (arguments.runs / f"{name}_sprites" / "version_0" / "scores.json").is_file():
                train(name, arguments.runs)
    if arguments.pictures:
        pictures(arguments.runs, arguments.pictures)
    if arguments.edit:
        edit(arguments.runs / "spade_sprites" / "version_0" / "checkpoints" / "last.ckpt", arguments.edit)
        return
    print(table(arguments.runs))


if __name__ == "__main__":
    main()
