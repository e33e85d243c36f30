"""Seconds and memory of an evaluation, ours over torch-fidelity's, with the values of both.

    python benchmarks/evaluate.py --num 2000 --repeats 3      # hours of a CPU: mostly torch-fidelity's
    python benchmarks/evaluate.py --num 100 --repeats 1       # minutes, for a first look

FID, IS, KID, precision and recall of N generated against N real images of Fashion-MNIST (random ones where there are no
data), through Inception with the same random weights. Generated ones are test images, darkened; real ones are those of
the validation split. Three contestants take turns, each in a fresh process: torch-fidelity, lit_gen without statistics
of the real images, and lit_gen with those of its run before. Times are from the first image to the last score, without
imports; peak memory is the process's, and what of it is not the libraries that either imports. Ends with status 1 if
values differ by more than 1e-4 relatively.
`--goals` also asks for the project's goals: twice as fast, 3.5 times with cached statistics, half the memory, with
imports.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONTESTANTS = ("torch-fidelity", "lit_gen", "lit_gen, cached")
NAMES = {
    "fid": "frechet_inception_distance",
    "kid_mean": "kernel_inception_distance_mean",
    "kid_std": "kernel_inception_distance_std",
    "is_mean": "inception_score_mean",
    "is_std": "inception_score_std",
    "precision": "precision",
    "recall": "recall",
}
WEIGHTS, IMAGES = "inception.pth", "images.pt"


def make(folder: Path, num: int) -> str:
    """Writes images and weights; returns what the images are."""
    import torch

    from lit_gen.datamodules import FashionMNIST
    from lit_gen.errors import UserError

    generator = torch.Generator().manual_seed(0)
    try:
        data = FashionMNIST(val_size=max(num, 1000))
        splits = [next(iter(data.batches(split, num)))["image"] for split in ("val", "test")]
        source = "Fashion-MNIST"
    except (UserError, OSError):
        splits = [torch.randint(0, 256, (num, 1, 28, 28), generator=generator, dtype=torch.uint8) for _ in range(2)]
        source = "random images"
    real, fake = splits[0], splits[1] // 4 * 3
    assert len(real) == len(fake) == num, f"there are not {num} images"
    torch.save({"real": real, "fake": fake}, folder / IMAGES)
    torch.save(weights(real[:32].expand(-1, 3, -1, -1), generator), folder / WEIGHTS)
    return source


def weights(image: Any, generator: Any) -> dict[str, Any]:
    """Returns random weights that tell images apart: He's rule, and batch-norm statistics of images."""
    import io

    import torch
    from torch import nn
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: object, **__: object) -> None:
            """Keeps what it was initialised with."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network = Blank("blank", ["logits_unbiased"], feature_extractor_weights_path=nothing)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            gain = 8.0 if isinstance(module, nn.Linear) else 2.0  # logits that differ enough for a score above 1
            module.weight.data.normal_(0.0, (gain / module.weight[0].numel()) ** 0.5, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(image)
    found: dict[str, Any] = network.state_dict()
    return found


def theirs(folder: Path, num: int, cuda: bool) -> dict[str, Any]:
    """Runs torch-fidelity; returns scores and seconds."""
    import torch
    import torch_fidelity
    from torch import Tensor
    from torch.utils.data import Dataset

    image = torch.load(folder / IMAGES)

    class Images(Dataset[Tensor]):
        def __init__(self, name: str) -> None:
            self.image = image[name].expand(-1, 3, -1, -1)

        def __len__(self) -> int:
            return len(self.image)

        def __getitem__(self, index: int) -> Tensor:
            return self.image[index]  # type: ignore[no-any-return]

    what = dict.fromkeys(("fid", "isc", "kid", "prc"), True)
    imported, start = peak(), time.perf_counter()
    scores = torch_fidelity.calculate_metrics(
        input1=Images("fake"),
        input2=Images("real"),
        cuda=cuda,
        cache=False,
        verbose=False,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=folder / WEIGHTS,
        rng_seed=0,
        kid_subset_size=min(1000, num // 2),
        save_cpu_ram=True,
        **what,
    )
    seconds = time.perf_counter() - start
    return {"scores": {ours: scores[name] for ours, name in NAMES.items()}, "seconds": seconds, "imported": imported}


def ours(folder: Path, num: int, cuda: bool) -> dict[str, Any]:
    """Runs lit_gen; returns scores, seconds and their parts."""
    import hashlib

    import torch

    from lit_gen.metrics import Evaluator
    from lit_gen.metrics.extractors import InceptionV3

    image = torch.load(folder / IMAGES)

    class Real:
        """The real images, as a datamodule has them."""

        name, num_classes, class_names, image_shape = "benchmark", None, None, (1, 28, 28)

        def fingerprint(self, split: str) -> str:
            return hashlib.sha256(image["real"].numpy().tobytes()).hexdigest()

        def num_images(self, split: str) -> int:
            return len(image["real"])

        def batches(self, split: str, batch_size: int) -> Iterator[dict[str, Any]]:
            for index in torch.arange(len(image["real"])).split(batch_size):
                yield {"image": image["real"][index], "index": index}

    imported, start = peak(), time.perf_counter()
    evaluator = Evaluator(
        InceptionV3(str(folder / WEIGHTS)),
        ("fid", "is", "kid", "pr"),
        num,
        kid_subset_size=min(1000, num // 2),
        cache_dir=str(folder / "cache"),
    )
    evaluator.prepare(Real(), "cuda" if cuda else "cpu")
    result = evaluator.evaluate(image["fake"].split(128), weights="real")
    seconds = time.perf_counter() - start
    parts = dict(result.seconds)
    return {"scores": dict(result.metrics), "seconds": seconds, "imported": imported, "parts": parts}


def measure(contestant: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Runs a contestant in a process of its own."""
    if contestant == "lit_gen":
        shutil.rmtree(folder / "cache", ignore_errors=True)
    command = [sys.executable, __file__, "--num", str(options.num), "--run", contestant, "--folder", str(folder)]
    if options.cpu:
        command.append("--cpu")
    if options.threads:
        command += ["--threads", str(options.threads)]
    # Numpy's and scipy's libraries have threads of their own.
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **threads})
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(options: argparse.Namespace) -> None:
    """Prints what a contestant found, as the last line."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    cuda = torch.cuda.is_available() and not options.cpu
    found = (theirs if options.run == CONTESTANTS[0] else ours)(options.folder, options.num, cuda)
    found["memory"] = peak()
    found["device_memory"] = torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0
    print(json.dumps(found))


def peak() -> float:
    """Returns the most memory in gigabytes that the process has had."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would tell the parent's, where that had more when it forked
        lines = status.read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # Linux tells kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def difference(a: dict[str, float], b: dict[str, float]) -> float:
    """Returns the largest relative difference of two sets of scores; a deviation's is relative to its mean."""
    return max(abs(a[name] - b[name]) / max(abs(b[name.replace("_std", "_mean")]), 1e-9) for name in NAMES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=2000, help="generated images, and as many real ones")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="torch's threads; all cores by default")
    parser.add_argument("--cpu", action="store_true", help="do not use CUDA")
    parser.add_argument("--goals", action="store_true", help="fail if a goal of the project is not met")
    parser.add_argument("--run", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        child(options)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make(folder, options.num)
        print(f"{options.num} + {options.num} of {source}, {options.threads or os.cpu_count()} threads", flush=True)
        found: dict[str, list[dict[str, Any]]] = {contestant: [] for contestant in CONTESTANTS}
        for _ in range(options.repeats):
            for contestant in CONTESTANTS:
                found[contestant].append(measure(contestant, folder, options))
    seconds = {it: statistics.median(run["seconds"] for run in runs) for it, runs in found.items()}
    memory = {it: statistics.median(run["memory"] for run in runs) for it, runs in found.items()}
    own = {it: statistics.median(run["memory"] - run["imported"] for run in runs) for it, runs in found.items()}
    for contestant, runs in found.items():
        parts = "  ".join(f"{part} {value:.1f}" for part, value in runs[-1].get("parts", {}).items())
        device = f"  device {runs[-1]['device_memory']:.2f} GB" if runs[-1]["device_memory"] else ""
        print(
            f"{contestant:16} {seconds[contestant]:8.1f} s  {memory[contestant]:5.2f} GB, "
            f"{own[contestant]:.2f} of it not imports"
            f"{device}  {parts}"
        )
    right = found[CONTESTANTS[0]][0]["scores"]
    for score in NAMES:
        print(f"{score:12} " + "  ".join(f"{runs[0]['scores'][score]:.8g}" for runs in found.values()))
    apart = max(difference(run["scores"], right) for it in CONTESTANTS[1:] for run in found[it])
    first, again = (seconds[CONTESTANTS[0]] / seconds[it] for it in CONTESTANTS[1:])
    share, whole = (max(kind[it] for it in CONTESTANTS[1:]) / kind[CONTESTANTS[0]] for kind in (own, memory))
    print(
        f"largest relative difference {apart:.1e}; faster {first:.2f} ×, cached {again:.2f} ×; memory {share:.2f} ×, "
        f"with imports {whole:.2f} ×"
    )
    if apart > 1e-4 or (options.goals and (first < 2.0 or again < 3.5 or whole > 0.5)):
        sys.exit(1)


if __name__ == "__main__":
    main()
