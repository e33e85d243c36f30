"""Models with a latent or a likelihood: trains shipped configurations, scores them on test images, writes the tables.

    python benchmarks/likelihood_results.py                                  # all: trains what has no scores yet
    python benchmarks/likelihood_results.py --tables mnist --models vae_mnist  # one table, some models
    python benchmarks/likelihood_results.py --print                          # prints what is there

Three tables: negative log-likelihoods on MNIST (`lit-gen evaluate --metrics nll`), the disentanglement of a VAE and
a β-VAE on sprites over three seeds, and what an autoencoder's features are worth to a classifier with 100 labels per
class (`lit-gen diagnose`). Settings are the configurations'. A run that was interrupted goes on.
"""

import argparse
import csv
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from lit_gen.__main__ import main as command
from lit_gen.functional.bits_per_dim import bits_per_dim

MNIST = ("vae_mnist", "iwae_mnist", "nice_mnist", "realnvp_mnist", "glow_mnist")
BETAS, SEEDS = (1.0, 4.0), (0, 1, 2)
DISENTANGLEMENT = ("MIG", "disentanglement", "completeness", "informativeness", "FactorVAE")


def done(status: int) -> None:
    if status:
        sys.exit(status)


def trained(config: str, runs: Path, *settings: str) -> Path:
    """Trains a configuration, or goes on with it; returns the last checkpoint."""
    done(command(["fit", "--config", config, "--runs", str(runs), "--ckpt_path", "last", *settings]))
    return runs / Path(config).name / "version_0" / "checkpoints" / "last.ckpt"


def mnist(runs: Path, models: list[str]) -> None:
    """Trains models of MNIST, and scores them on the 10,000 test images."""
    for name in models:
        family = "flow" if (Path("configs") / "flow" / f"{name}.yaml").is_file() else "vae"
        scores = runs / name / "version_0" / "scores.json"
        if not scores.is_file():
            ckpt_path = trained(f"{family}/{name}", runs)
            done(command(["evaluate", "--ckpt_path", str(ckpt_path), "--metrics", "nll", "--output", str(scores)]))


def sprites(runs: Path) -> None:
    """Trains a VAE and a β-VAE on sprites with three seeds, and measures what their latents stand for."""
    for beta in BETAS:
        for seed in SEEDS:
            folder = runs / f"beta_{beta:g}_seed_{seed}"
            if not (folder / "disentanglement.csv").is_file():
                settings = (f"--model.beta={beta}", f"--seed_everything={seed}")
                ckpt_path = trained("vae/beta_vae_sprites", folder, *settings)
                done(command(["diagnose", "disentanglement", "--ckpt_path", str(ckpt_path), "--output", str(folder)]))


def features(runs: Path) -> None:
    """Trains an autoencoder without labels, and a classifier on what it has learnt."""
    if not (runs / "features" / "features_summary.csv").is_file():
        ckpt_path = trained("vae/autoencoder_mnist", runs)
        folder = str(runs / "features")
        done(command(["diagnose", "features", "--ckpt_path", str(ckpt_path), "--output", folder]))


def mnist_table(runs: Path) -> list[str]:
    lines = ["| model | nats per image | bits per dimension | of |", "| --- | ---: | ---: | --- |"]
    for name in MNIST:
        file = runs / name / "version_0" / "scores.json"
        if file.is_file():
            found = json.loads(file.read_text("utf-8"))
            nats, error = (found["metrics"][f"nll_{part}"] for part in ("mean", "std"))
            bits = float(bits_per_dim(torch.tensor(-nats, dtype=torch.float64), (1, 28, 28)))
            of = found["protocol"]["compared"].removeprefix("log-probability of ")
            lines.append(f"| {name} | {nats:.2f} ± {error:.2f} | {bits:.4f} | {of} |")
    return lines


def sprites_table(runs: Path) -> list[str]:
    lines = [f"| β | {' | '.join(DISENTANGLEMENT)} |", f"| --- |{' ---: |' * len(DISENTANGLEMENT)}"]
    for beta in BETAS:
        files = [runs / f"beta_{beta:g}_seed_{seed}" / "disentanglement.csv" for seed in SEEDS]
        found = [{row["score"]: float(row["mean"]) for row in rows(file)} for file in files if file.is_file()]
        if found:
            lines.append(
                f"| {beta:g} | {' | '.join(spread([one[name] for one in found]) for name in DISENTANGLEMENT)} |"
            )
    return lines


def features_table(runs: Path) -> list[str]:
    file = runs / "features" / "features_summary.csv"
    if not file.is_file():
        return []
    found = rows(file)
    return [f"| {' | '.join(found[0])} |", f"|{' --- |' * len(found[0])}"] + [
        f"| {' | '.join(row.values())} |" for row in found
    ]


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def spread(values: list[float]) -> str:
    """Returns mean and standard deviation (n − 1)."""
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


TABLES: dict[str, Callable[[Path], list[str]]] = {
    "mnist": mnist_table,
    "sprites": sprites_table,
    "features": features_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES), help="all by default")
    parser.add_argument("--models", nargs="*", default=list(MNIST), choices=MNIST, help="of MNIST; all by default")
    parser.add_argument("--runs", type=Path, default=Path("runs/likelihood_results"), help="where runs lie")
    parser.add_argument("--print", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    if not arguments.print:
        for name, work in {"features": features, "sprites": sprites}.items():
            if name in arguments.tables:
                work(arguments.runs)
        if "mnist" in arguments.tables:
            mnist(arguments.runs, arguments.models)
    for name in arguments.tables:
        print("\n".join([*TABLES[name](arguments.runs), ""]))


if __name__ == "__main__":
    main()
