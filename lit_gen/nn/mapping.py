"""StyleGAN's mapping network, from latents and labels to styles."""

__all__ = ["MappingNetwork", "normalise"]

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lit_gen.errors import UserError
from lit_gen.nn.equalized import EqualizedLinear, activate


def normalise(x: Tensor) -> Tensor:
    """Scales vectors [B, D] to a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    r"""Creates the mapping network of StyleGAN: layers from a normalised latent, label, or both, to a style w.

    References:
        | A Style-Based Generator Architecture for Generative Adversarial Networks (Karras et al., 2019), section 2
        | https://arxiv.org/abs/1812.04948

        | Training Generative Adversarial Networks with Limited Data (Karras et al., 2020), appendix C: labels
        | https://arxiv.org/abs/2006.06676

    Arguments:
        latent_dim: The size of the latent, 0 for none.
        num_classes: The number of classes, None for none.
        style_dim: The size of styles.
        layers: The layers.
        lr_multiplier: Their learning rate, in those of other layers.
    """

    def __init__(
        self,
        latent_dim: int,
        num_classes: int | None = None,
        style_dim: int = 512,
        layers: int = 8,
        lr_multiplier: float = 0.01,
    ) -> None:
        super().__init__()
        if layers < 1 or style_dim < 1:
            raise UserError(f"a mapping network has {layers} layers of {style_dim} numbers; both must be at least 1")
        assert latent_dim or num_classes
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.embedding = None if num_classes is None else EqualizedLinear(num_classes, style_dim)
        sizes = [latent_dim + (0 if num_classes is None else style_dim), *[style_dim] * layers]
        self.layers = nn.ModuleList(
            EqualizedLinear(a, b, lr_multiplier=lr_multiplier) for a, b in itertools.pairwise(sizes)
        )

    def forward(self, z: Tensor | None, label: Tensor | None = None) -> Tensor:
        """Maps latents [B, latent_dim] and labels [B], each if the network has them, to styles [B, style_dim]."""
        assert (z is not None) == (self.latent_dim > 0)
        assert (label is not None) == (self.num_classes is not None)
        inputs = [] if z is None else [normalise(z)]
        if self.embedding is not None:
            assert label is not None
            codes = one_hot(label, self.num_classes).to(self.embedding.weight.dtype)  # type: ignore[arg-type]
            inputs.append(normalise(self.embedding(codes)))
        x = torch.cat(inputs, dim=1)
        for layer in self.layers:
            x = activate(layer(x))
        return x
