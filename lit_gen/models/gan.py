r"""Generative adversarial networks: one module, in which loss and networks are values.

A generator G maps latents z ~ N(0, I) to images; a discriminator D tells them from the data:

.. math:: \min_G \max_D \; E_x[\log D(x)] + E_z[\log(1 - D(G(z)))]
"""

__all__ = ["GAN", "DiscriminatorFactory", "GeneratorFactory"]

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, NonSaturatingLoss
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.adversarial import AdversarialModule, Phase, Player
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions
from lit_gen.training.seeding import randint, randn


class GeneratorFactory(Protocol):
    """Makes a generator, ``(z [B, latent_dim], label [B] or None) → images in [−1, 1], [B, C, H, W]``."""

    def __call__(self, *, image_shape: Shape, latent_dim: int, num_classes: int | None) -> nn.Module: ...


class DiscriminatorFactory(Protocol):
    """Makes a discriminator, ``(images [B, C, H, W], label [B] or None) → logits [B]``."""

    def __call__(self, *, image_shape: Shape, num_classes: int | None) -> nn.Module: ...


class GAN(AdversarialModule):
    r"""Creates a generative adversarial network.

    References:
        | Generative Adversarial Networks (Goodfellow et al., 2014)
        | https://arxiv.org/abs/1406.2661

        | Conditional Generative Adversarial Nets (Mirza & Osindero, 2014)
        | https://arxiv.org/abs/1411.1784

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_classes: The number of classes in the data, None if unlabelled; the data decide it.
        generator: Makes the generator.
        discriminator: Makes the discriminator.
        loss: What the two play for.
        latent_dim: The size of the latent.
        conditional: Whether both networks see the class label.
        n_critic: The discriminator's steps (each on a batch of its own) per generator step.
        generator_optimizer: Makes the generator's optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer.
        generator_schedule: Makes the generator's learning-rate schedule, stepped once per training batch.
        discriminator_schedule: Makes the discriminator's, likewise.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("generator",)

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANDiscriminator,
        loss: AdversarialLoss = NonSaturatingLoss(),  # noqa: B008 (a value without state)
        latent_dim: int = 100,
        conditional: bool = False,
        n_critic: int = 1,
        generator_optimizer: OptimizerCallable = AdversarialAdam,
        discriminator_optimizer: OptimizerCallable = AdversarialAdam,
        generator_schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(options)
        if conditional and not num_classes:
            raise UserError("model.conditional is true, but the data have no labels")
        if n_critic < 1:
            raise UserError(f"model.n_critic is {n_critic}, and must be at least 1")
        if latent_dim < 1:
            raise UserError(f"model.latent_dim is {latent_dim}, and must be at least 1")
        self.image_shape: Shape = (image_shape[0], image_shape[1], image_shape[2])
        self.num_classes = num_classes if conditional else None
        self.latent_dim = latent_dim
        self.n_critic = n_critic
        self.loss = loss
        self.generator = generator(image_shape=self.image_shape, latent_dim=latent_dim, num_classes=self.num_classes)
        self.discriminator = discriminator(image_shape=self.image_shape, num_classes=self.num_classes)
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "generator": Player(["generator"], generator_optimizer, generator_schedule),
        }

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [
            Phase("discriminator", self.discriminator_loss),
            Phase("generator", self.generator_loss, every=self.n_critic),
        ]

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on a batch and as many fresh fakes; the generator gets no gradient."""
        x, y = self._real(batch)
        with torch.no_grad():
            fake = self.fast("generator")(self._latents(len(x)), y)
        discriminator = self.fast("discriminator")
        real_logits, fake_logits = discriminator(x, y), discriminator(fake, y)
        self.record({"logit/real": real_logits.mean(), "logit/fake": fake_logits.mean()})
        return self.loss.discriminator(real_logits, fake_logits)

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns the generator's loss on as many fresh latents as the batch has images."""
        x, y = self._real(batch)
        fake = self.fast("generator")(self._latents(len(x)), y)
        return self.loss.generator(self.fast("discriminator")(fake, y))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Records the discriminator's mean logit on held-out images, by its running statistics.

        It is no match for ``logit/real``, which is of batches normalised by their own; its course over a run is what
        tells, falling when the discriminator learns the training images by heart.
        """
        x, y = self._real(batch)
        self.record_held_out({"logit/held_out": self.discriminator(x, y).mean()}, len(x))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Records the same on the test split."""
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples in [−1, 1] as the batch has images, of its labels if conditional."""
        x, y = self._real(batch)
        return self.sample(len(x), y)

    @torch.no_grad()
    def sample(self, num: int, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Draws images in [−1, 1], shape [num, C, H, W]; see `lit_gen.contracts.SupportsSample`.

        Raises:
            UserError: If labels are given to an unconditional model, or are out of range.
        """
        if label is not None and self.num_classes is None:
            raise UserError("this model is unconditional: it cannot sample by label")
        z = randn((num, self.latent_dim), generator, self.device)
        if self.num_classes is not None:
            if label is None:
                label = randint(self.num_classes, num, generator, self.device)
            elif label.numel() and not 0 <= int(label.min()) <= int(label.max()) < self.num_classes:
                raise UserError(f"labels run from 0 to {self.num_classes - 1}; asked for {label.unique().tolist()}")
        return self.generator(z, None if label is None else label.to(self.device))

    def _real(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        if self.num_classes is None:
            return self.require(batch, "image")[0], None
        x, y = self.require(batch, "image", "label")
        return x, y

    def _latents(self, num: int) -> Tensor:
        return torch.randn(num, self.latent_dim, device=self.device)
