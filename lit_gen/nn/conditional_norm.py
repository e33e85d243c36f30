"""Batch norm whose gain and bias depend on a condition."""

__all__ = ["ConditionalBatchNorm2d"]

from collections.abc import Callable

from torch import Tensor, nn


class ConditionalBatchNorm2d(nn.Module):
    r"""Creates batch norm without a gain and bias of its own: (1 + Δ(y)) · (x − μ)/σ + β(y).

    Δ and β start at zero, where it is plain batch norm.

    References:
        | A Learned Representation for Artistic Style (Dumoulin et al., 2017), section 2.2
        | https://arxiv.org/abs/1610.07629

        | cGANs with Projection Discriminator (Miyato & Koyama, 2018), appendix
        | https://arxiv.org/abs/1802.05637

    Arguments:
        features: The channels C.
        make: Makes a layer that maps conditions to [B, C], given C: an embedding of labels, or a linear layer.
    """

    def __init__(self, features: int, make: Callable[[int], nn.Embedding | nn.Linear]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features, affine=False)
        self.gain, self.bias = make(features), make(features)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Normalises maps.

        Arguments:
            x: Maps, shape [B, C, H, W].
            y: What they are conditioned on: labels [B], or vectors [B, D], as the layers take it.
        """
        gain, bias = 1.0 + self.gain(y), self.bias(y)
        return self.norm(x) * gain[:, :, None, None] + bias[:, :, None, None]
