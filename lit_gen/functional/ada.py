"""Adaptive discriminator augmentation: as strong as the discriminator's overfitting asks for."""

__all__ = ["AdaptiveAugmentation"]

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.across_processes import sum_across_processes
from lit_gen.functional.ada_changes import blit, recolour, transform
from lit_gen.functional.augmentation import Augmentation

_GROUPS = {"blit": blit, "geometry": transform, "color": recolour}


class AdaptiveAugmentation(Augmentation):
    r"""Creates adaptive discriminator augmentation, whose changes each happen with probability p.

    A discriminator that knows its training images by heart gives them positive logits only. The share by which it does,
    r_t = E[sign(l(x))], is measured over every 4 batches; p rises while r_t is above its target and falls while
    it is below, by the number of images seen divided by `ada_images`, within [0, 1]. All processes measure
    together. Gradients pass twice, as penalties need; unlike in the authors' code, pixels are interpolated without
    first enlarging the image.

    References:
        | Training Generative Adversarial Networks with Limited Data (Karras et al., 2020), section 3 and appendix B
        | https://arxiv.org/abs/2006.06676

    Arguments:
        target: The target of r_t; None leaves p as it is.
        probability: The p to start with.
        ada_images: The real images within which p can go from 0 to 1.
        interval: The batches between two changes of p.
        groups: Which groups of changes are made, in this order: ``blit`` (mirror, quarter turns, whole pixels),
            ``geometry`` (scale, rotation, stretch, shift), ``color``.
    """

    p: Tensor
    signs: Tensor
    images: Tensor
    batches: Tensor

    def __init__(
        self,
        target: float | None = 0.6,
        probability: float = 0.0,
        ada_images: int = 500_000,
        interval: int = 4,
        groups: Sequence[Literal["blit", "geometry", "color"]] = ("blit", "geometry", "color"),
    ) -> None:
        super().__init__()
        if target is not None and not -1 < target < 1:
            raise UserError(f"AdaptiveAugmentation's target is {target}, and must be in (−1, 1), or null")
        if not 0 <= probability <= 1:
            raise UserError(f"AdaptiveAugmentation's probability is {probability}, and must be in [0, 1]")
        if ada_images < 1 or interval < 1:
            raise UserError(f"ada_images is {ada_images} and interval {interval}; both must be at least 1")
        unknown = [name for name in groups if name not in _GROUPS]
        if unknown:
            raise UserError(f"AdaptiveAugmentation's groups have '{unknown[0]}'; there are {', '.join(_GROUPS)}")
        self.target, self.probability, self.ada_images = target, probability, ada_images
        self.interval, self.groups = interval, groups
        self.register_buffer("p", torch.tensor(float(probability)))
        self.register_buffer("signs", torch.zeros((), dtype=torch.int64))
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # half precision cannot tell one pixel from the next
            x = x.float()
            for name in self.groups:
                x = _GROUPS[name](x, self.p)
        return x

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> Mapping[str, Tensor]:
        logged = {"augmentation/probability": self.p.clone()}
        if self.target is None:
            return logged
        # Without a question to the device, which would have to be waited for: all is computed, and kept if it is due.
        signs = real_logits.sign().sum().long()
        seen = sum_across_processes(torch.stack([signs, torch.full_like(signs, len(real_logits))]))
        self.signs += seen[0]
        self.images += seen[1]
        self.batches += 1
        due = self.batches >= self.interval
        above = torch.sign(self.signs / self.images - self.target)
        step = above * self.images / self.ada_images
        self.p.copy_(torch.where(due, (self.p + step).clamp(0.0, 1.0), self.p))
        for total in (self.signs, self.images, self.batches):
            total.masked_fill_(due, 0)
        return logged
