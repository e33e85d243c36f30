"""Which image of a batch is another's model: permutations, and images of given domains."""

__all__ = ["draw_of_domain", "permutation"]

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lit_gen.contracts import Generators
from lit_gen.functional.noise import rand


def permutation(num: int, generator: Generators | None, device: torch.device) -> Tensor:
    """Draws a permutation of a batch, int64 [num]; every one is as likely.

    Arguments:
        num: The number of images.
        generator: The source of randomness, or one per image, whose numbers' order is then the permutation.
        device: Where it is needed.
    """
    return rand((num,), generator, device).argsort()


def draw_of_domain(domain: Tensor, wanted: Tensor, avoided: Tensor | None = None) -> Tensor:
    """Draws an image of the batch for each wanted domain, uniformly; places in the batch, int64 [N].

    Arguments:
        domain: The domains of the batch's images, shape [B].
        wanted: Domains, shape [N], each of which the batch has.
        avoided: Places that are drawn only if the domain has no other image, shape [N].
    """
    fits = (domain[None, :] == wanted[:, None]).float()
    score = fits * (2 + torch.rand(fits.shape, device=fits.device))
    if avoided is not None:
        score = score - fits * one_hot(avoided, len(domain))  # below any other that fits, above what does not
    return score.argmax(1)
