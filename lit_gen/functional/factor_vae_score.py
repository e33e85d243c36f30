"""Whether one can tell from the latents of images which factor they have in common."""

__all__ = ["factor_vae_score"]

import torch
from torch import Tensor

_CHUNK = 250  # votes whose latents are held at once


def factor_vae_score(
    latents: Tensor,
    factors: Tensor,
    generator: torch.Generator,
    num_votes: int = 10_000,
    num_held_out: int = 5_000,
    images_per_vote: int = 64,
    least_variance: float = 0.05,
) -> float:
    """Returns the accuracy of a majority vote that tells a common factor from the latent that varies least.

    For a vote, a factor and a value of it are drawn, then images that have it. Their latents, in units of each one's
    standard deviation over all images, vary least in one number: its place is what the vote's factor is told from. Of
    votes of F factors, an ignorant code gets about 1/F right.

    Latents that hardly vary at all have collapsed to the prior and are left out, as in the paper: those with less than
    a share of the greatest variance. The numbers of votes and images are those of Locatello et al., and so is it that
    the vote is judged on others than it was made from.

    References:
        | Disentangling by Factorising (Kim & Mnih, 2018), section 4
        | https://arxiv.org/abs/1802.05983

        | Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations
        | (Locatello et al., 2019), appendix C
        | https://arxiv.org/abs/1811.12359

    Arguments:
        latents: One per image, shape [N, D].
        factors: The images' factors, integers, shape [N, F].
        generator: The source of randomness.
        num_votes: The votes that the majority is taken of.
        num_held_out: The votes that accuracy is measured on.
        images_per_vote: The images of a vote, drawn with replacement among those with the value.
        least_variance: The share of the greatest variance that makes a latent count.
    """
    assert latents.ndim == factors.ndim == 2 and len(latents) == len(factors)
    variance = latents.double().var(dim=0, correction=0)
    active = variance > least_variance * variance.max()
    if not active.any():  # nothing varies: nothing can be told
        return 1.0 / factors.shape[1]
    scaled = (latents.double()[:, active] / variance[active].sqrt()).float()
    num = num_votes + num_held_out
    factor = torch.randint(factors.shape[1], (num,), generator=generator)
    places = _places(factors, factor, images_per_vote, generator)
    least = torch.cat([scaled[part].var(dim=1).argmin(dim=1) for part in places.split(_CHUNK)])
    votes = torch.zeros(scaled.shape[1], factors.shape[1], dtype=torch.int64)
    votes.index_put_((least[:num_votes], factor[:num_votes]), torch.ones((), dtype=torch.int64), accumulate=True)
    told = votes.argmax(dim=1)[least[num_votes:]]
    return float((told == factor[num_votes:]).double().mean())


def _places(factors: Tensor, factor: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """Returns, for votes of these factors [V], the places of images that share the value of one, int64 [V, num]."""
    first = torch.randint(len(factors), (len(factor),), generator=generator)
    drawn = torch.rand(len(factor), num, generator=generator, dtype=torch.float64)
    out = torch.empty(len(factor), num, dtype=torch.int64)
    for k in range(factors.shape[1]):
        votes = (factor == k).nonzero()[:, 0]
        values, order = factors[:, k].sort(stable=True)
        value = factors[first[votes], k].contiguous()
        low = torch.searchsorted(values.contiguous(), value)
        count = torch.searchsorted(values.contiguous(), value, right=True) - low
        out[votes] = order[low[:, None] + (drawn[votes] * count[:, None]).long()]
    return out
