"""How much more the best latent tells of a factor than the second best."""

__all__ = ["mutual_information_gap"]

from torch import Tensor

from lit_gen.functional.mutual_information import entropy


def mutual_information_gap(information: Tensor, factors: Tensor) -> Tensor:
    r"""Returns the gap of each factor; their mean is the MIG.

    .. math:: \frac{1}{H(v_k)} \left(I(z_{j(k)}; v_k) - \max_{j \ne j(k)} I(z_j; v_k)\right), \quad
        j(k) = \arg\max_j I(z_j; v_k)

    It is 1 if one latent tells all of a factor and no other anything, and 0 if two tell the same. The paper takes
    I(z; v) under the encoder's distribution q(z|x); here it is that of the latents' means in bins, as Locatello et al.
    measure it, so that codes without a distribution can be compared, too.

    References:
        | Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018), equation (6)
        | https://arxiv.org/abs/1802.04942

        | Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations
        | (Locatello et al., 2019), appendix C
        | https://arxiv.org/abs/1811.12359

    Arguments:
        information: What every latent tells of every factor, in nats, shape [D, F]; see `mutual_information`.
        factors: The factors' values, integers, shape [N, F]; each has two values or more.

    Returns:
        float64 [F], in [0, 1].
    """
    assert information.ndim == 2 and information.shape[1] == factors.shape[1]
    ordered = information.double().sort(dim=0, descending=True).values
    second = ordered[1] if len(ordered) > 1 else 0.0
    return (ordered[0] - second) / entropy(factors).to(ordered)
