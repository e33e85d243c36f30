"""Optimizers whose defaults are those of adversarial training."""

__all__ = ["AdversarialAdam"]

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
