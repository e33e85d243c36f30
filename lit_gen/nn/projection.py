"""The last layer of a discriminator that takes the label by projection."""

__all__ = ["ProjectionHead"]

import torch
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    r"""Creates the logit ψ(φ) + ⟨v_y, φ⟩ of features φ and a label's embedding v_y, equation (3); ψ(φ) without labels.

    References:
        | cGANs with Projection Discriminator (Miyato & Koyama, 2018)
        | https://arxiv.org/abs/1802.05637

    Arguments:
        features: The size F of φ.
        num_classes: The number of classes, None for an unconditional discriminator.
        num_outputs: The outputs, the logit first; labels act on the logit only.
    """

    def __init__(self, features: int, num_classes: int | None = None, num_outputs: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(features, num_outputs)
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, features)

    def forward(self, phi: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps features [B, F], and labels [B] exactly if there are classes, to [B], or [B, num_outputs] if above 1."""
        assert (label is not None) == (self.embedding is not None)
        outputs = self.linear(phi)
        logit = outputs[:, 0]
        if self.embedding is not None:
            logit = logit + (self.embedding(label) * phi).sum(1)
        return logit if outputs.shape[1] == 1 else torch.cat([logit[:, None], outputs[:, 1:]], dim=1)
