r"""Spectral normalisation of a whole network: every weight W is used as W/σ(W), σ its largest singular value.

σ is estimated by one power iteration per forward pass in training; in evaluation nothing iterates, and no
buffer changes.

References:
    | Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018), section 2 and Algorithm 1
    | https://arxiv.org/abs/1802.05957
"""

__all__ = ["normalise_spectra"]

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def normalise_spectra(network: nn.Module, embeddings: bool = False) -> None:
    """Puts spectral normalisation on every convolution and linear layer, in place; to be called on initialised weights.

    Arguments:
        network: The network.
        embeddings: Whether embeddings are normalised too, as those of projection discriminators are.
    """
    kinds: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    kinds += (nn.Embedding,) if embeddings else ()
    for layer in list(network.modules()):
        if isinstance(layer, kinds):
            spectral_norm(layer)
