"""How many of StackedMNIST's 1,000 modes are found with a small budget: trains and prints the table.

    python benchmarks/stacked_results.py                                    # every method
    python benchmarks/stacked_results.py --methods r3gan --steps 1500       # one, in half the time

Networks are narrowed as in `gan_results.py`. Modes and KL are of 26,000 samples by averaged weights, as the classifier
of MNIST names their channels. A run that was interrupted goes on.
"""

import argparse
import csv
from pathlib import Path

import yaml
from gan_results import CONFIGS, LEARNING_RATES, done, narrowed

from lit_gen.__main__ import main as lit_gen

DATA, METHODS = "stacked_mnist", ("dcgan", "r3gan")


def train(name: str, steps: int, runs: Path) -> None:
    """Trains a method, if that is not done, and counts its modes four times on the way."""
    config = yaml.safe_load((CONFIGS / f"{name}_{DATA}.yaml").read_text("utf-8"))
    config = narrowed(config, steps, LEARNING_RATES.get(name))
    config["trainer"]["val_check_interval"] = max(1, steps // 4)
    runs.mkdir(parents=True, exist_ok=True)
    file = runs / f"{name}.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    done(lit_gen(["fit", "--config", str(file), "--runs", str(runs), "--ckpt_path", "last"]))


def table(runs: Path) -> str:
    """Returns modes and divergence over the steps of all runs as Markdown."""
    lines = ["| method | batches of 64 | modes of 1,000 | KL to uniform, nats |", "| --- | ---: | ---: | ---: |"]
    for path in sorted(runs.glob("*/version_0/metrics.csv")):
        with path.open() as file:
            rows = [row for row in csv.DictReader(file) if row.get("stacked/modes")]
        for row in rows:
            modes, kl = float(row["stacked/modes"]), float(row["stacked/kl"])
            lines.append(f"| {path.parent.parent.name} | {int(row['step']):,} | {modes:.0f} | {kl:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--steps", type=int, default=3000, help="training batches of 64 images")
    parser.add_argument("--runs", type=Path, default=Path("runs/stacked_results"), help="where runs lie")
    arguments = parser.parse_args()
    for name in arguments.methods:
        train(name, arguments.steps, arguments.runs)
    print(table(arguments.runs))


if __name__ == "__main__":
    main()
