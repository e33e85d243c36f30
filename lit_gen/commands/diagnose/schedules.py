"""``lit-gen diagnose schedules``: how the noise schedules differ, in one figure.

What counts is the signal-to-noise ratio α²/σ²: two schedules of the same ratios differ by a scale of the images alone
(Kingma, Salimans, Poole & Ho, 2021, section 5.1).
"""

__all__ = ["run"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.checkpointed import parse, read_wanted
from lit_gen.commands.diagnose.noisy import load_noisy
from lit_gen.commands.diagnose.options import diagnosis_parser, output_folder, write_table
from lit_gen.contracts import SupportsNoise
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.noise_schedules import (
    CosineSchedule,
    EDMSchedule,
    LinearSchedule,
    RectifiedFlowSchedule,
    SigmoidSchedule,
)
from lit_gen.functional.tabulated_schedules import Discretised, LinearBetas

_TIMES = 201
_LINES = ("--", ":")
SHIPPED: Mapping[str, NoiseSchedule] = {
    "LinearBetas (DDPM)": LinearBetas(),
    "LinearSchedule": LinearSchedule(),
    "CosineSchedule": CosineSchedule(),
    "Discretised(CosineSchedule)": Discretised(CosineSchedule()),
    "SigmoidSchedule": SigmoidSchedule(),
    "EDMSchedule": EDMSchedule(),
    "RectifiedFlowSchedule": RectifiedFlowSchedule(),
}


def run(arguments: Sequence[str]) -> int:
    """Writes ``schedules.png`` and ``schedules.csv``; needs no checkpoint, but draws the schedule of one as well.

    Raises:
        UserError: If an argument is wrong, or the checkpoint's model has no schedule.
    """
    parser = diagnosis_parser("Compare noise schedules.")
    options = parse(parser, arguments)
    folder = output_folder(options)
    schedules = {**_own(options), **SHIPPED}
    rows = [row for name, schedule in schedules.items() for row in curve(name, schedule, _TIMES)]
    _draw(rows, list(schedules), bool(options.ckpt_path), folder)
    write_table(rows, folder / "schedules.csv")
    for name in schedules:
        line = [row for row in rows if row["schedule"] == name]
        middle = min(line, key=lambda row: abs(row["log_snr"]))
        first, last = line[0]["log_snr"], line[-1]["log_snr"]
        print(f"{name:<28} log-SNR {first:5.1f} to {last:5.1f}, 0 at t = {middle['t']:.2f}")
    print(f"figure and table: {folder}/schedules.*")
    return 0


def curve(name: str, schedule: NoiseSchedule, num: int) -> list[dict[str, Any]]:
    """Returns a line for each of some times, evenly spaced over the schedule's span."""
    t = schedule.admissible(torch.linspace(*schedule.span, num, dtype=torch.float64)).unique()
    values = zip(t.tolist(), *(value.tolist() for value in schedule.at(t)), schedule.log_snr(t).tolist(), strict=True)
    return [
        {"schedule": name, "t": time, "alpha": alpha, "sigma": sigma, "snr": (alpha / sigma) ** 2, "log_snr": log_snr}
        for time, alpha, sigma, log_snr in values
    ]


def _own(options: Namespace) -> dict[str, NoiseSchedule]:
    """Returns the schedule of the checkpoint's model, if one is named."""
    if not options.ckpt_path:
        return {}
    checkpoint = read_wanted(options.ckpt_path, options.runs)
    model = load_noisy(checkpoint, options, SupportsNoise, "learns from noisy images, as diffusion does")
    schedule: NoiseSchedule = model.noise_schedule  # type: ignore[assignment]
    return {f"the model's {type(schedule).__name__}": schedule}


def _draw(rows: Sequence[Mapping[str, Any]], names: Sequence[str], own: bool, folder: Path) -> None:
    figure, (ratio, share) = new_figure(9.6, 3.9, 2)
    for number, name in enumerate(names):
        line = [row for row in rows if row["schedule"] == name]
        t = [row["t"] for row in line]
        # Schedules of T steps lie on those that they are made of: thin dashes above broad lines.
        style: dict[str, Any] = {"color": f"C{number - own}", "linewidth": 2.5, "alpha": 0.6}
        if own and number == 0:
            style = {"color": "black", "linewidth": 5.0, "alpha": 0.25}
        elif SHIPPED[name].steps is not None:
            style = {"color": "black", "linewidth": 1.0, "linestyle": _LINES[number % len(_LINES)], "zorder": 3}
        ratio.plot(t, [row["log_snr"] for row in line], label=name, **style)
        share.plot(t, [row["alpha"] ** 2 / (row["alpha"] ** 2 + row["sigma"] ** 2) for row in line], **style)
    ratio.axhline(0.0, color="0.5", linewidth=0.8)
    ratio.set_title("log-SNR, ln α²/σ²", fontsize=10)
    share.set_title("share of the image, α²/(α² + σ²)", fontsize=10)
    for axis in (ratio, share):
        axis.set_xlabel("t")
    share.legend(*ratio.get_legend_handles_labels(), loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    save_figure(figure, folder / "schedules.png")
