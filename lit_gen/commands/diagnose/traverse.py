"""``lit-gen diagnose traverse``: what single numbers of a latent do.

Of a latent from N(0, I) no number means anything by itself; of a model that was made to keep its codes apart (InfoGAN,
Chen et al., 2016; β-VAE, Higgins et al., 2017) each code should change one thing. Codes of an InfoGAN stand at the end
of the latent. With an encoder, the image to start from may be a real one.
"""

__all__ = ["run"]

from collections.abc import Sequence

import torch

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.diagnose.encoded import real_starts
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.options import (
    at_least,
    check_pictures,
    diagnosis_parser,
    output_folder,
    parse_with_real,
    write_table,
)
from lit_gen.errors import UserError

_SHOWN = 8


def run(arguments: Sequence[str]) -> int:
    """Writes ``traverse.png`` and ``traverse.csv``.

    Raises:
        UserError: If an argument is wrong.
    """
    parser = diagnosis_parser("Change single numbers of a latent.")
    parser.add_argument("--dims", type=int, nargs="+", default=[], help="which numbers; negative ones from the end")
    parser.add_argument("--extent", type=float, default=3.0, help="they go from -extent to extent")
    parser.add_argument("--columns", type=int, default=9, help="images in a strip")
    parser.add_argument("--image", type=int, default=0, help="the sample to start from, by number")
    parser.add_argument("--label", type=str | None, help="the class that is drawn (conditional models)")
    options, checkpoint = parse_with_real(parser, arguments)
    at_least(2, options, "columns")
    at_least(0, options, "image")
    folder = output_folder(options)
    model = LatentModel.load(checkpoint, options)
    check_pictures(model.module)
    if options.real:
        real, start = real_starts(parser, options, model.module, [options.image], "--image")
        model = model if options.label else model.of_class(real.label, 0)
    else:
        start = model.latents([options.image])
    size = start.shape[1]
    dims = options.dims or list(range(min(_SHOWN, size)))
    for dim in dims:
        if not -size <= dim < size:
            raise UserError(f"--dims names {dim}, but the latent has {size} numbers, 0 to {size - 1}")

    values = torch.linspace(-options.extent, options.extent, options.columns, device=start.device)
    strips, rows, unchanged = [], [], model.images(start).float()
    for dim in dims:
        z = start.repeat(options.columns, 1)
        z[:, dim] = values
        strips.append(model.images(z))
        distance = (strips[-1].float() - unchanged).square().mean(dim=(1, 2, 3)).sqrt().tolist()
        rows += [
            {"dim": dim % size, "own_value": start[0, dim].item(), "value": value, "change": change}
            for value, change in zip(values.tolist(), distance, strict=True)
        ]
    names = [f"{dim % size} ({start[0, dim]:+.1f})" for dim in dims]
    whose = f"real image {options.image} ({options.real})" if options.real else f"latent {options.image}"
    title = f"One number of {whose} at a time (its own value in brackets)"
    figure = show_strips(torch.stack(strips), names, [f"{value:.2g}" for value in values.tolist()], title)
    save_figure(figure, folder / "traverse.png")
    write_table(rows, folder / "traverse.csv")
    most = max(rows, key=lambda row: row["change"])
    print(f"greatest change: {most['change']:.3g} of 255 levels, by number {most['dim']} at {most['value']:.2g}")
    print(f"figure and table: {folder}/traverse.*")
    return 0
