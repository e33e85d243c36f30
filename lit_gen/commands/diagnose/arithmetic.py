"""``lit-gen diagnose arithmetic``: A − B + C on the averaged latents of classes.

In a latent space that is worth the name, the difference of two kinds of images is a direction that means the same
elsewhere (Radford, Metz & Chintala, 2016, section 6.3.2). Single latents are too unstable for it; the mean of three has
a third of their variance, so that the sum of three means has that of one latent.
"""

__all__ = ["run"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.options import (
    at_least,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.commands.sample import class_labels
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.extractors import Classifier
from lit_gen.metrics.feature_pass import FeaturePass
from lit_gen.training.seeding import derive_seed

_VARIANTS = 6
_SPREAD = 0.25  # of the uniform noise that variants are made with, as in the paper


def run(arguments: Sequence[str]) -> int:
    """Writes ``arithmetic.png`` and ``arithmetic.csv``.

    Raises:
        UserError: If an argument is wrong, the data have no labels, or the model draws a class too rarely.
    """
    parser = diagnosis_parser("Add and subtract the averaged latents of classes.")
    parser.add_argument("--classes", type=str, nargs="+", default=[], help="A B C, by number or name")
    parser.add_argument("--average", type=int, default=3, help="the latents averaged for each class")
    parser.add_argument("--num_samples", type=int, default=1000, help="the samples among which they are looked for")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(1, options, "average", "num_samples")
    if len(options.classes) != 3:
        raise UserError("--classes names three classes A B C, by number or name: the latents A − B + C are drawn")
    folder = output_folder(options)
    _, data = open_data(parser, options)
    if data.num_classes is None:
        raise UserError(f"the images of {data.name} have no labels: nothing can tell the classes of samples apart")
    model = LatentModel.load(checkpoint, options)
    if model.label is not None:
        raise UserError(
            f"the model of '{checkpoint['path']}' is conditional: its classes are chosen by label (lit-gen sample "
            "--label), not by latents"
        )
    check_shape(model.module, data)
    # The data that are given, not the checkpoint's, know the classes' names.
    classes = class_labels(options.classes, data.num_classes, checkpoint, options.trust, "--classes")
    names = [str(name) for name in data.class_names or range(data.num_classes)]

    z = model.latents(range(options.num_samples))
    images = model.images(z)
    judge = _judge(data, model)
    certain = judge(images)
    chosen = [_exemplars(certain, label, options.average, names) for label in classes]
    a, b, c = (z[index].mean(dim=0) for index in chosen)
    noise = torch.Generator().manual_seed(derive_seed(options.seed, "arithmetic"))
    shift = torch.rand(_VARIANTS, z.shape[1], generator=noise) * 2 * _SPREAD - _SPREAD
    results = torch.cat([(a - b + c)[None], a - b + c + shift.to(z)])
    shown, means = model.images(results), model.images(torch.stack([a, b, c]))

    _draw(images, chosen, means, shown, [names[label] for label in classes], folder)
    rows = _rows("exemplar", [int(i) for index in chosen for i in index], certain[torch.cat(chosen)], names)
    rows += _rows("mean", list("ABC"), judge(means), names)
    rows += _rows("result", list(range(len(results))), judge(shown), names)
    write_table(rows, folder / "arithmetic.csv")
    told = ", ".join(f"{row['class']} ({row['probability']:.0%})" for row in rows if row["what"] == "result")
    words = " ".join(f"{sign} {names[label]}" for sign, label in zip(("", "−", "+"), classes, strict=True)).strip()
    print(f"{words}: the classifier sees {told}")
    print(f"figure and table: {folder}/arithmetic.*")
    return 0


def _judge(data: ImageData, model: LatentModel) -> Any:
    """Returns what maps images uint8 to class probabilities on the CPU."""
    classifier, device = Classifier(), model.module.device
    classifier.prepare(data, device)
    through = FeaturePass(classifier, device, "float32", 128)

    def judge(images: Tensor) -> Tensor:
        logits = through.features(images).logits
        assert logits is not None, "a classifier gives logits"
        return logits.softmax(dim=1).cpu()

    return judge


def _exemplars(certain: Tensor, label: int, num: int, names: Sequence[str]) -> Tensor:
    """Returns the places of the samples that most certainly are of a class."""
    own = (certain.argmax(dim=1) == label).nonzero()[:, 0]
    if len(own) < num:
        raise UserError(
            f"only {len(own)} of {len(certain)} samples are of class '{names[label]}', and --average is {num}; draw "
            "more by --num_samples"
        )
    return own[certain[own, label].argsort(descending=True)[:num]]


def _rows(what: str, numbers: Sequence[Any], certain: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
    best = certain.max(dim=1)
    return [
        {"what": what, "number": number, "class": names[label], "probability": probability}
        for number, label, probability in zip(numbers, best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _draw(
    images: Tensor, chosen: Sequence[Tensor], means: Tensor, results: Tensor, names: Sequence[str], folder: Any
) -> None:
    """Draws a strip per class, exemplars and then their mean, and one of the results."""
    width = max(len(chosen[0]) + 1, len(results))
    blank = torch.full((width, *images.shape[1:]), 255, dtype=torch.uint8)
    strips = []
    for index, mean in zip(chosen, means, strict=True):
        strips.append(blank.clone())
        strips[-1][: len(index)], strips[-1][len(index)] = images[index], mean
    strips.append(blank.clone())
    strips[-1][: len(results)] = results
    rows = [*(f"{sign} class {name}" for sign, name in zip(("A:", "− B:", "+ C:"), names, strict=True)), "= A − B + C"]
    columns = [str(i + 1) for i in range(len(chosen[0]))] + ["mean"] + [""] * (width - len(chosen[0]) - 1)
    figure = show_strips(torch.stack(strips), rows, columns[:width], "Averaged latents; the result, and it with noise")
    save_figure(figure, folder / "arithmetic.png")
