r"""Spatially adaptive normalisation: gains and biases that are maps, made from a map of what stands where.

.. math:: \frac{x - \mu}{\sigma} \cdot (1 + \gamma(m)) + \beta(m)

References:
    | Semantic Image Synthesis with Spatially-Adaptive Normalization (Park et al., 2019), section 3.1
    | https://arxiv.org/abs/1903.07291
"""

__all__ = ["SpadeNorm"]

import torch
from torch import Tensor, nn

from lit_gen.nn.norms import Norm, make_norm


class SpadeNorm(nn.Module):
    """Creates a norm without gain and bias of its own, times 1 + γ(m), plus β(m); see the module.

    γ and β are 3×3 convolutions of what a 3×3 convolution and a ReLU make of the map m, so each sees 5×5 pixels of it.

    Arguments:
        features: The channels C.
        condition_channels: The channels S of the map m.
        hidden_features: The channels between the convolutions.
        norm: ``batch``, ``instance`` or ``none``.
    """

    def __init__(
        self, features: int, condition_channels: int, hidden_features: int = 128, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        self.norm = make_norm(norm, features, affine=False)
        self.hidden = nn.Conv2d(condition_channels, hidden_features, 3, padding=1)
        self.gain = nn.Conv2d(hidden_features, features, 3, padding=1)
        self.bias = nn.Conv2d(hidden_features, features, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalises maps.

        Arguments:
            x: Maps, shape [B, C, H, W].
            condition: The map m, shape [B, S, H, W].
        """
        assert x.shape[2:] == condition.shape[2:], (x.shape, condition.shape)
        h = torch.relu(self.hidden(condition))
        return self.norm(x) * (1.0 + self.gain(h)) + self.bias(h)
