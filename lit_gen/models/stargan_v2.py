r"""StarGAN v2: one generator for the styles of several domains, drawn from latents or taken from other images.

With mapping network F, style encoder E and styles s of domain y, from F(z) and from E of a reference by turns,

.. math:: L_G = L_{adv} + \lambda_{sty} E\|s - E_y(G(x, s))\|_1 - \lambda_{ds} E\|G(x, s) - G(x, s')\|_1
                + \lambda_{cyc} E\|x - G(G(x, s), E(x))\|_1
"""

__all__ = ["StarGANv2"]

from collections.abc import Mapping, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import l1_loss

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, NonSaturatingLoss
from lit_gen.functional.attributes import attribute_values
from lit_gen.functional.diversity_sensitive import decayed_weight, diversity
from lit_gen.functional.gradient_penalties import R1
from lit_gen.functional.noise import randn
from lit_gen.functional.permutation import draw_of_domain
from lit_gen.functional.regularizer import Critique
from lit_gen.nn.domain_heads import DomainDiscriminator, DomainMapping, DomainStyleEncoder
from lit_gen.nn.star_factories import (
    DomainDiscriminatorFactory,
    DomainMappingFactory,
    StyleEncoderFactory,
    StyleTranslatorFactory,
)
from lit_gen.nn.style_translator import StyleTranslator
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.attribute_translation import AttributeTranslationModule
from lit_gen.training.modes import evaluating
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions


