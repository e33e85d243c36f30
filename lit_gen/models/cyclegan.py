r"""CycleGAN: translation both ways between two domains without pairs, so that the way there and back leads home.

With G: X → Y and F: Y → X, and a discriminator for each domain,

.. math:: L = L_{GAN}(G, D_Y) + L_{GAN}(F, D_X)
    + \lambda \left( E_x\|F(G(x)) - x\|_1 + E_y\|G(F(y)) - y\|_1 \right)
"""

__all__ = ["CycleGAN"]

from collections import deque
from collections.abc import Mapping, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import l1_loss

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, LeastSquaresLoss
from lit_gen.functional.image_pool import ImagePool
from lit_gen.nn.factories import DiscriminatorFactory, TranslatorFactory
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.resnet_translator import ResNetTranslator
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.modes import evaluating
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions
from lit_gen.training.translation import TranslationModule


class CycleGAN(TranslationModule):
    r"""Creates CycleGAN, between ``source`` (X) and ``image`` (Y).

    As in the authors' code, the generators move first, and the discriminators then judge the images that these moved
    by, through a pool of earlier ones.

    References:
        | Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al., 2017)
        | https://arxiv.org/abs/1703.10593

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        source_shape: The sources', None for the images'; the data decide it.
        generator: Makes both generators.
        discriminator: Makes both discriminators.
        loss: What generators and discriminators play for.
        cycle_weight: The weight λ of the cycles' L1 distances, means over pixels.
        identity_weight: The weight, as a share of λ, of what a generator changes in images that are of its target
            domain; 0 for none, as it must be where sources and images differ in channels.
        discriminator_weight: What the discriminators' losses are multiplied by, to slow them down.
        pool_size: The generated images of each domain that are kept for its discriminator; 0 for none.
        generator_optimizer: Makes the optimizer of both generators.
        discriminator_optimizer: Makes the optimizer of both discriminators.
        generator_schedule: Makes the generators' learning-rate schedule, stepped once per training batch.
        discriminator_schedule: Makes the discriminators', likewise.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("generator", "inverse_generator")

    def __init__(
        self,
        image_shape: Shape,
        source_shape: Shape | None = None,
        generator: TranslatorFactory = ResNetTranslator,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        loss: AdversarialLoss = LeastSquaresLoss(scale=1.0),  # noqa: B008 (a value without state)
        cycle_weight: float = 10.0,
        identity_weight: float = 0.5,
        discriminator_weight: float = 0.5,
        pool_size: int = 50,
        generator_optimizer: OptimizerCallable = AdversarialAdam,
        discriminator_optimizer: OptimizerCallable = AdversarialAdam,
        generator_schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, source_shape, options)
        if identity_weight and self.source_shape != self.image_shape:
            raise UserError(
                f"model.identity_weight is {identity_weight}, but sources have {self.source_shape[0]} channels and "
                f"images {self.image_shape[0]}: set it to 0"
            )
        self.loss, self.cycle_weight, self.identity_weight = loss, cycle_weight, identity_weight
        self.discriminator_weight = discriminator_weight
        self.generator = generator(source_shape=self.source_shape, image_shape=self.image_shape)
        self.inverse_generator = generator(source_shape=self.image_shape, image_shape=self.source_shape)
        self.discriminator = discriminator(image_shape=self.image_shape, num_classes=None)
        self.source_discriminator = discriminator(image_shape=self.source_shape, num_classes=None)
        self.image_pool = ImagePool(pool_size, self.image_shape)
        self.source_pool = ImagePool(pool_size, self.source_shape)
        # What the generators made of each part of the batch, for the discriminators' phase; empty between batches.
        self._fakes: deque[tuple[Tensor, Tensor]] = deque()
        discriminators = ["discriminator", "source_discriminator"]
        self._players = {
            "generators": Player(["generator", "inverse_generator"], generator_optimizer, generator_schedule),
            "discriminators": Player(discriminators, discriminator_optimizer, discriminator_schedule),
        }

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [Phase("generators", self.generator_loss), Phase("discriminators", self.discriminator_loss)]

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns both generators' adversarial losses, the cycles' distances and what is changed without need."""
        x, y = self.pair(batch)
        g, f = self.fast("generator"), self.fast("inverse_generator")
        fake_y, fake_x = g(x), f(y)
        self._fakes.append((fake_x.detach(), fake_y.detach()))
        adversarial = self._fooled("discriminator", fake_y, y) + self._fooled("source_discriminator", fake_x, x)
        cycle = l1_loss(f(fake_y).float(), x) + l1_loss(g(fake_x).float(), y)
        self.record({"adversarial": adversarial, "cycle_l1": cycle})
        loss = adversarial + self.cycle_weight * cycle
        if self.identity_weight:
            identity = l1_loss(g(y).float(), y) + l1_loss(f(x).float(), x)
            self.record({"identity_l1": identity})
            loss = loss + self.cycle_weight * self.identity_weight * identity
        return loss

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns both discriminators' losses on real images, and on generated ones out of the pools."""
        x, y = self.pair(batch)
        fake_x, fake_y = self._fakes.popleft()
        told = self._told("discriminator", y, self.image_pool(fake_y))
        return self.discriminator_weight * (told + self._told("source_discriminator", x, self.source_pool(fake_x)))

    def _fooled(self, discriminator: str, fake: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            compared = [self._judge(discriminator, real)] if self.loss.relativistic else []
        return self.loss.generator(self._judge(discriminator, fake), *compared)

    def _told(self, discriminator: str, real: Tensor, fake: Tensor) -> Tensor:
        real_logits, fake_logits = self._judge(discriminator, real), self._judge(discriminator, fake)
        domain = "image" if discriminator == "discriminator" else "source"
        self.record({f"logit/real_{domain}": real_logits.mean(), f"logit/fake_{domain}": fake_logits.mean()})
        return self.loss.discriminator(real_logits, fake_logits)

    def _judge(self, discriminator: str, image: Tensor) -> Tensor:
        return self.fast(discriminator)(image, None).float()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self._fakes.clear()  # of a batch that an error ended

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the mean absolute differences, of values in [−1, 1], after both cycles."""
        x, y = self.pair(batch)
        back = self.translate_back({"image": self.translate(batch)})
        there = self.translate({"source": self.translate_back(batch)})
        return {"cycle_l1_source/held_out": l1_loss(back, x), "cycle_l1_image/held_out": l1_loss(there, y)}

    @torch.no_grad()
    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Maps a batch's sources [B, Cs, H, W], of any size, to images in [−1, 1], shape [B, C, H, W]."""
        (x,) = self.require(batch, "source")
        with evaluating(self.generator):
            return self.generator(x.to(self.device)).float()

    @torch.no_grad()
    def translate_back(self, batch: Batch) -> Tensor:
        """Maps a batch's images [B, C, H, W], of any size, to sources in [−1, 1], shape [B, Cs, H, W]."""
        (y,) = self.require(batch, "image")
        with evaluating(self.inverse_generator):
            return self.inverse_generator(y.to(self.device)).float()
