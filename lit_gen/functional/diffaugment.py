"""Differentiable augmentation: simple changes of every image that a discriminator sees."""

__all__ = ["DiffAugment"]

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.augmentation import Augmentation
from lit_gen.functional.blitting import shifted


class DiffAugment(Augmentation):
    r"""Creates differentiable augmentation: D(T(x)) and D(T(G(z))) in both players' losses.

    * ``color``: brightness + U(−½, ½), saturation · U(0, 2) (of three channels only), contrast · U(½, 1½)
    * ``translation``: by whole pixels, up to ⅛ of the size each way, zeros coming in
    * ``cutout``: a random square of half the size is set to 0

    References:
        | Differentiable Augmentation for Data-Efficient GAN Training (Zhao et al., 2020), section 3.3
        | https://arxiv.org/abs/2006.10738

    Arguments:
        policy: Which changes are made, in this order.
        translation_ratio: The farthest shift, as a share of the image's size.
        cutout_ratio: The side of the square that is cut out, likewise.
    """

    def __init__(
        self,
        policy: Sequence[Literal["color", "translation", "cutout"]] = ("color", "translation", "cutout"),
        translation_ratio: float = 0.125,
        cutout_ratio: float = 0.5,
    ) -> None:
        super().__init__()
        self._changes = {"color": _recoloured, "translation": self._translated, "cutout": self._cut}
        unknown = [name for name in policy if name not in self._changes]
        if unknown:
            raise UserError(f"DiffAugment's policy has '{unknown[0]}'; there are {', '.join(self._changes)}")
        for name, ratio in (("translation_ratio", translation_ratio), ("cutout_ratio", cutout_ratio)):
            if not 0 <= ratio <= 1:
                raise UserError(f"DiffAugment's {name} is {ratio}, and must be in [0, 1]")
        self.policy, self.translation_ratio, self.cutout_ratio = policy, translation_ratio, cutout_ratio

    def forward(self, x: Tensor) -> Tensor:
        for name in self.policy:
            x = self._changes[name](x)
        return x

    def observe(self, real_logits: Tensor) -> Mapping[str, Tensor]:
        return {}  # it does not adapt

    def _translated(self, x: Tensor) -> Tensor:
        down, right = (
            torch.randint(-most, most + 1, (len(x),), device=x.device)
            for most in (int(size * self.translation_ratio + 0.5) for size in x.shape[2:])
        )
        return shifted(x, down, right, fill="zeros")

    def _cut(self, x: Tensor) -> Tensor:
        rows, columns = (_cut_range(len(x), size, self.cutout_ratio, x.device) for size in x.shape[2:])
        return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _recoloured(x: Tensor) -> Tensor:
    brightness, saturation, contrast = torch.rand(3, len(x), 1, 1, 1, device=x.device, dtype=x.dtype)
    x = x + (brightness - 0.5)
    if x.shape[1] == 3:
        grey = x.mean(1, keepdim=True)
        x = grey + 2 * saturation * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (contrast + 0.5) * (x - mean)


def _cut_range(num: int, size: int, ratio: float, device: torch.device) -> Tensor:
    """Draws which rows (or columns) of each image are in its square, bool, shape [num, size].

    The square's centre is any pixel, so that parts of the square may lie outside.
    """
    side = int(size * ratio + 0.5)
    start = torch.randint(size + (1 - side % 2), (num, 1), device=device) - side // 2
    index = torch.arange(size, device=device)
    return (index >= start) & (index < start + side)
