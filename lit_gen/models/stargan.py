r"""StarGAN: one generator that gives images any attributes, learnt without pairs.

With the discriminator's verdict D and its classification P(a | x),

.. math:: L_D = E[D(G(x, a'))] - E[D(x)] + \lambda_{gp} E[(\|\nabla D(\hat x)\|_2 - 1)^2] - \lambda_{cls} E[\log P(a|x)]

.. math:: L_G = -E[D(G(x, a'))] - \lambda_{cls} E[\log P(a'|G(x, a'))] + \lambda_{rec} E\|x - G(G(x, a'), a)\|_1
"""

__all__ = ["StarGAN"]

from collections.abc import Mapping, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import l1_loss

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, WassersteinLoss
from lit_gen.functional.attributes import attribute_error, attribute_loss, recognised_attributes
from lit_gen.functional.gradient_penalties import GradientPenalty
from lit_gen.functional.regularizer import Critique
from lit_gen.nn.attribute_discriminator import AttributeDiscriminator
from lit_gen.nn.attribute_translator import AttributeTranslator
from lit_gen.nn.star_factories import AttributeDiscriminatorFactory, AttributeTranslatorFactory
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.attribute_translation import AttributeTranslationModule
from lit_gen.training.modes import evaluating
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions


class StarGAN(AttributeTranslationModule):
    r"""Creates StarGAN, from ``image`` and its ``attributes`` to images that have ``wanted`` ones.

    In training the wanted attributes a' are a permutation of the batch's, and any number of them may change at once.
    The loss takes the mean of the patches' verdicts and the penalty the gradient of their sum, as the authors' code
    does. The paper's learning rate is 1e-4.

    References:
        | StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation
        | (Choi et al., 2018)
        | https://arxiv.org/abs/1711.09020

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        attribute_names: The attributes' names; the data decide them.
        attribute_groups: Places in these; the data decide them.
        generator: Makes the generator.
        discriminator: Makes the discriminator, which also classifies.
        loss: What the two play for.
        gradient_penalty: The weight λ_gp; 0 for none.
        attribute_weight: The weight λ_cls of the attributes' cross-entropies, which are summed.
        cycle_weight: The weight λ_rec of the L1 distance after having the own attributes again, a mean over pixels.
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
        attribute_names: Sequence[str] | None = None,
        attribute_groups: Sequence[Sequence[int]] | None = None,
        generator: AttributeTranslatorFactory = AttributeTranslator,
        discriminator: AttributeDiscriminatorFactory = AttributeDiscriminator,
        loss: AdversarialLoss = WassersteinLoss(),  # noqa: B008 (a value without state)
        gradient_penalty: float = 10.0,
        attribute_weight: float = 1.0,
        cycle_weight: float = 10.0,
        n_critic: int = 5,
        generator_optimizer: OptimizerCallable = AdversarialAdam,
        discriminator_optimizer: OptimizerCallable = AdversarialAdam,
        generator_schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, attribute_names, attribute_groups, options)
        if n_critic < 1:
            raise UserError(f"model.n_critic is {n_critic}, and must be at least 1")
        self.loss, self.n_critic = loss, n_critic
        self.attribute_weight, self.cycle_weight = attribute_weight, cycle_weight
        self.penalty = GradientPenalty(gradient_penalty) if gradient_penalty else None
        num = len(self.attribute_names)
        self.generator = generator(image_shape=self.image_shape, num_attributes=num)
        self.discriminator = discriminator(image_shape=self.image_shape, num_attributes=num)
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "generator": Player(["generator"], generator_optimizer, generator_schedule),
        }

    @property
    def changeable(self) -> Sequence[int]:
        return range(len(self.attribute_names))

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [
            Phase("discriminator", self.discriminator_loss),
            Phase("generator", self.generator_loss, self.n_critic),
        ]

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on images and translations, and what it makes of the images' attributes."""
        x, a = self.require(batch, "image", "attributes")
        with torch.no_grad():
            fake = self.fast("generator")(x, self.wanted(batch))
        (real_logits, classified), (fake_logits, _) = self._judge(x), self._judge(fake)
        classification = attribute_loss(classified, a, self.attribute_groups)
        self.record({"logit/real": real_logits.mean(), "logit/fake": fake_logits.mean()})
        self.record({"attributes/real": classification})
        loss = self.loss.discriminator(real_logits, fake_logits) + self.attribute_weight * classification
        if self.penalty is not None:
            # Penalties differentiate twice, for which half precision has too few digits.
            with torch.autocast(self.device.type, enabled=False):
                penalty = self.penalty(Critique(self._verdict, x.float(), fake.float()))
            self.record({"penalty/GradientPenalty": penalty})
            loss = loss + penalty
        return loss

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns the generator's adversarial loss, its attributes' cross-entropies and the cycle's distance."""
        x, a = self.require(batch, "image", "attributes")
        wanted, g = self.wanted(batch), self.fast("generator")
        fake = g(x, wanted)
        logits, classified = self._judge(fake)
        with torch.no_grad():
            compared = [self._judge(x)[0]] if self.loss.relativistic else []
        adversarial = self.loss.generator(logits, *compared)
        classification = attribute_loss(classified, wanted, self.attribute_groups)
        cycle = l1_loss(g(fake, a).float(), x)
        self.record({"adversarial": adversarial, "attributes/fake": classification, "cycle_l1": cycle})
        return adversarial + self.attribute_weight * classification + self.cycle_weight * cycle

    def _judge(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, classified = self.fast("discriminator")(image)
        return logits.float(), classified.float()

    def _verdict(self, image: Tensor, label: Tensor | None) -> Tensor:
        logits: Tensor = self.discriminator(image)[0]
        return logits

    @torch.no_grad()
    def recognise(self, image: Tensor) -> Tensor:
        """Returns the attributes that the discriminator sees in images [B, C, H, W] in [−1, 1]: {0, 1}, [B, A]."""
        with evaluating(self.discriminator):
            return recognised_attributes(self._judge(image.to(self.device))[1], self.attribute_groups)

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the L1 distance after the cycle, and the share of wanted values that the discriminator misses."""
        x, a = self.require(batch, "image", "attributes")
        wanted = self.wanted(batch)
        fake = self.translate({"image": x, "wanted": wanted})
        back = self.translate({"image": fake, "wanted": a})
        missed = attribute_error(self._judge(fake)[1], wanted, self.attribute_groups)
        return {"cycle_l1/held_out": l1_loss(back, x), "attribute_error/held_out": missed}

    @torch.no_grad()
    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Gives images [B, C, H, W], of any size, the attributes wanted; images in [−1, 1], shape [B, C, H, W].

        Arguments:
            batch: The ``image``s and the ``wanted`` attributes [B, A]; without these each image gets those of another,
                by a permutation of their ``attributes``.
            generator: The source of the permutation.
        """
        (x,) = self.require(batch, "image")
        with evaluating(self.generator):
            return self.generator(x.to(self.device), self.wanted(batch, generator)).float()