class StarGANv2(AttributeTranslationModule):
    r"""Creates StarGAN v2, from ``image`` to the same content in a style of another domain.

    Domains are the values of one group of attributes. In training the wanted domains are a permutation of the batch's
    and the references other images of it. Every step takes the mean of both kinds of styles, latents' and references',
    where the authors' code has a step for each; a reference's style is given, and trains the encoder only where it is
    recognised. The paper's optimizers are Adam with a learning rate of 1e-4, betas 0 and 0.99 and weight decay 1e-4.

    References:
        | StarGAN v2: Diverse Image Synthesis for Multiple Domains (Choi et al., 2020)
        | https://arxiv.org/abs/1912.01865

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        attribute_names: The attributes' names; the data decide them.
        attribute_groups: Places in these; the data decide them.
        domain: The column whose values are the domains; None for the data's only one.
        generator: Makes the generator.
        mapping: Makes the mapping network.
        encoder: Makes the style encoder.
        discriminator: Makes the discriminator.
        loss: What generator and discriminator play for.
        latent_dim: The size of latents.
        style_dim: The size of styles.
        r1_gamma: The strength γ of the penalty on real images; 0 for none.
        style_weight: The weight λ_sty of the distance between a style and the one recognised, a mean over its numbers.
        diversity_weight: The weight λ_ds at the start.
        diversity_steps: The batches within which it falls to 0.
        cycle_weight: The weight λ_cyc of the L1 distance after having the own style again, a mean over pixels.
        generator_optimizer: Makes the optimizer of generator, mapping network and encoder.
        discriminator_optimizer: Makes the discriminator's optimizer.
        generator_schedule: Makes the former's learning-rate schedule, stepped once per training batch.
        discriminator_schedule: Makes the discriminator's, likewise.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("generator", "mapping", "encoder")

    def __init__(
        self,
        image_shape: Shape,
        attribute_names: Sequence[str] | None = None,
        attribute_groups: Sequence[Sequence[int]] | None = None,
        domain: str | None = None,
        generator: StyleTranslatorFactory = StyleTranslator,
        mapping: DomainMappingFactory = DomainMapping,
        encoder: StyleEncoderFactory = DomainStyleEncoder,
        discriminator: DomainDiscriminatorFactory = DomainDiscriminator,
        loss: AdversarialLoss = NonSaturatingLoss(),  # noqa: B008 (a value without state)
        latent_dim: int = 16,
        style_dim: int = 64,
        r1_gamma: float = 1.0,
        style_weight: float = 1.0,
        diversity_weight: float = 1.0,
        diversity_steps: int = 100_000,
        cycle_weight: float = 1.0,
        generator_optimizer: OptimizerCallable = AdversarialAdam,
        discriminator_optimizer: OptimizerCallable = AdversarialAdam,
        generator_schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, attribute_names, attribute_groups, options)
        for name, value in (("latent_dim", latent_dim), ("style_dim", style_dim), ("diversity_steps", diversity_steps)):
            if value < 1:
                raise UserError(f"model.{name} is {value}, and must be at least 1")
        self.group = self.group_of(domain)
        self.num_domains = max(2, len(self.group))
        self.loss, self.latent_dim, self.style_dim = loss, latent_dim, style_dim
        self.style_weight, self.cycle_weight = style_weight, cycle_weight
        self.diversity_weight, self.diversity_steps = diversity_weight, diversity_steps
        self.penalty = R1(r1_gamma) if r1_gamma else None
        shape, num = self.image_shape, self.num_domains
        self.generator = generator(image_shape=shape, style_dim=style_dim)
        self.mapping = mapping(num_domains=num, latent_dim=latent_dim, style_dim=style_dim)
        self.encoder = encoder(image_shape=shape, num_domains=num, style_dim=style_dim)
        self.discriminator = discriminator(image_shape=shape, num_domains=num)
        makers = ["generator", "mapping", "encoder"]
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "generator": Player(makers, generator_optimizer, generator_schedule),
        }

    @property
    def changeable(self) -> Sequence[int]:
        return self.group

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [Phase("discriminator", self.discriminator_loss), Phase("generator", self.generator_loss)]

    def domain(self, attributes: Tensor) -> Tensor:
        """Returns the domains [B] of images with attributes [B, A]."""
        return attribute_values(attributes, self.group, 0.5)

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on images and on translations by styles of both kinds."""
        x, a = self.require(batch, "image", "attributes")
        own, wanted = self.domain(a), self.domain(self.wanted(batch))
        with torch.no_grad():
            reference = x[draw_of_domain(own, wanted)]
            styles = self._drawn(wanted), self.fast("encoder")(reference, wanted)
            fakes = [self.fast("generator")(x, s) for s in styles]
        exact = x.dtype == torch.float32 and not (torch.is_autocast_enabled(x.device.type) or self.options.compile)
        if self.penalty is not None and exact:
            x = x.detach().requires_grad_()  # the penalty then shares the pass that the loss takes anyway
        real_logits, fake_logits = self._judge(x, own), [self._judge(fake, wanted) for fake in fakes]
        self.record({"logit/real": real_logits.mean(), "logit/fake": torch.cat(fake_logits).mean()})
        loss = torch.stack([self.loss.discriminator(real_logits, logits) for logits in fake_logits]).mean()
        if self.penalty is not None:
            # Penalties differentiate twice, for which half precision has too few digits.
            with torch.autocast(self.device.type, enabled=False):
                penalty = self.penalty(Critique(self.discriminator, x.float(), fakes[0], own, real_logits=real_logits))
            self.record({"penalty/R1": penalty})
            loss = loss + penalty
        return loss

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns the loss of generator, mapping network and encoder, a mean over styles of both kinds."""
        x, a = self.require(batch, "image", "attributes")
        own, wanted = self.domain(a), self.domain(self.wanted(batch))
        drawn = self._drawn(wanted), self._drawn(wanted)
        with torch.no_grad():
            referred = self._referred(x, own, wanted)
        return torch.stack([self._of_styles(x, own, wanted, *styles) for styles in (drawn, referred)]).mean()

    def _of_styles(self, x: Tensor, own: Tensor, wanted: Tensor, s: Tensor, other: Tensor) -> Tensor:
        g, e = self.fast("generator"), self.fast("encoder")
        fake = g(x, s)
        with torch.no_grad():
            different = g(x, other)
            compared = [self._judge(x, own)] if self.loss.relativistic else []
        adversarial = self.loss.generator(self._judge(fake, wanted), *compared)
        style = l1_loss(e(fake, wanted).float(), s.float())
        spread = diversity(fake.float(), different.float())
        cycle = l1_loss(g(fake, e(x, own)).float(), x)
        self.record({"adversarial": adversarial, "style_l1": style, "diversity": spread, "cycle_l1": cycle})
        falling = decayed_weight(self.diversity_weight, self.step, self.diversity_steps)
        return adversarial + self.style_weight * style - falling * spread + self.cycle_weight * cycle

    def _drawn(self, wanted: Tensor) -> Tensor:
        z = randn((len(wanted), self.latent_dim), None, wanted.device)
        return self.fast("mapping")(z, wanted)

    def _referred(self, x: Tensor, own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the styles of two images of each wanted domain, of the same one where the batch has but one."""
        first = draw_of_domain(own, wanted)
        second = draw_of_domain(own, wanted, avoided=first)
        e = self.fast("encoder")
        return e(x[first], wanted), e(x[second], wanted)

    def _judge(self, image: Tensor, domain: Tensor) -> Tensor:
        return self.fast("discriminator")(image, domain).float()

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the L1 distances after the cycle, and between the drawn styles and those that are recognised."""
        x, a = self.require(batch, "image", "attributes")
        own, wanted = self.domain(a), self.domain(self.wanted(batch))
        with evaluating(self.generator, self.mapping, self.encoder), torch.no_grad():
            s = self._drawn(wanted)
            fake = self.generator(x, s)
            back = self.generator(fake, self.encoder(x, own))
            recognised = self.encoder(fake, wanted)
        return {"cycle_l1/held_out": l1_loss(back.float(), x), "style_l1/held_out": l1_loss(recognised, s)}

    @torch.no_grad()
    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Gives images [B, C, H, W], of any size, a style of the domain wanted; in [−1, 1], shape [B, C, H, W].

        Arguments:
            batch: The ``image``s and the ``wanted`` attributes [B, A], by default a permutation of their
                ``attributes``. Styles are those of ``style`` images [B, C, H, W] of these domains, of the size that
                the model has been trained at, if the batch has such, else drawn.
            generator: The source of latents and permutation.
        """
        (x,) = self.require(batch, "image")
        wanted = self.domain(self.wanted(batch, generator))
        with evaluating(self.generator, self.mapping, self.encoder):
            if "style" in batch:
                s = self.encoder(self._checked(batch["style"]).to(self.device), wanted)
            else:
                s = self.mapping(randn((len(x), self.latent_dim), generator, self.device), wanted)
            return self.generator(x.to(self.device), s).float().clamp(-1.0, 1.0)

    def _checked(self, reference: Tensor) -> Tensor:
        given, own = list(reference.shape[1:]), list(self.image_shape)
        if given != own:
            raise UserError(f"style images have shape {given}; styles are told from {own}")
        return reference
