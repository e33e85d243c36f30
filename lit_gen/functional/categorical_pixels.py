"""Pixels of autoregressive models whose channels take one of K levels, of which nothing is assumed."""

__all__ = ["CategoricalPixels"]

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.pixels import PixelDistribution, PixelLayout


class CategoricalPixels(PixelDistribution):
    r"""Creates pixels of K levels, θ a logit for each, channel after channel.

    .. math:: p(x_{i,c} = k | x_{<i}, x_{i,<c}) = \mathrm{softmax}(\theta_{i,c})_k

    Level k stands as 2k / (K − 1) − 1. With fewer levels than 256, equally many 8-bit values are made one level: the
    probability is then of images of so many levels, not of those of 8 bits.

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), section 2.2
        | https://arxiv.org/abs/1601.06759

    Arguments:
        levels: The number of levels K. Of images it is a power of 2, at most 256; of codes it is any.
        one_hot: Whether the network sees a plane for each level, as it should of codes, whose numbers mean nothing,
            rather than the value.
    """

    def __init__(self, levels: int = 256, one_hot: bool = False) -> None:
        if levels < 2:
            raise UserError(f"CategoricalPixels' levels are {levels}, and must be at least 2")
        self.levels, self.one_hot = levels, one_hot
        self.of = "8-bit images" if levels == 256 else f"images of {levels} levels"

    def layout(self, channels: int) -> PixelLayout:
        planes = channels * self.levels if self.one_hot else channels
        return PixelLayout(channels, num_inputs=planes, num_outputs=channels * self.levels, num_uniforms=1)

    def observe(self, image: Tensor, generator: Generators | None = None) -> Tensor:
        if 256 % self.levels:
            raise UserError(f"CategoricalPixels' levels are {self.levels}; of 8-bit images they must be a power of 2")
        eight_bit = ((image + 1) * 127.5).round().long()
        return self.values(eight_bit // (256 // self.levels), image.dtype)

    def values(self, level: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Returns the values in [−1, 1] that levels in [0, K), int64 of any shape, stand as."""
        return (2 * level.to(dtype) / (self.levels - 1)) - 1

    def level(self, x: Tensor) -> Tensor:
        """Returns the levels of values, int64, of the same shape."""
        return ((x + 1) * ((self.levels - 1) / 2)).round().long()

    def planes(self, x: Tensor) -> Tensor:
        if not self.one_hot:
            return x
        return one_hot(self.level(x), self.levels).movedim(-1, 2).flatten(1, 2).to(x.dtype)

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        logits = theta.unflatten(1, (x.shape[1], self.levels))
        chosen = logits.gather(2, self.level(x).unsqueeze(2)).squeeze(2)
        return (chosen - logits.logsumexp(dim=2)).sum(dim=1)

    def draw(self, theta: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        # The level is where the distribution function passes u; rounding may leave its last value short of 1.
        passed = (theta / temperature).softmax(dim=1).cumsum(dim=1) <= u
        return self.values(passed.sum(dim=1, keepdim=True).clamp(max=self.levels - 1), theta.dtype)
