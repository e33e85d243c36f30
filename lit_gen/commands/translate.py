"""``lit-gen translate``: turns the images of a folder into others, by a trained translation model."""

__all__ = ["run"]

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import LightningModule
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lit_gen.commands.checkpointed import checkpoint_parser, choose_device, parse, read_wanted
from lit_gen.commands.output import check_output, replacing_folder
from lit_gen.commands.translation_inputs import TranslationInputs, input_decoder
from lit_gen.commands.translation_targets import Targets
from lit_gen.contracts import Batch, SupportsStyleEncoder, SupportsTranslate, SupportsTranslateBack
from lit_gen.datamodules.decode import colour, decode
from lit_gen.datamodules.folder_scan import SUFFIXES
from lit_gen.errors import UserError, first_line
from lit_gen.functional.png import save_png
from lit_gen.functional.quantize import from_uint8, to_uint8
from lit_gen.functional.tiling import tiled
from lit_gen.training.loading import load_model
from lit_gen.training.seeding import derive_seed, isolated


def run(arguments: Sequence[str]) -> int:
    """Runs the command; what becomes of a file depends on the seed and on its name, not on the files beside it.

    Raises:
        UserError: If an argument or a file is wrong.
    """
    options = parse(_parser(), arguments)
    for flag in ("input", "output"):
        if not options[flag]:
            raise UserError(f"--{flag} is missing: name a folder")
    source, output = Path(options.input).expanduser(), Path(options.output).expanduser()
    if output.resolve().is_relative_to(source.resolve()):
        raise UserError(f"--output is {output}, which lies in --input: it would be translated itself the next time")
    if output.is_file() or output.suffix.lower() in SUFFIXES:
        raise UserError(f"--output is {output}: images keep their names, in a folder; name one")
    check_output(output, folder=True, overwrite=options.overwrite)
    tiling = _tiling(options.tile, options.overlap)
    device = choose_device(options.device)
    checkpoint = read_wanted(options.ckpt_path, options.runs)
    model = load_model(checkpoint, options.weights, options.trust).to(device)
    settings = checkpoint.get("datamodule_hyper_parameters") or {}
    _check_abilities(model, checkpoint["path"], options)
    instances = Path(options.instances).expanduser() if options.instances else None
    inputs = TranslationInputs(source, input_decoder(model, settings, options.back), instances)
    targets = Targets(model, options.target or []) if _has_attributes(model) and not options.back else None
    beside: dict[str, Tensor] = {}
    if options.style:
        background = colour(settings.get("background") or "white", "data.background")
        channels, *size = model.image_shape  # type: ignore[misc]
        style = decode(Path(options.style).expanduser(), (size[0], size[1]), "crop", channels, background)
        beside["style"] = from_uint8(style[None].to(device))
    inputs.check()
    trained = getattr(model, "image_shape", None)
    console = Console(stderr=True)
    bar = track(range(len(inputs)), "translating", console=console, disable=not console.is_terminal)
    with isolated(), torch.no_grad(), replacing_folder(output, clear=False) as folder:
        for index in bar:
            batch, name = inputs.batch(index), inputs.names[index]
            if targets:
                beside["wanted"] = targets.of(batch["image"], device)
            seed = derive_seed(options.seed, "translate", name.as_posix())
            translate = _translator(model, batch, beside, seed, device, options.back)
            image = _translated(translate, inputs.path(index), batch, tiling, trained)
            if image.shape[1] not in (1, 3):
                raise UserError(f"PNG holds images of 1 or 3 channels, and the model's have {image.shape[1]}")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            save_png(image[0], folder / name)
    print(f"{len(inputs)} images: {output}")
    return 0


def _translator(
    model: LightningModule, batch: Batch, beside: Batch, seed: int, device: torch.device, back: bool
) -> Callable[[slice, slice], Tensor]:
    """Returns what translates some rows and columns of an input, always with the same noise."""

    def translate(rows: slice, columns: slice) -> Tensor:
        torch.manual_seed(seed)
        cut = {name: _on_device(name, tensor[..., rows, columns], device) for name, tensor in batch.items()}
        cut.update(beside)
        if back:
            assert isinstance(model, SupportsTranslateBack)
            return model.translate_back(cut)
        assert isinstance(model, SupportsTranslate)
        return model.translate(cut, [torch.Generator().manual_seed(seed)])

    return translate


