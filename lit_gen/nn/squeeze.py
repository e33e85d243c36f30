"""Halving maps without losing a number: space becomes channels."""

__all__ = ["Squeeze", "num_levels"]

from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.bijection import Bijection


class Squeeze(Bijection):
    """Creates the map of squares of 2×2 pixels to one pixel of four times the channels; heights and widths are even.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), section 3.6
        | https://arxiv.org/abs/1605.08803
    """

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps [B, C, H, W] to [B, 4C, H/2, W/2] and log-determinants [B] of 0."""
        return pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return pixel_shuffle(z, 2)


def num_levels(network: str, image_shape: Shape, levels: int | None, most: int, least: int = 0) -> int:
    """Returns how often a network is to halve its maps.

    Arguments:
        network: Its name, for errors.
        image_shape: The images' channels, height and width.
        levels: What is asked for; None for as many as the size allows, at most `most`.
        most: The largest number that is chosen where none is asked for.
        least: The smallest number with which the network works.

    Raises:
        UserError: If the images cannot be halved so often; it says which sizes can.
    """
    _, height, width = image_shape
    possible = 0
    while height % 2 ** (possible + 1) == 0 and width % 2 ** (possible + 1) == 0:
        possible += 1
    wanted = max(min(possible, most), least) if levels is None else levels
    if wanted < least:
        raise UserError(f"{network}'s levels is {wanted}, and must be at least {least}")
    if wanted > possible:
        sizes = f"heights and widths must be multiples of {2**wanted}"
        raise UserError(
            f"{network} halves its maps {wanted}×, for which {sizes}; these images are {height}×{width}: "
            + (f"set levels to {possible}, or resize them" if possible >= least else "resize them")
        )
    return wanted
