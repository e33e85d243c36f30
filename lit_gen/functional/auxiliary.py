r"""What a discriminator may predict beside its verdict, and what that is worth to both players.

Its last layer gets more outputs: o[:, 0] is the logit, o[:, 1:] is a prediction about the image, of its class (AC-GAN)
or of the code that it was generated from (InfoGAN). The prediction's loss joins both players' losses.
"""

__all__ = ["Auxiliary", "ClassPrediction"]

import abc

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lit_gen.contracts import Generators
from lit_gen.errors import UserError


class Auxiliary(nn.Module, abc.ABC):
    """A task of the discriminator beside telling real images from generated ones; a module without parameters.

    Attributes:
        num_codes: The numbers that it appends to every latent.
        needs_label: Whether it needs a conditional generator. The discriminator is not told the label: it predicts it.
    """

    num_codes: int = 0
    needs_label: bool = False

    @abc.abstractmethod
    def num_outputs(self, num_classes: int | None) -> int:
        """Returns how many outputs the discriminator has beside its logit."""

    @abc.abstractmethod
    def codes(self, num: int, generator: Generators | None, device: torch.device) -> Tensor:
        """Draws what is appended to latents, shape [num, num_codes]."""

    @abc.abstractmethod
    def real_loss(self, outputs: Tensor, label: Tensor | None) -> Tensor:
        """Returns the loss on real images, a mean over the batch.

        Arguments:
            outputs: The discriminator's outputs but for its logit, shape [B, num_outputs].
            label: The images' labels, shape [B], or None.
        """

    @abc.abstractmethod
    def fake_loss(self, outputs: Tensor, label: Tensor | None, codes: Tensor) -> Tensor:
        """Returns the loss on generated images, a mean over the batch; part of both players' losses.

        Arguments:
            outputs: The discriminator's outputs but for its logit, shape [B, num_outputs].
            label: The labels that the images were generated for, shape [B], or None.
            codes: The codes that they were generated from, shape [B, num_codes].
        """


class ClassPrediction(Auxiliary):
    r"""Creates the classification of AC-GAN: both players gain from images whose class can be told, equation (3).

    References:
        | Conditional Image Synthesis with Auxiliary Classifier GANs (Odena, Olah & Shlens, 2017)
        | https://arxiv.org/abs/1610.09585

    Arguments:
        weight: The cross-entropy's weight in each loss.
    """

    needs_label = True

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise UserError(f"ClassPrediction's weight is {weight}, and must not be negative")
        self.weight = weight

    def num_outputs(self, num_classes: int | None) -> int:
        assert num_classes is not None
        return num_classes

    def codes(self, num: int, generator: Generators | None, device: torch.device) -> Tensor:
        return torch.empty(num, 0, device=device)

    def real_loss(self, outputs: Tensor, label: Tensor | None) -> Tensor:
        assert label is not None
        return self.weight * cross_entropy(outputs, label)

    def fake_loss(self, outputs: Tensor, label: Tensor | None, codes: Tensor) -> Tensor:
        return self.real_loss(outputs, label)
