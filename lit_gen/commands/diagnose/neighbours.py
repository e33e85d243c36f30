"""``lit-gen diagnose neighbours``: has the model learnt the training images by heart?

Each sample's nearest training images, in the space of pixels and in that of an extractor's features, as a picture; and
how near they are, measured by how near images are that the model has not seen (Meehan et al., 2020).
"""

__all__ = ["run"]

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from jsonargparse import Namespace
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.callbacks.sampling import draw
from lit_gen.commands.checkpointed import choose_device, load_sampler
from lit_gen.commands.diagnose.options import (
    at_least,
    check_pictures,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.functional.memorisation import memorisation
from lit_gen.functional.neighbours import nearest
from lit_gen.metrics.extractors import Extractor
from lit_gen.metrics.feature_pass import FeaturePass

_CLASSIFIER = "lit_gen.metrics.extractors.Classifier"
_CHUNK = 256
_TRAIN = "train"

Space = Callable[[Tensor], Tensor]


def run(arguments: Sequence[str]) -> int:
    """Writes ``neighbours_<space>.png``, ``neighbours.csv`` (a line per sample) and ``neighbours_summary.csv``.

    Raises:
        UserError: If an argument is wrong.
    """
    parser = diagnosis_parser("Look for samples among the training images.")
    parser.add_argument("--num_samples", type=int, default=1000, help="the number of samples")
    parser.add_argument("--shown", type=int, default=8, help="the samples in the picture: those nearest to the data")
    parser.add_argument("--neighbours", type=int, default=6, help="their neighbours in the picture")
    parser.add_argument("--split", type=str, default="test", help="the images that the model has not seen")
    parser.add_argument("--batch_size", type=int, default=128, help="images drawn at once")
    parser.add_subclass_arguments(Extractor, "extractor", required=False, fail_untyped=False)
    parser.set_defaults({"extractor": {"class_path": _CLASSIFIER}})
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(1, options, "shown", "neighbours", "batch_size")
    at_least(2, options, "num_samples")
    folder = output_folder(options)
    device = choose_device(options.device)
    made, data = open_data(parser, options)
    _check_splits(data, options)
    model = load_sampler(checkpoint, options.weights, options.trust, device)
    check_shape(model, data)
    check_pictures(model)
    made.extractor.prepare(data, device)
    through = FeaturePass(made.extractor, device, "float32", options.batch_size)
    with torch.no_grad():
        parts = torch.arange(options.num_samples).split(options.batch_size)
        sample = torch.cat([draw(model, options.seed, part.tolist()).cpu() for part in parts])  # type: ignore[arg-type]

    spaces: dict[str, Space] = {"pixels": _levels(device), made.extractor.name: lambda x: through.features(x).features}
    rows, summary = [], []
    for name, space in spaces.items():
        points = _embedded(space, sample.split(_CHUNK))
        held_out = _embedded(space, _images(data, options.split))
        near, places = nearest(points, map(space, _images(data, _TRAIN)), options.neighbours)
        across = nearest(points, [held_out], 1)[0][:, 0]
        apart = nearest(held_out, map(space, _images(data, _TRAIN)), 1)[0][:, 0]
        found = memorisation(near[:, 0].cpu(), apart.cpu(), across.cpu(), data.num_images(_TRAIN))
        summary.append({"space": name, **found._asdict()})
        table = zip(places[:, 0].tolist(), near[:, 0].tolist(), across.tolist(), strict=True)
        rows += [
            {"space": name, "sample": i, "train_index": place, "to_train": own, "to_held_out": other}
            for i, (place, own, other) in enumerate(table)
        ]
        _draw(name, sample, near.cpu(), places.cpu(), data, options.shown, folder)
        print(
            f"{name}: distance to train over that of held-out images {found.ratio:.3g}, C_T {found.copying:+.2f}, "
            f"closer than 99 % of them {found.close:.1%}, nearer to train {found.nearer:.1%} ({found.expected:.1%} "
            "expected)"
        )
    write_table(rows, folder / "neighbours.csv")
    write_table(summary, folder / "neighbours_summary.csv")
    print(f"figures and tables: {folder}/neighbours*")
    return 0


def _check_splits(data: ImageData, options: Namespace) -> None:
    if options.split == _TRAIN:
        raise UserError("--split is train, the images that the model has seen; it must be test or val")
    if data.num_images(options.split) < 2:
        raise UserError(f"--split is {options.split}, of which {data.name} has fewer than 2 images")
    if data.num_images(_TRAIN) < options.neighbours:
        raise UserError(f"--neighbours is {options.neighbours}, more than there are training images")


def _levels(device: torch.device) -> Space:
    """Returns the space of pixels, in which distances are root mean squares in units of the 255 levels."""
    return lambda images: images.to(device).float().flatten(1) / math.sqrt(images[0].numel())


def _images(data: ImageData, split: str) -> Iterator[Tensor]:
    return (batch["image"] for batch in data.batches(split, _CHUNK))


def _embedded(space: Space, images: Sequence[Tensor] | Iterator[Tensor]) -> Tensor:
    return torch.cat([space(part) for part in images])


def _draw(name: str, sample: Tensor, near: Tensor, places: Tensor, data: ImageData, shown: int, folder: Path) -> None:
    """Writes a strip for each of the samples that are nearest to the training images: itself, then its neighbours."""
    chosen = near[:, 0].argsort()[:shown]
    wanted, kept, start = set(places[chosen].flatten().tolist()), {}, 0
    for images in _images(data, _TRAIN):
        kept.update({i: images[i - start].cpu() for i in wanted if start <= i < start + len(images)})
        start += len(images)
    strips = [torch.stack([sample[i], *(kept[place] for place in places[i].tolist())]) for i in chosen.tolist()]
    names = [f"sample {i}: {near[i, 0]:.3g}" for i in chosen.tolist()]
    columns = ["sample", "nearest", *(str(i) for i in range(2, places.shape[1] + 1))]
    title = f"Samples and their nearest training images ({name})"
    figure = show_strips(torch.stack(strips), names, columns, title, gaps=[1])
    save_figure(figure, folder / f"neighbours_{name}.png")
