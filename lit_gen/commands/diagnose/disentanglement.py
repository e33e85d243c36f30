"""``lit-gen diagnose disentanglement``: does each number of a latent stand for one thing that images are made from?

Of data whose factors are known, that can be measured. Three scores answer it differently, and disagree on codes that
are neither perfect nor useless: how much more the best latent tells of a factor than the second best (MIG, Chen et al.,
2018), how one-to-one latents and factors are in the eyes of predictors (DCI, Eastwood & Williams, 2018), and whether a
common factor shows as a latent that does not vary (FactorVAE, Kim & Mnih, 2018).
"""

__all__ = ["run"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.diagnose.encoded import encoded, load_encoder, real_images
from lit_gen.commands.diagnose.factors import factor_values
from lit_gen.commands.diagnose.options import (
    at_least,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.commands.diagnose.repeated import summary, told
from lit_gen.errors import UserError
from lit_gen.functional.dci import completeness, disentanglement
from lit_gen.functional.factor_vae_score import factor_vae_score
from lit_gen.functional.mutual_information import discretise, entropy, mutual_information
from lit_gen.functional.mutual_information_gap import mutual_information_gap
from lit_gen.metrics.factor_prediction import predict_factors
from lit_gen.metrics.split_share import positions
from lit_gen.training.seeding import derive_seed

_FEWEST = 20
_SHOWN = 64  # columns of the figure


def run(arguments: Sequence[str]) -> int:
    """Writes ``disentanglement.png``, ``disentanglement.csv`` (a line per score) and a table of the information.

    Raises:
        UserError: If an argument is wrong, the model has no encoder, or the data's factors are not known.
    """
    parser = diagnosis_parser("Measure whether each number of a latent stands for one factor.")
    parser.add_argument("--split", type=str, default="test", help="the images that are encoded")
    parser.add_argument("--num_images", type=int, default=10_000, help="how many of them at most, evenly spaced")
    parser.add_argument("--bins", type=int, default=20, help="the bins that a latent's values are counted in")
    parser.add_argument("--repeats", type=int, default=3, help="how often what is random is drawn, for deviations")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(_FEWEST, options, "num_images")
    at_least(2, options, "bins")
    at_least(1, options, "repeats")
    folder = output_folder(options)
    _, data = open_data(parser, options)
    num = data.num_images(options.split)
    if num < _FEWEST:
        raise UserError(f"--split is {options.split}, of which {data.name} has fewer than {_FEWEST} images")
    names, values = factor_values(data, options.split)
    model = load_encoder(checkpoint, options)
    check_shape(model, data)
    taken = positions(num, min(num, options.num_images))
    z = encoded(model, real_images(data, options.split, taken.tolist()))
    v = values[taken]

    information = mutual_information(discretise(z, options.bins), v)
    scores = _scores(information, z, v, options.seed, options.repeats, names)
    rows = [{"score": name, **summary(numbers)} for name, numbers in scores.items()]
    write_table(rows, folder / "disentanglement.csv")
    write_table(_information_rows(information, v, names), folder / "disentanglement_information.csv")
    words = {name: told(numbers) for name, numbers in scores.items()}
    _draw(information / entropy(v), names, words, folder)
    print(f"{len(z):,} images of {data.name} ({options.split}), {z.shape[1]} latents, factors: {', '.join(names)}")
    for name in ("MIG", "disentanglement", "completeness", "informativeness", "FactorVAE"):
        print(f"{name:<16} {words[name]}")
    print(f"figure and tables: {folder}/disentanglement*")
    return 0


def _scores(
    information: Tensor, z: Tensor, v: Tensor, seed: int, repeats: int, names: Sequence[str]
) -> dict[str, list[float]]:
    """Returns each score's values, one for every time that what is random about it was drawn."""
    gaps = mutual_information_gap(information, v)
    scores: dict[str, list[float]] = {"MIG": [float(gaps.mean())]}  # nothing about it is random
    scores |= {f"MIG of {name}": [float(gap)] for name, gap in zip(names, gaps, strict=True)}
    for repeat in range(repeats):
        found = predict_factors(z, v, derive_seed(seed, "forests", repeat))
        generator = torch.Generator().manual_seed(derive_seed(seed, "votes", repeat))
        drawn = {
            "disentanglement": float(disentanglement(found.importance)),
            "completeness": float(completeness(found.importance)),
            "informativeness": float(found.accuracy.mean()),
            **{f"accuracy of {name}": float(a) for name, a in zip(names, found.accuracy, strict=True)},
            "FactorVAE": factor_vae_score(z, v, generator),
        }
        for name, value in drawn.items():
            scores.setdefault(name, []).append(value)
    return scores


def _information_rows(information: Tensor, v: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"factor": name, "values": len(v[:, k].unique()), "latent": j, "nats": float(information[j, k])}
        for k, name in enumerate(names)
        for j in range(len(information))
    ]


def _draw(share: Tensor, names: Sequence[str], words: Mapping[str, str], folder: Path) -> None:
    """Draws which share of every factor's entropy each latent tells, the most telling latents first if many."""
    columns = torch.arange(len(share))
    if len(share) > _SHOWN:
        columns = share.amax(dim=1).argsort(descending=True)[:_SHOWN]
    width = max(5.0, 1.8 + 0.32 * len(columns))
    figure, (axes,) = new_figure(width, 1.5 + 0.32 * len(names))
    image = axes.imshow(share[columns].T.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [str(j) for j in columns.tolist()], fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("latent" if len(columns) == len(share) else f"latent (the {_SHOWN} of {len(share)} that tell most)")
    axes.grid(False)
    figure.colorbar(image, ax=axes, label="I(z; v) / H(v)")
    axes.set_title(
        f"MIG {words['MIG']}, D {words['disentanglement']}, C {words['completeness']}, FactorVAE {words['FactorVAE']}",
        fontsize=8,
    )
    save_figure(figure, folder / "disentanglement.png")
