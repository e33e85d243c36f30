"""Optimizers whose defaults are those of adversarial training."""

__all__ = ["AdversarialAdam", "FastAdam", "SlowAdam"]

from typing import Any

from torch.optim import Adam


class AdversarialAdam(Adam):
    r"""Creates Adam with the learning rate and momentum that made deep convolutional GANs stable.

    References:
        | Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks
        | (Radford, Metz & Chintala, 2016), section 4
        | https://arxiv.org/abs/1511.06434

    Arguments:
        params: The parameters or parameter groups.
        lr: The learning rate.
        betas: The decay rates of the gradient's first and second moment.
        kwargs: Further arguments of `torch.optim.Adam`.
    """

    def __init__(self, params: Any, lr: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999), **kwargs: Any) -> None:
        super().__init__(params, lr=lr, betas=betas, **kwargs)


class SlowAdam(Adam):
    r"""Creates Adam as generators get it where discriminators learn at another rate (two time scales).

    References:
        | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017)
        | https://arxiv.org/abs/1706.08500

        | Self-Attention Generative Adversarial Networks (Zhang et al., 2019), section 4.2: the two rates
        | https://arxiv.org/abs/1805.08318

    Arguments:
        params, lr, betas, kwargs: See `AdversarialAdam`.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.0, 0.9), **kwargs: Any) -> None:
        super().__init__(params, lr=lr, betas=betas, **kwargs)


class FastAdam(Adam):
    r"""Creates Adam as discriminators get it, at four times the rate of `SlowAdam`; the references are there.

    Arguments:
        params, lr, betas, kwargs: See `AdversarialAdam`.
    """

    def __init__(self, params: Any, lr: float = 4e-4, betas: tuple[float, float] = (0.0, 0.9), **kwargs: Any) -> None:
        super().__init__(params, lr=lr, betas=betas, **kwargs)
