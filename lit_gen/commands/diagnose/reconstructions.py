"""``lit-gen diagnose reconstructions``: images beside what a model gives back of them, the usual and the worst."""

__all__ = ["run"]

import statistics
from collections.abc import Sequence

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.checkpointed import choose_device
from lit_gen.commands.diagnose.encoded import RealImages, labels_for, some_images
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
from lit_gen.contracts import SupportsReconstruct
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8, to_uint8
from lit_gen.metrics.pixel_metrics import MeanAbsoluteError, PeakSignalNoiseRatio
from lit_gen.metrics.split_share import positions
from lit_gen.training.loading import load_model
from lit_gen.training.seeding import derive_seed, generators

_BATCH_SIZE = 64


def run(arguments: Sequence[str]) -> int:
    """Writes ``reconstructions.png`` and ``reconstructions.csv``, a line per image.

    Raises:
        UserError: If an argument is wrong, or the model gives no images back.
    """
    parser = diagnosis_parser("See images beside what the model gives back of them.")
    parser.add_argument("--split", type=str, default="test", help="the images")
    parser.add_argument("--num_images", type=int, default=500, help="how many of them at most, evenly spaced")
    parser.add_argument("--shown", type=int, default=10, help="images in a strip")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(1, options, "num_images", "shown")
    folder = output_folder(options)
    device = choose_device(options.device)
    _, data = open_data(parser, options)
    model = load_model(checkpoint, options.weights, options.trust)
    if not isinstance(model, SupportsReconstruct):
        raise UserError(
            f"{type(model).__name__} of '{checkpoint['path']}' does not give images back: this diagnosis needs a model "
            "that reconstructs, such as an autoencoder"
        )
    check_shape(model, data)
    check_pictures(model)
    real = some_images(data, options.split, options.num_images)
    given = _reconstructed(model.to(device), real, options.seed)
    decibels = PeakSignalNoiseRatio().compare(given, real.image).tolist()
    errors = MeanAbsoluteError().compare(given, real.image).tolist()
    rows = [
        {"index": place, **({} if real.label is None else {"label": int(real.label[i])}), "psnr": p, "l1": e}
        for i, (place, p, e) in enumerate(zip(real.place.tolist(), decibels, errors, strict=True))
    ]
    write_table(rows, folder / "reconstructions.csv")

    shown = min(options.shown, len(rows))
    usual, worst = positions(len(rows), shown), torch.tensor(decibels).argsort(stable=True)[:shown]
    strips = torch.stack([part[index] for index in (usual, worst) for part in (real.image, given)])
    names = ["images", "given back", "worst images", "given back"]
    title = f"Of {data.name} ({options.split}): {statistics.fmean(decibels):.1f} dB on average"
    figure = show_strips(strips, names, [""] * shown, title)
    save_figure(figure, folder / "reconstructions.png")
    print(
        f"{len(rows):,} images of {data.name} ({options.split}): PSNR {statistics.fmean(decibels):.2f} dB, "
        f"L1 {statistics.fmean(errors):.4f}; the worst, image {rows[int(worst[0])]['index']}, {min(decibels):.2f} dB"
    )
    print(f"figure and table: {folder}/reconstructions.*")
    return 0


@torch.no_grad()
def _reconstructed(model: LightningModule, real: RealImages, seed: int) -> Tensor:
    """Returns what a model gives back, uint8 [N, C, H, W] on the CPU."""
    assert isinstance(model, SupportsReconstruct)
    label, given = labels_for(model, real), []
    for part in torch.arange(len(real.image)).split(_BATCH_SIZE):
        places = real.place[part].tolist()
        torch.manual_seed(derive_seed(seed, "batch", *places[:1]))  # of networks with noise of their own
        told = None if label is None else label[part].to(model.device)
        image = from_uint8(real.image[part].to(model.device))
        try:
            given.append(to_uint8(model.reconstruct(image, told, generators(seed, places))).cpu())
        except ValueError as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"the model's images hold NaN: its training has diverged ({error})") from error
    return torch.cat(given)
