r"""What a regularizer is: a term, with a memory of its own if it needs one, that joins a player's loss.

A regularizer is a value that a model is given, beside its loss. It is a module without parameters: what it remembers
(running means, a strength that adapts) are buffers, so that checkpoints hold it. One value belongs to one model.

One that is computed only in every k-th batch ("lazy") is an update of its own there, k times as strong, and Adam's
learning rate η and decay rates β become cη and β^c with c = k/(k + 1), so that as much is learnt and
remembered per batch.

References:
    | Analyzing and Improving the Image Quality of StyleGAN (Karras et al., 2020), section 3.1 and appendix B
    | https://arxiv.org/abs/1912.04958
"""

__all__ = [
    "Critique",
    "DiscriminatorRegularizer",
    "GeneratorRegularizer",
    "Regularizer",
    "WeightConstraint",
    "input_gradient",
]

import abc
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from lit_gen.errors import UserError


def input_gradient(logits: Tensor, x: Tensor) -> Tensor:
    """Returns the gradient of each image's logit with respect to that image, ready to be differentiated again.

    Arguments:
        logits: The images' logits, shape [B].
        x: The images that they come from, shape [B, C, H, W].

    Returns:
        The gradients, shape [B, C·H·W].
    """
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.flatten(1)


class Critique:
    """What a discriminator has before it in one batch, and how it can be asked again; all of it float32.

    Arguments:
        critic: Maps images [B, C, H, W] and labels [B] (or None) to logits [B]; may be differentiated twice.
        real: Real images in [−1, 1], shape [B, C, H, W].
        fake: Generated images in [−1, 1], shape [B, C, H, W], without gradient to the generator.
        label: The labels of the real images, shape [B], or None.
        fake_label: The labels of the generated images, shape [B], or None.
        real_logits: The discriminator's logits of the real images, shape [B], if they are known.
        fake_logits: Those of the generated images.
    """

    def __init__(
        self,
        critic: Callable[[Tensor, Tensor | None], Tensor],
        real: Tensor,
        fake: Tensor,
        label: Tensor | None = None,
        fake_label: Tensor | None = None,
        real_logits: Tensor | None = None,
        fake_logits: Tensor | None = None,
    ) -> None:
        self.critic, self.real, self.fake = critic, real, fake
        self.label, self.fake_label = label, fake_label
        self._real_logits, self._fake_logits = real_logits, fake_logits

    @cached_property
    def real_logits(self) -> Tensor:
        """The logits of the real images, shape [B]."""
        return self.critic(self.real, self.label) if self._real_logits is None else self._real_logits

    @cached_property
    def fake_logits(self) -> Tensor:
        """The logits of the generated images, shape [B]."""
        return self.critic(self.fake, self.fake_label) if self._fake_logits is None else self._fake_logits

    def gradient(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Returns the gradients [B, C·H·W] of the logits of any images [B, C, H, W] with respect to them."""
        x = x.detach().requires_grad_()
        return input_gradient(self.critic(x, label), x)

    @cached_property
    def real_gradient(self) -> Tensor:
        """The gradients of the real images' logits, shape [B, C·H·W]; another pass unless their graph is there."""
        if self._real_logits is not None and self.real.requires_grad:
            return input_gradient(self._real_logits, self.real)
        return self.gradient(self.real, self.label)

    @cached_property
    def fake_gradient(self) -> Tensor:
        """The same of the generated images."""
        if self._fake_logits is not None and self.fake.requires_grad:
            return input_gradient(self._fake_logits, self.fake)
        return self.gradient(self.fake, self.fake_label)


class Regularizer(nn.Module):
    """What all regularizers share; derive from one of the three below.

    Arguments:
        every: The term is computed in every n-th of its player's batches, n times as strong.
    """

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise UserError(f"{type(self).__name__}'s every is {every}, and must be at least 1")
        self.every = every


class DiscriminatorRegularizer(Regularizer, abc.ABC):
    """A term of the discriminator's loss.

    One that takes `Critique.real_gradient` or `fake_gradient` says so by `needs_gradient`.
    """

    needs_gradient: bool = False

    @abc.abstractmethod
    def forward(self, critique: Critique) -> Tensor:
        """Returns the term, a scalar, a mean over the batch."""


class GeneratorRegularizer(Regularizer, abc.ABC):
    """A term of the generator's loss."""

    @abc.abstractmethod
    def forward(self, generator: nn.Module, z: Tensor, label: Tensor | None) -> Tensor:
        """Returns the term, a scalar, a mean over the batch.

        Arguments:
            generator: The generator.
            z: The latents of this batch, shape [B, latent_dim].
            label: The labels of this batch, shape [B], or None.
        """


class WeightConstraint(Regularizer, abc.ABC):
    """What is done to the discriminator's weights after each of its steps."""

    @abc.abstractmethod
    def forward(self, discriminator: nn.Module) -> None:
        """Changes the weights in place."""
