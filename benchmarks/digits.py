"""What the demonstration claims: scores of the trained generator beside the untrained one's, and every digit's share.

    python benchmarks/digits.py runs/dcgan_digits

Prints FID[classifier] to the test split of both, their ratio, how 1,000 samples fall on the ten classes by the
classifier, and where the run's pictures and logs lie. Ends with status 1 if a claim of the README does not hold: the
FID at most a tenth of the untrained generator's, every class at least 3 %.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from lit_gen.callbacks.sampling import draw
from lit_gen.commands.runs import find_checkpoint
from lit_gen.metrics import Evaluator
from lit_gen.metrics.extractors import Classifier
from lit_gen.training.loading import build_data, build_model, load_model, read_checkpoint

NUM_SAMPLES, SEED = 1000, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default="runs/dcgan_digits", help="the runs of a configuration, or one run")
    folder = Path(parser.parse_args().run)
    runs = sorted(folder.glob("version_*"), key=lambda run: int(run.name.split("_")[1]))
    folder = runs[-1] if runs else folder
    checkpoint = read_checkpoint(find_checkpoint(str(folder), folder.parent))
    data = build_data(checkpoint)
    torch.manual_seed(SEED)
    trained, untrained = load_model(checkpoint), build_model(checkpoint).eval()

    evaluator = Evaluator(Classifier(), metrics=("fid",), num_samples=NUM_SAMPLES)
    evaluator.prepare(data)

    def images(model: torch.nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        for index in evaluator.indices():
            yield index, draw(model, SEED, index.tolist())

    fid = {
        name: evaluator.evaluate(images(model)).metrics["fid"]
        for name, model in {"trained": trained, "untrained": untrained}.items()
    }
    logits = [evaluator.extractor(image).logits for _, image in images(trained)]
    shares = torch.cat(logits).argmax(1).bincount(minlength=data.num_classes) / NUM_SAMPLES

    print(
        f"fid[classifier] to the test split, {NUM_SAMPLES} samples: {fid['trained']:.2f}; untrained generator: "
        f"{fid['untrained']:.2f}; ratio {fid['trained'] / fid['untrained']:.4f}"
    )
    print("share of each class: " + "  ".join(f"{i}: {share:.1%}" for i, share in enumerate(shares.tolist())))
    print(f"sample grid   {sorted((folder / 'samples').glob('*.png'))[-1]}")
    print(f"scores        {folder / 'metrics.csv'} and {folder / 'evaluation'}")
    print(f"TensorBoard   tensorboard --logdir {folder.parent}")
    if fid["trained"] > fid["untrained"] / 10 or shares.min() < 0.03:
        sys.exit(1)


if __name__ == "__main__":
    main()
