"""``lit-gen diagnose features``: what a model has learnt without labels is worth where labels are few.

A classifier that is given a few labels per class, on the latents that the encoder finds: frozen, or trained along with
it. Beside it stand the same classifier on raw pixels and on as many principal components, and the whole network trained
from scratch; and, without any label, k-means. Every number is of held-out images.
"""

__all__ = ["run"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from torch import Tensor

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.diagnose.encoded import load_encoder, real_images, some_images
from lit_gen.commands.diagnose.feature_trials import FewLabels, clustered, feature_spaces
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
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.training.loading import build_model
from lit_gen.training.seeding import derive_seed


def run(arguments: Sequence[str]) -> int:
    """Writes ``features.png``, ``features.csv`` (a line per trial) and ``features_summary.csv``.

    Raises:
        UserError: If an argument is wrong, the model has no encoder, or the images have too few labels.
    """
    parser = diagnosis_parser("Measure what a model's latents are worth to a classifier with few labels.")
    parser.add_argument("--labels_per_class", type=int, nargs="+", default=[100], help="labelled training images")
    parser.add_argument("--repeats", type=int, default=3, help="how often they are drawn, for deviations")
    parser.add_argument("--hidden", type=int, nargs="*", default=[], help="hidden layers; none: a linear classifier")
    parser.add_argument("--steps", type=int, default=200, help="the classifier's iterations at most")
    parser.add_argument("--fine_tune_steps", type=int, default=500, help="the encoder's; 0: it is only frozen")
    parser.add_argument("--split", type=str, default="test", help="the images that accuracies are of")
    parser.add_argument("--num_images", type=int, default=10_000, help="at most so many of each split, evenly spaced")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(1, options, "repeats", "steps", "num_images")
    at_least(0, options, "fine_tune_steps")
    if min(options.labels_per_class, default=0) < 1 or min(options.hidden, default=1) < 1:
        raise UserError("--labels_per_class and --hidden take whole numbers, at least 1")
    if options.split == "train":
        raise UserError("--split is train, the images that the model has seen; it must be test or val")
    folder = output_folder(options)
    _, data = open_data(parser, options)
    if data.num_classes is None:
        raise UserError(f"the images of {data.name} have no labels: there is nothing to classify")
    model = load_encoder(checkpoint, options)
    if getattr(model, "num_classes", None) is not None:
        raise UserError(
            f"the model of '{checkpoint['path']}' is conditional: its encoder is told the class, which is the answer"
        )
    check_shape(model, data)
    labels = _labels(data, max(options.labels_per_class))
    unlabelled, held_out = (some_images(data, split, options.num_images) for split in ("train", options.split))
    assert held_out.label is not None, "the data have labels"
    trials = FewLabels(
        model,
        lambda: build_model(checkpoint, options.trust),
        held_out,
        data.num_classes,
        options.hidden,
        options.steps,
        options.fine_tune_steps,
    )

    spaces = feature_spaces(model, unlabelled)
    new = {name: space(held_out) for name, space in spaces.items()}
    rows = []
    for name, space in spaces.items():
        known = space(unlabelled)
        for repeat in range(options.repeats):
            seed = derive_seed(options.seed, "clusters", repeat)
            rows.append(
                _row(name, "k-means", 0, repeat, clustered(known, new[name], held_out.label, data.num_classes, seed))
            )
    tuned = False
    for count in options.labels_per_class:
        for repeat in range(options.repeats):
            seed = derive_seed(options.seed, "labels", count, repeat)
            few = real_images(data, "train", _drawn(labels, count, seed))
            assert few.label is not None, "the data have labels"
            found = trials.on_features({name: space(few) for name, space in spaces.items()}, new, few.label, seed)
            networks = trials.of_networks(few, seed)
            tuned = bool(networks)
            rows += [_row(name, "classifier", count, repeat, a) for name, a in {**found, **networks}.items()]
    groups = _grouped(rows)
    table = [
        {"features": name, "method": method, "labels_per_class": count, **summary(accuracies)}
        for (name, method, count), accuracies in groups.items()
    ]
    write_table(rows, folder / "features.csv")
    write_table(table, folder / "features_summary.csv")
    _draw(groups, data, options, folder)
    for (name, method, count), accuracies in groups.items():
        labelled = f"{count} labels per class" if count else "no labels"
        print(f"{name:<22} {method:<10} {labelled:<24} {told([100 * a for a in accuracies], '.2f')} %")
    if options.fine_tune_steps and not tuned:
        print(f"not fine-tuned: no gradient passes the encode of {type(model).__name__}")
    print(f"figure and tables: {folder}/features*")
    return 0


def _labels(data: ImageData, least: int) -> Tensor:
    """Returns the labels of the training split, int64 [N]."""
    batches = list(data.batches("train", 512))
    if not batches or "label" not in batches[0]:
        raise UserError(f"the training images of {data.name} have no labels")
    label = torch.cat([batch["label"].cpu() for batch in batches])
    counts = torch.bincount(label, minlength=data.num_classes or 0)
    if int(counts.min()) < least:
        raise UserError(
            f"--labels_per_class is {least}, but of class {int(counts.argmin())} {data.name} has {int(counts.min())} "
            "training images"
        )
    return label


def _drawn(label: Tensor, count: int, seed: int) -> list[int]:
    """Returns the places of so many images of each class."""
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    return [place for k in label.unique() for place in order[label[order] == k][:count].tolist()]


def _row(name: str, method: str, count: int, repeat: int, accuracy: float) -> dict[str, Any]:
    return {
        "features": name,
        "method": method,
        "labels_per_class": count,
        "repeat": repeat,
        "accuracy": accuracy,
    }


def _grouped(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, int], list[float]]:
    groups: dict[tuple[str, str, int], list[float]] = {}
    for row in rows:
        key = (row["features"], row["method"], row["labels_per_class"])
        groups.setdefault(key, []).append(row["accuracy"])
    return groups


def _draw(
    groups: Mapping[tuple[str, str, int], Sequence[float]], data: ImageData, options: Namespace, folder: Path
) -> None:
    """Draws a point and its deviation for every kind of features and number of labels."""
    names = list(dict.fromkeys(f"{name}\n{method}" for name, method, _ in groups))[::-1]
    counts = sorted({count for *_, count in groups})
    figure, (axes,) = new_figure(6.4, 1.2 + 0.42 * len(names))
    for place, count in enumerate(counts):
        own = {f"{name}\n{method}": summary(a) for (name, method, c), a in groups.items() if c == count}
        axes.errorbar(
            [100 * row["mean"] for row in own.values()],
            [names.index(name) for name in own],
            xerr=[100 * row["deviation"] if row["repeats"] > 1 else 0.0 for row in own.values()],
            fmt="o",
            markersize=5,
            capsize=3,
            color=f"C{place}",
            label=f"{count} labels per class" if count else "no labels",
        )
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel(f"accuracy on held-out images of {data.name} ({options.split}), %")
    axes.legend(fontsize=7)
    save_figure(figure, folder / "features.png")
