r"""The path length regularizer: equal steps in style space are to change an image by equal amounts."""

__all__ = ["PathLengthRegularization", "StyleBased"]

import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.functional.across_processes import mean_across_processes
from lit_gen.functional.regularizer import GeneratorRegularizer


@runtime_checkable
class StyleBased(Protocol):
    """A generator in two parts: ``mapping(z, label) → w [B, D]`` and ``synthesis(ws [B, num_styles, D]) → images``."""

    mapping: Any
    synthesis: Any

    @property
    def num_styles(self) -> int:
        """The styles that the synthesis takes per image."""


class PathLengthRegularization(GeneratorRegularizer):
    r"""Creates the path length penalty: λ E[(‖J_wᵀ y‖₂ − a)²], y ~ N(0, I)/√(H·W), a the running mean of the lengths.

    J_w is the Jacobian of images by their style w. Every layer's style is differentiated by itself, and the squared
    lengths are averaged over the layers, as in the authors' code, whose weight this is.

    References:
        | Analyzing and Improving the Image Quality of StyleGAN (Karras et al., 2020), equation (4)
        | https://arxiv.org/abs/1912.04958

    Arguments:
        weight: The strength λ.
        every: The penalty is computed in every n-th of the generator's batches, n times as strong.
        decay: The share of the running mean that each computation replaces.
        batch_shrink: The penalty is computed on the batch's first part of this many.
    """

    mean_length: Tensor

    def __init__(self, weight: float = 2.0, every: int = 4, decay: float = 0.01, batch_shrink: int = 2) -> None:
        super().__init__(every)
        if not weight > 0:
            raise UserError(f"PathLengthRegularization's weight is {weight}, and must be above 0")
        if not 0 < decay <= 1:
            raise UserError(f"PathLengthRegularization's decay is {decay}, and must be in (0, 1]")
        if batch_shrink < 1:
            raise UserError(f"PathLengthRegularization's batch_shrink is {batch_shrink}, and must be at least 1")
        self.weight, self.decay, self.batch_shrink = weight, decay, batch_shrink
        self.register_buffer("mean_length", torch.zeros(()))

    def forward(self, generator: nn.Module, z: Tensor, label: Tensor | None) -> Tensor:
        if not isinstance(generator, StyleBased):
            raise UserError(
                "PathLengthRegularization needs a generator with a mapping and a synthesis network, such as "
                f"StyleGAN2Generator; {type(generator).__name__} is none"
            )
        num = max(1, len(z) // self.batch_shrink)
        w = generator.mapping(z[:num], None if label is None else label[:num])
        ws = w[:, None].repeat(1, generator.num_styles, 1)
        x = generator.synthesis(ws)
        y = torch.randn_like(x) / math.sqrt(x.shape[2] * x.shape[3])
        (gradient,) = torch.autograd.grad((x * y).sum(), ws, create_graph=True)
        # This norm's derivative at 0 is 0, a square root's would be NaN.
        lengths = torch.linalg.vector_norm(gradient.flatten(1), dim=1) / math.sqrt(generator.num_styles)
        self.mean_length.lerp_(mean_across_processes(lengths.mean()), self.decay)
        return self.weight * (lengths - self.mean_length).square().mean()
