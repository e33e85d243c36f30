"""Every image method with one budget: trains the configurations of Fashion-MNIST, scores them, writes the table.

    python benchmarks/gan_results.py                          # trains what has no scores yet, then writes the table
    python benchmarks/gan_results.py --methods dcgan r3gan    # some only
    python benchmarks/gan_results.py --table                  # writes the table of what is there

Each method gets the same number of training batches, each of which is one step of its discriminator, and keeps its own
losses and optimizers, but for `LEARNING_RATES`; networks are narrowed to `SIZES`, so that all of it takes hours of one
core rather than days. Scores are of samples by averaged weights against the test split. `reference_loops.py` trains the
same networks by plain PyTorch, and adds its rows. A run that was interrupted goes on.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from lit_gen import configs
from lit_gen.__main__ import main as lit_gen

ROOT = Path(__file__).parent.parent
CONFIGS = Path(next(iter(configs.__path__))) / "gan"
DATA, BATCH, SAMPLES, METRICS = "fashion_mnist", 64, 5000, "fid,kid,is,pr"
# What makes the networks small enough for a CPU; `None` stands for networks that are not named here.
SIZES: dict[str | None, dict[str, int]] = {
    None: {"features": 32},
    "DenseGenerator": {},
    "DenseDiscriminator": {},
    "ResNetGenerator": {"features": 16},
    "ResNetDiscriminator": {"features": 16},
    "BigGANGenerator": {"features": 16},
    "BigGANDiscriminator": {"features": 16},
    "R3GANGenerator": {"features": 16, "max_features": 64, "blocks": 1},
    "R3GANDiscriminator": {"features": 16, "max_features": 64, "blocks": 1},
    "StyleGAN2Generator": {"features": 16, "max_features": 64, "style_dim": 64, "mapping_layers": 4},
    "StyleGAN2Discriminator": {"features": 16, "max_features": 64},
}
# Methods whose own configuration is for other data, with that configuration.
BORROWED = {
    "vanilla": "vanilla_mnist",
    "infogan": "infogan_mnist",
    "sagan": "sagan_cifar10",
    "diffaugment": "diffaugment_digits",
    "ada": "ada_digits",
    "lecam": "lecam_digits",
}
# Learning rates that suit networks this small, of methods whose own is for ones of another kind.
LEARNING_RATES = {"r3gan": 1e-3}
COLUMNS = {"FID": "fid", "KID": "kid_mean", "IS": "is_mean", "precision": "precision", "recall": "recall"}


def names() -> list[str]:
    """Lists the methods: those that have a configuration for the data, and those that lend one from other data."""
    return sorted([path.stem.removesuffix(f"_{DATA}") for path in CONFIGS.glob(f"*_{DATA}.yaml")] + list(BORROWED))


def narrowed(config: dict[str, Any], steps: int, lr: float | None = None) -> dict[str, Any]:
    """Returns a configuration with small networks, and perhaps another learning rate, for the common budget."""
    settings = config["model"].setdefault("init_args", {})
    if lr is not None:
        for role in ("generator", "discriminator"):
            settings[f"{role}_optimizer"]["init_args"]["lr"] = lr
    for role in ("generator", "discriminator"):
        network = settings.setdefault(role, f"DCGAN{role.capitalize()}")
        network = {"class_path": network} if isinstance(network, str) else network
        sizes = SIZES.get(network["class_path"], SIZES[None])
        settings[role] = {**network, "init_args": {**network.get("init_args", {}), **sizes}}
    config["trainer"] = {**config.get("trainer", {}), "max_steps": steps, "val_check_interval": steps}
    config["data"]["init_args"] = {**config["data"].get("init_args", {}), "batch_size": BATCH, "download": False}
    config["samples"] = {"every_n_steps": max(1, steps // 4), "num_samples": 60}
    config["checkpoint"] = {"every_n_train_steps": max(1, steps // 8)}
    return config


def train(name: str, steps: int, runs: Path) -> None:
    """Trains a method, if that is not done, and scores it."""
    folder = runs / name / "version_0"
    runs.mkdir(parents=True, exist_ok=True)
    file = runs / f"{name}.yaml"
    config = yaml.safe_load((CONFIGS / f"{BORROWED.get(name, f'{name}_{DATA}')}.yaml").read_text("utf-8"))
    if name in BORROWED:
        config["data"] = {"class_path": "FashionMNIST"}
    config["evaluation"] = {"metrics": []}
    config = narrowed(config, steps, LEARNING_RATES.get(name))
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    done(lit_gen(["fit", "--config", str(file), "--runs", str(runs), "--ckpt_path", "last"]))
    scores = folder / "scores.json"
    scores.unlink(missing_ok=True)
    arguments = ("--ckpt_path", str(folder), "--metrics", METRICS, "--num_samples", str(SAMPLES))
    done(lit_gen(["evaluate", *arguments, "--output", str(scores)]))
    result = {**json.loads(scores.read_text()), "steps": steps}
    scores.write_text(json.dumps(result, indent=2) + "\n")


def done(status: int) -> None:
    if status:
        sys.exit(status)


def table(runs: Path) -> str:
    """Returns the scores of all runs as Markdown, the best FID first."""
    rows = [(path.parent.parent.name, json.loads(path.read_text())) for path in runs.glob("*/version_0/scores.json")]
    rows.sort(key=lambda row: row[1]["metrics"]["fid"])
    lines = [f"| method | {' | '.join(COLUMNS)} |", "| --- |" + " ---: |" * len(COLUMNS)]
    for name, found in rows:
        cells = [f"{found['metrics'][key]:.3g}" for key in COLUMNS.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def pictures(runs: Path, folder: Path) -> None:
    """Copies each run's last grid of samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for run in sorted(runs.glob("*/version_0")):
        grids = sorted((run / "samples").glob("*.png"))
        if grids and (run / "scores.json").is_file():
            shutil.copyfile(grids[-1], folder / f"{run.parent.name}_{DATA}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=names(), choices=names(), help="all by default")
    parser.add_argument("--steps", type=int, default=1500, help="training batches of 64 images")
    parser.add_argument("--runs", type=Path, default=Path("runs/gan_results"), help="where runs lie")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--pictures", type=Path, help="a folder that the last grids are copied to")
    arguments = parser.parse_args()
    if not arguments.table:
        for name in arguments.methods:
            if not (arguments.runs / name / "version_0" / "scores.json").is_file():
                train(name, arguments.steps, arguments.runs)
    if arguments.pictures:
        pictures(arguments.runs, arguments.pictures)
    print(table(arguments.runs))


if __name__ == "__main__":
    main()
