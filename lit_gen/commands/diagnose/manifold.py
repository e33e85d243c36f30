"""``lit-gen diagnose manifold``: the images that a plane in the latent space holds, side by side.

Equal shares of a Gaussian are equal steps here: the grid stands at the inverse distribution function of an even grid on
the unit square, as in figure 4 of Kingma & Welling (2014). A latent of two numbers is shown whole. Of a larger one a
plane is: that in which the latents of real images vary most.
"""

__all__ = ["run"]

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.diagnose.encoded import check_encodes, encoded, some_images
from lit_gen.commands.diagnose.latents import LatentModel
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
from lit_gen.contracts import SupportsLatents
from lit_gen.errors import UserError

_PLANES = ("prior", "data")


class Plane(NamedTuple):
    """A plane in the latent space.

    Attributes:
        origin: Where it is fixed, shape [D].
        directions: The steps of a standard deviation along it, shape [2, D].
        share: The share of the latents' variance that it holds, None if it is the whole space.
    """

    origin: Tensor
    directions: Tensor
    share: float | None


def run(arguments: Sequence[str]) -> int:
    """Writes ``manifold.png`` and ``manifold.csv``.

    Raises:
        UserError: If an argument is wrong, or the plane asked for is not there.
    """
    parser = diagnosis_parser("See the images of a plane in the latent space.")
    parser.add_argument("--side", type=int, default=15, help="images in a row and in a column")
    parser.add_argument("--plane", type=str | None, help="prior or data; by default prior, if it is a plane")
    parser.add_argument("--split", type=str, default="test", help="the images that the plane data is found from")
    parser.add_argument("--num_images", type=int, default=2000, help="how many of them at most, evenly spaced")
    parser.add_argument("--label", type=str | None, help="the class that is drawn (conditional models)")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(2, options, "side")
    at_least(3, options, "num_images")
    if options.plane not in (None, *_PLANES):
        raise UserError(f"--plane is '{options.plane}', and must be one of {', '.join(_PLANES)}")
    folder = output_folder(options)
    model = LatentModel.load(checkpoint, options)
    check_pictures(model.module)
    # Of a model without a distribution of latents nothing says which of them are likely, but real images do.
    size = model.latents([0]).shape[1] if isinstance(model.module, SupportsLatents) else None
    if options.plane == "prior" and size is None:
        raise UserError(f"--plane is prior, but {type(model.module).__name__} has no distribution of latents")
    if options.plane == "prior" and size != 2:
        raise UserError(f"--plane is prior, which is a plane for latents of 2 numbers; the model's have {size}")
    if options.plane == "prior" or (options.plane is None and size == 2):
        plane = Plane(torch.zeros(2), torch.eye(2), None)
    else:
        check_encodes(model.module)
        _, data = open_data(parser, options)
        check_shape(model.module, data)
        plane = principal_plane(encoded(model.module, some_images(data, options.split, options.num_images)))

    steps = torch.special.ndtri((torch.arange(options.side, dtype=torch.float64) + 0.5) / options.side).float()
    up, right = torch.meshgrid(steps.flip(0), steps, indexing="ij")  # as axes are drawn: the second one upwards
    places = torch.stack([right.flatten(), up.flatten()], dim=1)
    z = plane.origin + places @ plane.directions
    images = model.images(z)
    shown = images.view(options.side, options.side, *images.shape[1:])
    units = "" if plane.share is None else " standard deviations along the first two principal components"
    title = f"{'The latent plane' if plane.share is None else f'A plane with {plane.share:.0%} of the variance'}"
    names = [f"{step:+.2f}" for step in steps.tolist()]
    figure = show_strips(shown, names[::-1], names if options.side <= 15 else [""] * options.side, title + units)
    save_figure(figure, folder / "manifold.png")
    rows = [
        {"row": i // options.side, "column": i % options.side, "a": a, "b": b, "norm": float(z[i].norm())}
        for i, (a, b) in enumerate(places.tolist())
    ]
    write_table(rows, folder / "manifold.csv")
    if plane.share is not None:
        print(f"the plane holds {plane.share:.1%} of the variance of the latents of real images")
    print(f"figure and table: {folder}/manifold.*")
    return 0


def principal_plane(z: Tensor) -> Plane:
    """Returns the plane through the mean of latents [N, D] in which they vary most.

    Raises:
        UserError: If there is none, because there are too few latents or they are single numbers.
    """
    from sklearn.decomposition import PCA

    if min(z.shape[1], len(z) - 1) < 2:
        raise UserError(f"{len(z)} latents of {z.shape[1]} numbers span no plane")
    found = PCA(2, svd_solver="full").fit(z.double().numpy())
    directions = torch.from_numpy(found.components_ * found.explained_variance_[:, None] ** 0.5).float()
    # A direction has two signs: the one whose greatest number is positive is as good as the other, and always the same.
    sign = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)).sign()
    share = float(found.explained_variance_ratio_.sum())
    return Plane(torch.from_numpy(found.mean_).float(), directions * sign, share)
