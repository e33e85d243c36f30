"""Diffusion: trains two small models, scores them by every sampler and guidance, writes tables and a plot.

    python benchmarks/diffusion_results.py                              # trains and scores what has no scores yet
    python benchmarks/diffusion_results.py --only fashion --parts samplers
    python benchmarks/diffusion_results.py --print --plot fid.png       # tables and a plot of what is there

The models are `ddpm_fashion_mnist` with a smaller network, a cosine schedule, v-prediction and labels (`MODELS`) and
`ddpm_sprites` as it is. One checkpoint each is sampled by every sampler with about as many evaluations of the network,
which are counted; then by one sampler with several guidances. GANs of `gan_results.py` are scored on as many samples,
and the first model on as many as they are there. A run that was interrupted goes on.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import gan_results

from lit_gen.__main__ import main as command
from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.nn.diffusion_unet import DiffusionUNet

# Of each: its configuration, what is changed in it, and the number of samples that scores are of.
MODELS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "fashion": (
        "ddpm_fashion_mnist",
        (
            *("--model.network.init_args.features", "16", "--model.network.init_args.multipliers", "[1,2,4]"),
            *("--model.noise_schedule", "CosineSchedule", "--model.parameterisation", "VPrediction"),
            *("--model.sampler", "{class_path: DPMSolver, init_args: {steps: 20}}"),
            *("--model.conditional", "true", "--model.options", "{clip_norm: 1.0, channels_last: true}"),
            *("--model.optimizer.init_args.lr", "0.001", "--model.schedule.init_args.total_steps", "9000"),
            *("--trainer.max_steps", "9000", "--trainer.val_check_interval", "3000", "--ema.half_life", "20000"),
            *("--samples.every_n_steps", "1500", "--samples.num_samples", "60"),
        ),
        1000,
    ),
    "sprites": ("ddpm_sprites", (), 400),
}
GRID = ("--sampler.grid", "UniformGrid")
SAMPLERS: dict[str, tuple[str, ...]] = {
    "ancestral": ("Ancestral", "--sampler.variance", "small", *GRID),
    "DDIM": ("DDIM", *GRID),
    "Euler": ("Euler", *GRID),
    "Heun": ("Heun", *GRID),
    "DPM-Solver++(2M)": ("DPMSolver",),
}
EVALUATIONS = (10, 20, 50, 250)
TOLERANCES = (1e-2, 1e-3)
GUIDANCES = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)
GUIDED = ("DPMSolver", "--sampler.steps", "20", *GRID)
GANS, GAN_STEPS = ("cgan", "dcgan", "r3gan"), 1500
BESIDE_GANS = ("--sampler", "DPMSolver", "--sampler.steps", "10")


def done(status: int) -> None:
    if status:
        sys.exit(status)


def train(name: str, runs: Path) -> Path:
    config, settings, _ = MODELS[name]
    run = runs / config / "version_0"
    if not (run / "trained").is_file():
        fit = ["fit", "--config", f"diffusion/{config}", "--runs", str(runs), "--ckpt_path", "last"]
        done(command([*fit, *settings, "--evaluation.metrics", "[]"]))
        (run / "trained").touch()
    return run


@contextmanager
def counting() -> Iterator[list[int]]:
    """Counts the images that U-Nets are asked about."""
    count, forward = [0], DiffusionUNet.forward

    def counted(self: DiffusionUNet, x: Any, *rest: Any) -> Any:
        count[0] += len(x)
        return forward(self, x, *rest)

    with mock.patch.object(DiffusionUNet, "forward", counted):
        yield count


def score(run: Path, name: str, num: int, settings: tuple[str, ...], metrics: str = "fid,kid") -> None:
    """Scores a run's last checkpoint, drawn as the settings say, unless that is done."""
    file = run / "scores" / f"{name}.json"
    if file.is_file():
        return
    file.parent.mkdir(exist_ok=True)
    half_done = file.with_suffix(".part.json")
    arguments = ("--metrics", metrics, "--num_samples", str(num), "--batch_size", "125")
    with counting() as count:
        done(command(["evaluate", "--ckpt_path", str(run), *arguments, *settings, "--output", str(half_done)]))
    found = {**json.loads(half_done.read_text("utf-8")), "evaluations": count[0] / num}
    half_done.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    half_done.rename(file)


def steps_of(sampler: str, evaluations: int) -> int:
    """Returns how many steps of a sampler make so many evaluations, or one less; Heun's last step takes one alone."""
    return (evaluations + 1) // 2 if sampler == "Heun" else evaluations


def score_samplers(name: str, run: Path) -> None:
    num = MODELS[name][2]
    for evaluations in EVALUATIONS:  # the cheap ones first
        for label, sampler in SAMPLERS.items():
            steps = str(steps_of(label, evaluations))
            score(run, f"{label}_{evaluations}", num, ("--sampler", sampler[0], "--sampler.steps", steps, *sampler[1:]))
    for tolerance in TOLERANCES:
        given = ("--sampler", "AdaptiveODE", "--sampler.rtol", str(tolerance), "--sampler.atol", str(tolerance))
        score(run, f"adaptive_{tolerance:g}", num, given)


def score_guidances(name: str, run: Path) -> None:
    for guidance in GUIDANCES:
        given = ("--sampler", *GUIDED, "--guidance", str(guidance))
        score(run, f"guidance_{guidance:g}", MODELS[name][2], given, "fid,kid,pr,class_accuracy")


def score_gans(runs: Path, run: Path) -> None:
    score(run, "beside_gans", gan_results.SAMPLES, BESIDE_GANS, gan_results.METRICS)
    for name in GANS:
        if not (runs / name / "version_0" / "scores.json").is_file():
            gan_results.train(name, GAN_STEPS, runs)
        score(runs / name / "version_0", "alone", MODELS["fashion"][2], ())


