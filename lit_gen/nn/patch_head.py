"""What CUT puts on a generator's encoder: an embedding of single positions of its maps."""

__all__ = ["PatchHead"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lit_gen.nn.norms import initialise


class PatchHead(nn.Module):
    r"""Creates one two-layer perceptron per map, which embeds what stands at a position as a unit vector.

    References:
        | Contrastive Learning for Unpaired Image-to-Image Translation (Park et al., 2020), section 3
        | https://arxiv.org/abs/2007.15651

    Arguments:
        channels: The maps' channels C_l.
        features: The size D of hidden layers and embeddings.
    """

    def __init__(self, channels: Sequence[int], features: int = 256) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, features), nn.ReLU(), nn.Linear(features, features)) for inputs in channels
        )
        initialise(self)

    @staticmethod
    def positions(maps: Sequence[Tensor], num: int) -> list[Tensor]:
        """Draws at most `num` positions of each map without repetition, the same for all images of the batch.

        Returns:
            Indices of positions, row by row, shape [S_l] with S_l = min(num, H_l·W_l).
        """
        # On the CPU: one stream of numbers on every device.
        drawn = [torch.randperm(x.shape[2] * x.shape[3])[:num] for x in maps]
        return [index.to(x.device) for index, x in zip(drawn, maps, strict=True)]

    def forward(self, maps: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Embeds maps [B, C_l, H_l, W_l] at positions [S_l] as unit vectors, shape [B, S_l, D] each."""
        picked = [x.flatten(2).index_select(2, index).mT.float() for x, index in zip(maps, positions, strict=True)]
        # Embeddings start short, and the gradient of what makes them unit vectors long: too long for half precision.
        with torch.autocast(picked[0].device.type, enabled=False):
            return [normalize(layer(x), dim=2, eps=1e-7) for layer, x in zip(self.layers, picked, strict=True)]
