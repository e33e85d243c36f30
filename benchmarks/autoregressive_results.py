"""Autoregressive models: trains shipped configurations, scores them on test images, writes the tables.

    python benchmarks/autoregressive_results.py                            # all: trains what has no scores yet
    python benchmarks/autoregressive_results.py --tables fashion --models pixelcnn row_lstm
    python benchmarks/autoregressive_results.py --print                    # prints what is there

Two tables: nats per image of dynamically binarised MNIST, with the configurations as they are; and bits per dimension
of Fashion-MNIST's 8-bit images, where each network is trained for about as long, not for as many images: their
number stands in the table. There all have the same mixtures of logistics for pixels but one, which has a softmax. A run
that was interrupted goes on.
"""

import argparse
import json
import sys
from pathlib import Path

import yaml

from lit_gen.__main__ import main as command

MNIST = ("diagonal_bilstm_mnist",)
BATCH_SIZE = 16
MIXTURE = "{class_path: LogisticMixturePixels, init_args: {components: 5}}"
# Of each: what it is, the configuration its network is from, its pixels, and the steps that ten minutes of one CPU core
# make of it.
FASHION = {
    "pixelcnn": ("PixelCNN", "pixelcnn_mnist", MIXTURE, 3200),
    "gated_pixelcnn": ("Gated PixelCNN", "gated_pixelcnn_mnist", MIXTURE, 3000),
    "gated_pixelcnn_softmax": ("Gated PixelCNN, softmax of 256", "gated_pixelcnn_mnist", "CategoricalPixels", 2600),
    "pixelcnnpp": ("PixelCNN++", "pixelcnnpp_fashion_mnist", MIXTURE, 750),
    "row_lstm": ("Row LSTM", "row_lstm_mnist", MIXTURE, 4500),
    "diagonal_bilstm": ("Diagonal BiLSTM", "diagonal_bilstm_mnist", MIXTURE, 2400),
    "multiscale": ("multi-scale", "multiscale_mnist", MIXTURE, 2000),
    "transformer": ("transformer", "transformer_mnist", MIXTURE, 1000),
}


def done(status: int) -> None:
    if status:
        sys.exit(status)


def scored(config: str, folder: Path, metric: str, *settings: str) -> None:
    """Trains a configuration, or goes on with it, and scores its last checkpoint, unless it has scores."""
    run = folder / config / "version_0"
    if not (run / "scores.json").is_file():
        fit = ["fit", "--config", f"autoregressive/{config}", "--runs", str(folder), "--ckpt_path", "last"]
        done(command([*fit, *settings]))
        ckpt_path, scores = str(run / "checkpoints" / "last.ckpt"), str(run / "scores.json")
        done(command(["evaluate", "--ckpt_path", ckpt_path, "--metrics", metric, "--output", scores]))


def fashion(runs: Path, models: list[str]) -> None:
    for name in models:
        _, config, pixels, steps = FASHION[name]
        settings = (
            *("--data", "FashionMNIST", "--data.batch_size", str(BATCH_SIZE), "--model.pixels", pixels),
            *("--trainer.max_steps", str(steps), "--trainer.val_check_interval", str(steps)),
            *("--model.schedule.init_args.total_steps", str(steps)),
            *("--evaluation.metrics", "[]", "--samples.every_n_steps", "0", "--samples.first", "false"),
            *("--checkpoint.monitor", "bpd/held_out"),
        )
        scored(config, runs / name, "bpd", *settings)


def read(run: Path, metric: str) -> str | None:
    """Returns a run's score and its error."""
    if not (run / "scores.json").is_file():
        return None
    found = json.loads((run / "scores.json").read_text("utf-8"))["metrics"]
    digits = 2 if metric == "nll" else 4
    return f"{found[f'{metric}_mean']:.{digits}f} ± {found[f'{metric}_std']:.{digits}f}"


def images(run: Path) -> str:
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    return f"{config['trainer']['max_steps'] * config['data']['init_args']['batch_size']:,}"


def mnist_table(runs: Path) -> list[str]:
    lines = ["| model | images | nats per image |", "| --- | ---: | ---: |"]
    for name in MNIST:
        run = runs / name / "version_0"
        if (score := read(run, "nll")) is not None:
            lines.append(f"| `{name}` | {images(run)} | {score} |")
    return lines


def fashion_table(runs: Path) -> list[str]:
    lines = ["| network | images | bits per dimension |", "| --- | ---: | ---: |"]
    for name, (label, config, _, _) in FASHION.items():
        run = runs / name / config / "version_0"
        if (score := read(run, "bpd")) is not None:
            lines.append(f"| {label} | {images(run)} | {score} |")
    return lines


TABLES = {"mnist": mnist_table, "fashion": fashion_table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES), help="all by default")
    parser.add_argument(
        "--models", nargs="*", default=list(FASHION), choices=list(FASHION), help="of Fashion-MNIST; all by default"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/autoregressive_results"), help="where runs lie")
    parser.add_argument("--print", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    if not arguments.print:
        if "mnist" in arguments.tables:
            for name in MNIST:
                scored(name, arguments.runs, "nll")
        if "fashion" in arguments.tables:
            fashion(arguments.runs, arguments.models)
    for name in arguments.tables:
        print("\n".join([*TABLES[name](arguments.runs), ""]))


if __name__ == "__main__":
    main()
