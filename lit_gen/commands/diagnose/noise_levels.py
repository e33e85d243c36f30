"""``lit-gen diagnose noise_levels``: errors and losses at each level of noise, and how often each is trained on.

An error of the image, of the noise and of the velocity are one error in different units; what training does about it
depends on the weights and on the times that it draws. A perfect denoiser of structured data is far below one that
knows only their mean and variance; where the two meet, there is nothing to be learnt.
"""

__all__ = ["run"]

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.diagnose.encoded import some_images
from lit_gen.commands.diagnose.noisy import load_noisy, observed
from lit_gen.commands.diagnose.options import (
    at_least,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.contracts import SupportsNoiseLosses
from lit_gen.errors import UserError
from lit_gen.functional.denoising import denoising_errors, gaussian_error
from lit_gen.functional.noise import randn
from lit_gen.functional.optimal_transport import transported
from lit_gen.training.seeding import derive_seed, generators

_BATCH_SIZE = 64
_TIMES = 20_000


def run(arguments: Sequence[str]) -> int:
    """Writes ``noise_levels.png`` and ``noise_levels.csv``, a line per level.

    Raises:
        UserError: If an argument is wrong, or the model does not learn from noisy images.
    """
    parser = diagnosis_parser("Measure errors and losses at each level of noise.")
    parser.add_argument("--levels", type=int, default=25, help="levels, evenly spaced in log-SNR")
    parser.add_argument("--split", type=str, default="test", help="the images")
    parser.add_argument("--num_images", type=int, default=256, help="how many of them at most, evenly spaced")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(2, options, "levels", "num_images")
    folder = output_folder(options)
    _, data = open_data(parser, options)
    model: Any = load_noisy(checkpoint, options, SupportsNoiseLosses, "learns from noisy images, as diffusion does")
    if not (model.noise_is_independent or model.optimal_transport):
        raise UserError("the model learned from a teacher's pairs of noise and images, which are not at hand here")
    check_shape(model, data)
    real = some_images(data, options.split, options.num_images)

    schedule = model.noise_schedule
    t = levels_of(schedule, options.levels)
    log_snr, (alpha, sigma) = schedule.log_snr(t), schedule.at(t)
    # How well noise can be assigned to images depends on how many there are.
    together = int(getattr(data, "batch_size", _BATCH_SIZE)) if model.optimal_transport else _BATCH_SIZE
    x, label = observed(model, real)
    values = measured(model, x, label, real.place.tolist(), t, options.seed, together)
    if not all(part.isfinite().all() for part in values.values()):
        raise UserError("the model's guesses hold NaN or infinity: its training has diverged")
    reference = gaussian_error(float(x.double().var(dim=0, correction=0).mean()), alpha, sigma)
    # Noise that is assigned to images tells of them.
    values["gaussian"] = torch.full_like(reference, math.nan) if model.optimal_transport else reference
    times = model.time_distribution.spread(_TIMES, schedule)
    values["density"] = density(schedule.log_snr(times), log_snr)
    head = {"t": t, "alpha": alpha, "sigma": sigma, "log_snr": log_snr}
    rows = [{name: float(part[i]) for name, part in (head | values).items()} for i in range(len(t))]
    write_table(rows, folder / "noise_levels.csv")
    what = "points" if tuple(model.image_shape[1:]) == (1, 1) else "images"
    _draw(rows, schedule, f"{data.name} ({options.split}), {len(x):,} {what}", folder)
    counted = values["loss"] * values["density"]
    most, loss = int(counted.argmax()), float((counted * widths(log_snr)).sum())
    print(f"loss in training, by these levels: {loss:.4g}; most of it comes from around log-SNR {log_snr[most]:.1f}")
    print(f"figure and table: {folder}/noise_levels.*")
    return 0


def levels_of(schedule: Any, num: int) -> Tensor:
    """Returns times at even steps of log-SNR over a schedule's span, from noise to data; of T steps, some of these."""
    first, last = schedule.log_snr(torch.tensor(schedule.span, dtype=torch.float64)).tolist()
    times = schedule.time_of(torch.linspace(last, first, num, dtype=torch.float64))
    return torch.as_tensor(schedule.admissible(times)).unique().flip(0)


@torch.no_grad()
def measured(
    model: LightningModule,
    x: Tensor,
    label: Tensor | None,
    places: Sequence[int],
    t: Tensor,
    seed: int,
    together: int,
) -> dict[str, Tensor]:
    """Returns mean errors and losses at each of the times, float64 [T]: of the same x with the same noise.

    Arguments:
        model: The model.
        x: What it makes noisy, [N, D, h, w], on its device.
        label: Their labels, [N], if it is conditional.
        places: The images' places in their split, N, each with noise of its own.
        t: The times, [T].
        seed: The seed of the noise.
        together: How many there are in a batch.
    """
    assert isinstance(model, SupportsNoiseLosses)
    sums = {name: torch.zeros(len(t), dtype=torch.float64) for name in ("data", "noise", "velocity", "loss")}
    torch.manual_seed(derive_seed(seed, "batch"))  # of networks with noise of their own
    noise = randn(x.shape, generators(seed, places), x.device).to(x.dtype)
    for part in torch.arange(len(x), device=x.device).split(together):
        y = None if label is None else label[part]
        clean, epsilon = x[part], transported(x[part], noise[part], y) if model.optimal_transport else noise[part]
        denoise = model.denoiser(y, 1.0)
        for i, time in enumerate(t):
            times = time.to(x.device).expand(len(clean))
            errors = denoising_errors(denoise, clean, epsilon, times)._asdict()  # type: ignore[arg-type]
            for name, values in {**errors, "loss": model.noise_losses(clean, epsilon, times, y)}.items():
                sums[name][i] += values.double().sum().cpu()
    return {name: total / len(x) for name, total in sums.items()}


def widths(log_snr: Tensor) -> Tensor:
    """Returns how much log-SNR each of rising levels [T] stands for: up to half way to its neighbours, [T]."""
    edges = _edges(log_snr)
    return edges.diff()


def density(drawn: Tensor, log_snr: Tensor) -> Tensor:
    """Returns the density of log-SNRs [N] around each of rising levels [T], per unit of log-SNR, [T].

    What lies beyond the levels counts for the outermost.
    """
    edges = _edges(log_snr)
    place = torch.searchsorted(edges[1:-1].contiguous(), drawn.contiguous())
    return place.bincount(minlength=len(log_snr)).double() / len(drawn) / edges.diff()


def _edges(log_snr: Tensor) -> Tensor:
    middle = (log_snr[1:] + log_snr[:-1]) / 2
    ends = 1.5 * log_snr[[0, -1]] - 0.5 * log_snr[[1, -2]]
    return torch.cat([ends[:1], middle, ends[1:]])


def _draw(rows: Sequence[Mapping[str, float]], schedule: Any, title: str, folder: Path) -> None:
    """Draws errors and losses over log-SNR, how often each level comes beneath, and the schedule."""
    figure, (errors, losses, often, ratio) = new_figure(9.6, 6.6, 2, 2)
    log_snr = [row["log_snr"] for row in rows]
    for name, text in (("data", "image x"), ("noise", "noise ε"), ("velocity", "velocity dx_t/dt")):
        errors.semilogy(log_snr, [row[name] for row in rows], label=text)
    if not math.isnan(rows[0]["gaussian"]):
        errors.semilogy(log_snr, [row["gaussian"] for row in rows], "C0:", label="image x, if images were normal")
    errors.set_title("mean squared errors", fontsize=10)
    errors.set_ylim(bottom=errors.get_ylim()[0] / 30)  # room for the legend
    errors.legend(fontsize=8, loc="lower center", ncols=2)
    loss, counted = ([row["loss"] * row[name] if name else row["loss"] for row in rows] for name in ("", "density"))
    losses.plot(log_snr, loss, color="tab:red", label="loss")
    losses.set_title("loss, weighted as in training", fontsize=10)
    losses.set_ylim(bottom=min(0.0, *loss))
    edges = _edges(torch.tensor(log_snr)).tolist()
    often.stairs([row["density"] for row in rows], edges, fill=True, color="tab:blue", alpha=0.4, label="of the times")
    total = sum(c * (b - a) for c, a, b in zip(counted, edges, edges[1:], strict=False))
    if total > 0:
        often.stairs([c / total for c in counted], edges, color="tab:red", label="of the loss")
    often.set_title("shares of training, per unit of log-SNR", fontsize=10)
    often.set_ylim(top=1.3 * often.get_ylim()[1])
    often.legend(fontsize=8, loc="upper right")
    for axis in (errors, losses, often):
        axis.set_xlim(edges[0], edges[-1])
        axis.set_xlabel("log-SNR (left: noise, right: images)")
    first, last = schedule.span
    t = torch.linspace(first, last, 200, dtype=torch.float64)
    ratio.plot(t.numpy(), schedule.log_snr(schedule.admissible(t)).numpy(), color="0.2")
    ratio.plot([row["t"] for row in rows], log_snr, ".", color="tab:blue", markersize=5)
    ratio.set_title(f"log-SNR of {type(schedule).__name__}, and the levels", fontsize=10)
    ratio.set_xlabel("t")
    figure.suptitle(title, fontsize=10)
    save_figure(figure, folder / "noise_levels.png")
