r"""The patchwise contrastive loss: a patch of the output is told from the others by the input's patch at its place.

References:
    | Contrastive Learning for Unpaired Image-to-Image Translation (Park et al., 2020), equations (2) and (3)
    | https://arxiv.org/abs/2007.15651
"""

__all__ = ["patch_nce"]

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def patch_nce(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    r"""Returns −E[log(exp(q_s·k_s/τ) / Σ_t exp(q_s·k_t/τ))] over images and patches s; t runs over an image's patches.

    No gradient reaches the keys.

    Arguments:
        query: Embeddings q of the output's patches, unit vectors, shape [B, S, D].
        key: Embeddings k of the input's patches at the same places, shape [B, S, D].
        temperature: τ.
    """
    assert query.shape == key.shape and query.ndim == 3
    # Half precision has too few digits for what is divided by τ and exponentiated.
    with torch.autocast(query.device.type, enabled=False):
        logits = query.float() @ key.detach().float().mT / temperature
        targets = torch.arange(query.shape[1], device=query.device).repeat(query.shape[0])
        return cross_entropy(logits.flatten(0, 1), targets)