def _translated(
    translate: Callable[[slice, slice], Tensor],
    path: Path,
    batch: Batch,
    tiling: tuple[int | None, int],
    trained: Sequence[int] | None,
) -> Tensor:
    """Translates an input whole, or in tiles if it is larger than one, to images uint8 [1, C, H, W].

    Arguments:
        translate: Translates some of its rows and columns.
        path: Its file, for messages.
        batch: The input.
        tiling: The tiles' size, if there are to be some, and their overlap.
        trained: The shape of images that the model was trained on.
    """
    tile, overlap = tiling
    height, width = next(iter(batch.values())).shape[-2:]
    try:
        if tile is None or max(height, width) <= tile:
            return to_uint8(translate(slice(0, height), slice(0, width)))
        whole = tiled(translate, height, width, tile, overlap)
        return torch.cat([to_uint8(rows) for rows in whole.split(tile, dim=2)], dim=2)  # without large copies
    except UserError:
        raise
    except ValueError as error:  # NaN, or tiles that change their size
        raise UserError(f"{path}: {first_line(error)}") from error
    except RuntimeError as error:
        size = f"{width}×{height} pixels (across × down)"
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise UserError(f"{path}: {size} need too much memory; give a smaller --tile") from error
        if trained is not None and (height < trained[1] or width < trained[2]):
            raise UserError(f"{path}: {size} are too few for the model ({first_line(error)})") from error
        raise


def _on_device(name: str, tensor: Tensor, device: torch.device) -> Tensor:
    tensor = tensor.to(device)
    return tensor.long() if name == "label_map" else tensor if name == "instance" else from_uint8(tensor)


def _has_attributes(model: LightningModule) -> bool:
    return bool(getattr(model, "attribute_names", None))


def _check_abilities(model: LightningModule, path: str, options: Namespace) -> None:
    """Looks whether a model can do what is asked for.

    Raises:
        UserError: If not.
    """
    name = f"{type(model).__name__} of '{path}'"
    if not isinstance(model, SupportsTranslate):
        raise UserError(f"{name} does not translate images")
    if options.back and not isinstance(model, SupportsTranslateBack):
        raise UserError(f"--back is given, but {name} translates one way only")
    if options.target and (options.back or not _has_attributes(model)):
        raise UserError(f"--target is given, but {name} changes no attributes{' --back' if options.back else ''}")
    if options.style and (options.back or not (isinstance(model, SupportsStyleEncoder) and model.encoder is not None)):
        raise UserError(f"--style is given, but {name} takes no style from an image")
    if options.style and _has_attributes(model) and not options.target:
        raise UserError(f"--style is given without --target, and {name} must know what the image is an example of")
    if options.instances and getattr(model, "num_label_classes", None) is None:
        raise UserError(f"--instances is given, but {name} translates no label maps")


def _tiling(tile: int | None, overlap: int | None) -> tuple[int | None, int]:
    if tile is None:
        if overlap is not None:
            raise UserError("--overlap is given without --tile, the size of the tiles that overlap")
        return None, 0
    if tile < 2:
        raise UserError(f"--tile is {tile}, and must be at least 2 pixels")
    overlap = tile // 4 if overlap is None else overlap
    if not 0 <= overlap < tile:
        raise UserError(f"--overlap is {overlap}, and must be from 0 to {tile - 1}, below --tile")
    return tile, overlap


def _parser() -> ArgumentParser:
    parser = checkpoint_parser("Turn the images of a folder into others, by a trained translation model.")
    parser.add_argument("--input", type=str | None, help="the folder of images, or of label maps")
    parser.add_argument("--output", type=str | None, help="the folder that PNG files of the same names are written to")
    parser.add_argument("--target", type=str, nargs="+", help="attribute=value …: what images are to be like")
    parser.add_argument("--style", type=str | None, help="an image that gives the style, one of the --target")
    parser.add_argument("--instances", type=str | None, help="the folder of instance maps, beside label maps")
    parser.add_argument("--back", action="store_true", help="from the target domain back to the source's")
    parser.add_argument("--tile", type=int | None, help="translate larger images in tiles of so many pixels a side")
    parser.add_argument("--overlap", type=int | None, help="pixels that tiles share; a quarter of --tile by default")
    parser.add_argument("--seed", type=int, default=0, help="seeds each image's noise, together with its name")
    parser.add_argument("--overwrite", action="store_true", help="replace images of the same names in --output")
    return parser
