"""How far a diagonal Gaussian is from the standard one."""

__all__ = ["gaussian_kl", "gaussian_kl_terms"]

from torch import Tensor

from lit_gen.functional.at_least_float32 import at_least_float32


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Returns :math:`\mathrm{KL}(N(\mu, \sigma^2) \,\|\, N(0, 1))` in nats, summed over dimensions, shape [B].

    .. math:: \mathrm{KL} = \tfrac12 \sum_d (\mu_d^2 + \sigma_d^2 - 1 - \log \sigma_d^2)

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), appendix B
        | https://arxiv.org/abs/1312.6114

    Arguments:
        mean: μ, shape [B, D].
        log_variance: log σ², shape [B, D].
    """
    return gaussian_kl_terms(mean, log_variance).sum(dim=1)


def gaussian_kl_terms(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Returns the divergence of each dimension, whose sum `gaussian_kl` is, shape [B, D]; arguments as there."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    # expm1 keeps the digits that exp loses where σ is near 1.
    return 0.5 * (mean.square() + log_variance.expm1() - log_variance)
