"""The orthogonal regularization of BigGAN's generator."""

__all__ = ["OrthogonalRegularization", "filter_overlap"]

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from lit_gen.errors import UserError
from lit_gen.functional.regularizer import GeneratorRegularizer


def filter_overlap(w: Tensor) -> Tensor:
    """Returns ‖WᵀW ⊙ (1 − I)‖²_F, the squared inner products of all pairs of different filters.

    Arguments:
        w: Filters as rows, shape [F, D]; the transpose of the paper's W.
    """
    if w.shape[0] <= w.shape[1]:
        gram = w @ w.T
        return (gram - torch.diag(gram.diagonal())).square().sum()
    # More filters than dimensions: ‖WᵀW‖ = ‖WWᵀ‖ is had from the smaller matrix; it is far from diagonal.
    return (w.T @ w).square().sum() - w.square().sum(1).square().sum()


class OrthogonalRegularization(GeneratorRegularizer):
    r"""Creates a penalty on filters that are not orthogonal to each other: β Σ ‖WᵀW ⊙ (1 − I)‖²_F, equation (3).

    It bears on the generator's convolutions and linear layers, on their weights before spectral normalisation; not on
    embeddings. It makes generators fit for truncated latents.

    References:
        | Large Scale GAN Training for High Fidelity Natural Image Synthesis (Brock et al., 2019), section 3.1
        | https://arxiv.org/abs/1809.11096

    Arguments:
        weight: The strength β.
        every: The penalty is computed in every n-th of the generator's batches, n times as strong.
    """

    def __init__(self, weight: float = 1e-4, every: int = 1) -> None:
        super().__init__(every)
        if not weight > 0:
            raise UserError(f"OrthogonalRegularization's weight is {weight}, and must be above 0")
        self.weight = weight

    def forward(self, generator: nn.Module, z: Tensor, label: Tensor | None) -> Tensor:
        layers = [part for part in generator.modules() if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        if not layers:
            raise UserError(
                "OrthogonalRegularization needs a generator with layers nn.Conv2d, nn.ConvTranspose2d or nn.Linear; "
                f"{type(generator).__name__} has none"
            )
        total = z.new_zeros((), dtype=torch.float32)
        for layer in layers:
            w = _own_weight(layer)
            filters = w.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else w
            total = total + filter_overlap(filters.flatten(1))
        return self.weight * total


def _own_weight(layer: nn.Module) -> Tensor:
    """Returns what is trained; asking a normalised layer for its weight would make it iterate once more."""
    if is_parametrized(layer, "weight"):
        return layer.parametrizations.weight.original  # type: ignore[union-attr, return-value]
    return layer.weight  # type: ignore[return-value]