def read(run: Path, name: str) -> dict[str, Any] | None:
    file = run / "scores" / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def cell(found: dict[str, Any] | None) -> str:
    return f"{found['metrics']['fid']:.2f}" if found else ""


def sampler_table(run: Path) -> list[str]:
    lines = [f"| sampler | {' | '.join(map(str, EVALUATIONS))} |", "| --- |" + " ---: |" * len(EVALUATIONS)]
    for label in SAMPLERS:
        cells = [cell(read(run, f"{label}_{evaluations}")) for evaluations in EVALUATIONS]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    for tolerance in TOLERANCES:
        if found := read(run, f"adaptive_{tolerance:g}"):
            lines.append(f"adaptive, tolerance {tolerance:g}: {cell(found)} in {found['evaluations']:.0f} evaluations")
    return [*lines, ""]


def guidance_table(run: Path) -> list[str]:
    lines = ["| guidance | FID | precision | recall | accuracy |", "| ---: | ---: | ---: | ---: | ---: |"]
    for guidance in GUIDANCES:
        if found := read(run, f"guidance_{guidance:g}"):
            m = found["metrics"]
            shares = f"{m['precision']:.3f} | {m['recall']:.3f} | {m['class_accuracy_mean']:.1%}"
            lines.append(f"| {guidance:g} | {m['fid']:.2f} | {shares} |")
    return [*lines, ""]


def gan_table(runs: Path, run: Path) -> list[str]:
    rows = [(name, read(runs / name / "version_0", "alone")) for name in GANS]
    cells = [f"| {name} | {cell(found)} |" for name, found in rows if found]
    lines = ["| GAN | FID |", "| --- | ---: |", *cells, ""]
    if found := read(run, "beside_gans"):
        scores = ", ".join(f"{name} {value:.4g}" for name, value in found["metrics"].items())
        of = f"{gan_results.SAMPLES:,} samples in {found['evaluations']:.0f} evaluations"
        lines.append(f"{MODELS['fashion'][0]} beside the GANs of gan_results.py, by {of}: {scores}")
    return lines


def plot(runs: Path, file: Path) -> None:
    """Draws FID over evaluations: a panel for each model that has scores, GANs as lines across."""
    scored = {name: runs / MODELS[name][0] / "version_0" for name in MODELS}
    scored = {name: run for name, run in scored.items() if any(map(partial(read, run), cells()))}
    figure, axes = new_figure(6.0 * len(scored), 4.2, len(scored))
    for axis, (name, run) in zip(axes, scored.items(), strict=True):
        for label in SAMPLERS:
            found = [f for evaluations in EVALUATIONS if (f := read(run, f"{label}_{evaluations}"))]
            axis.plot([f["evaluations"] for f in found], [f["metrics"]["fid"] for f in found], marker="o", label=label)
        adaptive = [f for tolerance in TOLERANCES if (f := read(run, f"adaptive_{tolerance:g}"))]
        if adaptive:
            fids = [f["metrics"]["fid"] for f in adaptive]
            axis.plot([f["evaluations"] for f in adaptive], fids, "k*", label="adaptive")
        for gan in GANS if name == "fashion" else ():
            if found_gan := read(runs / "gans" / gan / "version_0", "alone"):
                axis.axhline(found_gan["metrics"]["fid"], color="grey", linestyle=":", linewidth=1)
                axis.text(EVALUATIONS[-1], found_gan["metrics"]["fid"], gan, color="grey", ha="right", va="bottom")
        axis.set(xscale="log", yscale="log", xlabel="evaluations of the network per image", ylabel="FID[classifier]")
        axis.set_xticks(EVALUATIONS, labels=map(str, EVALUATIONS))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.set_title(f"{name}, {MODELS[name][2]:,} samples")
        axis.set_ylim(top=1.2 * axis.get_ylim()[1])  # room for the legend
        axis.legend(loc="upper right", ncols=3, fontsize=8)
    save_figure(figure, file)


def cells() -> list[str]:
    """Lists the names of the samplers' scores."""
    return [f"{label}_{evaluations}" for label in SAMPLERS for evaluations in EVALUATIONS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(MODELS), choices=list(MODELS), help="all by default")
    parts = ("samplers", "guidance", "gans")
    parser.add_argument("--parts", nargs="*", default=parts, choices=parts, help="what is scored; all by default")
    parser.add_argument("--runs", type=Path, default=Path("runs/diffusion_results"), help="where runs lie")
    parser.add_argument("--print", action="store_true", help="train and score nothing")
    parser.add_argument("--plot", type=Path, help="where FID over evaluations is drawn, a .png")
    arguments = parser.parse_args()
    for name in arguments.only:
        run = arguments.runs / MODELS[name][0] / "version_0"
        if not arguments.print:
            run = train(name, arguments.runs)
            if "samplers" in arguments.parts:
                score_samplers(name, run)
            if "guidance" in arguments.parts:
                score_guidances(name, run)
        print("\n".join([f"{name}, {MODELS[name][2]:,} samples\n", *sampler_table(run), *guidance_table(run)]))
    if "fashion" in arguments.only:
        run = arguments.runs / MODELS["fashion"][0] / "version_0"
        if not arguments.print and "gans" in arguments.parts:
            score_gans(arguments.runs / "gans", run)
        print("\n".join(gan_table(arguments.runs / "gans", run)))
    if arguments.plot:
        plot(arguments.runs, arguments.plot)


if __name__ == "__main__":
    main()
