r"""Pix2pix: translation learnt from pairs, by a conditional discriminator and the distance to the pair's image.

.. math:: \min_G \max_D \; E_{x,y}[\log D(x, y)] + E_x[\log(1 - D(x, G(x)))] + \lambda E_{x,y}\|y - G(x)\|_1
"""

__all__ = ["Pix2Pix"]

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import l1_loss

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, NonSaturatingLoss
from lit_gen.functional.noise import randint
from lit_gen.nn.factories import DiscriminatorFactory, TranslatorFactory
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.unet import UNetGenerator
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.modes import noisy_evaluation
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions
from lit_gen.training.seeding import isolated
from lit_gen.training.translation import TranslationModule


class Pix2Pix(TranslationModule):
    r"""Creates pix2pix, from ``source`` to ``image``.

    References:
        | Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017)
        | https://arxiv.org/abs/1611.07004

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        source_shape: The sources', None for the images'; the data decide it.
        generator: Makes the generator.
        discriminator: Makes the discriminator, of images with the sources' channels behind theirs if it is conditional.
        loss: What the two play for.
        l1_weight: The weight λ of the L1 distance, a mean over pixels; 0 for none.
        adversarial_weight: The weight of the generator's adversarial loss; 0 leaves it the L1 distance alone.
        discriminator_weight: What the discriminator's loss is multiplied by, to slow it down.
        conditional: Whether the discriminator sees the source.
        test_dropout: Whether dropout acts as noise in translation too.
        test_statistics: What batch norm takes in translation: the statistics of the ``batch``, or ``running`` ones.
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
        source_shape: Shape | None = None,
        generator: TranslatorFactory = UNetGenerator,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        loss: AdversarialLoss = NonSaturatingLoss(),  # noqa: B008 (a value without state)
        l1_weight: float = 100.0,
        adversarial_weight: float = 1.0,
        discriminator_weight: float = 0.5,
        conditional: bool = True,
        test_dropout: bool = True,
        test_statistics: Literal["batch", "running"] = "batch",
        generator_optimizer: OptimizerCallable = AdversarialAdam,
        discriminator_optimizer: OptimizerCallable = AdversarialAdam,
        generator_schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, source_shape, options)
        if test_statistics not in ("batch", "running"):
            raise UserError(f"model.test_statistics is '{test_statistics}'; it can be 'batch' or 'running'")
        self.loss, self.conditional = loss, conditional
        self.l1_weight, self.adversarial_weight = l1_weight, adversarial_weight
        self.discriminator_weight = discriminator_weight
        self.test_dropout, self.test_statistics = test_dropout, test_statistics
        self.generator = generator(source_shape=self.source_shape, image_shape=self.image_shape)
        channels, *size = self.image_shape
        seen = channels + (self.source_shape[0] if conditional else 0)
        self.discriminator = discriminator(image_shape=(seen, size[0], size[1]), num_classes=None)
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "generator": Player(["generator"], generator_optimizer, generator_schedule),
        }

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [Phase("discriminator", self.discriminator_loss), Phase("generator", self.generator_loss)]

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on pairs, and on the same sources with generated images."""
        x, y = self.pair(batch)
        with torch.no_grad():
            fake = self.fast("generator")(x)
        real_logits, fake_logits = self._judge(x, y), self._judge(x, fake)
        self.record({"logit/real": real_logits.mean(), "logit/fake": fake_logits.mean()})
        return self.discriminator_weight * self.loss.discriminator(real_logits, fake_logits)

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns the generator's adversarial loss, and λ times the L1 distance to the pairs' images."""
        x, y = self.pair(batch)
        fake = self.fast("generator")(x)
        with torch.no_grad():
            compared = [self._judge(x, y)] if self.loss.relativistic else []
        adversarial = self.loss.generator(self._judge(x, fake), *compared)
        distance = l1_loss(fake.float(), y)
        self.record({"adversarial": adversarial, "l1": distance})
        return self.adversarial_weight * adversarial + self.l1_weight * distance

    def _judge(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fast("discriminator")(torch.cat([y, x.to(y.dtype)], dim=1) if self.conditional else y, None).float()

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the L1 distance in [−1, 1] to the pairs' images, and the discriminator's verdict on these."""
        x, y = self.pair(batch)
        return {"l1/held_out": l1_loss(self.translate(batch), y), "logit/held_out": self._judge(x, y).mean()}

    @torch.no_grad()
    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Maps a batch's sources [B, Cs, H, W], of any size, to images in [−1, 1], shape [B, C, H, W].

        Dropout and batch norm are as `test_dropout` and `test_statistics` say.

        Arguments:
            batch: The sources, ``source`` of it.
            generator: The source of randomness. With it images go through the network one by one if dropout or batch
                norm act, so that, with one generator per image, each depends on itself and its generator alone. Without
                it the batch goes through at once, and random numbers are the global ones.
        """
        (x,) = self.require(batch, "source")
        x = x.to(self.device)
        with noisy_evaluation(self.generator, self.test_dropout, self.test_statistics == "batch"):
            if generator is None or not any(layer.training for layer in self.generator.modules()):
                return self.generator(x).float()
            seeds = randint(2**63 - 1, len(x), generator, torch.device("cpu")).tolist()
            with isolated():
                return torch.cat([self._seeded(row, seed) for row, seed in zip(x.split(1), seeds, strict=True)])

    def _seeded(self, x: Tensor, seed: int) -> Tensor:
        torch.manual_seed(seed)  # dropout has no other generator than the global one
        return self.generator(x).float()
