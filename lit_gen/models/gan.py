r"""Generative adversarial networks: one module, in which networks, loss, regularizers and tricks are values.

A generator G maps latents z ~ N(0, I) to images; a discriminator D tells them from the data:

.. math:: \min_G \max_D \; E_x[\log D(x)] + E_z[\log(1 - D(G(z)))]
"""

__all__ = ["GAN"]

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lit_gen.contracts import Batch, Generators, Shape, SupportsTruncation
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, NonSaturatingLoss
from lit_gen.functional.augmentation import Augmentation
from lit_gen.functional.auxiliary import Auxiliary
from lit_gen.functional.class_labels import checked_label, drawn_label
from lit_gen.functional.noise import randn, truncated_randn
from lit_gen.functional.regularizer import (
    Critique,
    DiscriminatorRegularizer,
    GeneratorRegularizer,
    Regularizer,
    WeightConstraint,
)
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.nn.factories import DiscriminatorFactory, GeneratorFactory
from lit_gen.training.adversarial import AdversarialModule, Phase, Player
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions


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
        regularizers: Terms that join the losses, and constraints on the discriminator's weights.
        augmentation: Changes every image, real or generated, before the discriminator sees it.
        auxiliary: What the discriminator predicts beside its verdict.
        latent_dim: The size of the latent; an `auxiliary` may append codes to it.
        conditional: Whether the class label is known to both networks.
        label_sampling: The labels of generated images: ``empirical``, those of the batch's real ones, or ``uniform``.
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
        regularizers: Sequence[Regularizer] = (),
        augmentation: Augmentation | None = None,
        auxiliary: Auxiliary | None = None,
        latent_dim: int = 100,
        conditional: bool = False,
        label_sampling: Literal["empirical", "uniform"] = "empirical",
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
        if label_sampling not in ("empirical", "uniform"):
            raise UserError(f"model.label_sampling is '{label_sampling}'; it can be 'empirical' or 'uniform'")
        for name, value in (("n_critic", n_critic), ("latent_dim", latent_dim)):
            if value < 1:
                raise UserError(f"model.{name} is {value}, and must be at least 1")
        if auxiliary is not None and auxiliary.needs_label and not conditional:
            raise UserError(f"{type(auxiliary).__name__} needs labels: set model.conditional to true")
        self.image_shape: Shape = (image_shape[0], image_shape[1], image_shape[2])
        self.num_classes = num_classes if conditional else None
        self.latent_dim, self.n_critic, self.label_sampling = latent_dim, n_critic, label_sampling
        self.loss, self.augmentation, self.auxiliary = loss, augmentation, auxiliary
        self.regularizers = nn.ModuleList(regularizers)
        self.generator = generator(
            image_shape=self.image_shape,
            latent_dim=latent_dim + (auxiliary.num_codes if auxiliary else 0),
            num_classes=self.num_classes,
        )
        self.discriminator = self._make(discriminator)
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "generator": Player(["generator"], generator_optimizer, generator_schedule),
        }

    def _make(self, discriminator: DiscriminatorFactory) -> nn.Module:
        if self.auxiliary is None:
            return discriminator(image_shape=self.image_shape, num_classes=self.num_classes)
        told = None if self.auxiliary.needs_label else self.num_classes
        outputs = 1 + self.auxiliary.num_outputs(self.num_classes)
        return discriminator(image_shape=self.image_shape, num_classes=told, num_outputs=outputs)  # type: ignore[call-arg]

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        d, g, k, constrain = "discriminator", "generator", self.n_critic, self._constrain
        lazy_d, lazy_g = self._terms(DiscriminatorRegularizer, True), self._terms(GeneratorRegularizer, True)
        return [
            Phase(d, self.discriminator_loss, after=constrain),
            *(Phase(d, partial(self._discriminator_term, r), r.every, True, constrain) for r in lazy_d),
            Phase(g, self.generator_loss, k),
            *(Phase(g, partial(self._generator_term, r), k * r.every, lazy=True) for r in lazy_g),
        ]

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on a batch and as many fresh fakes; the generator gets no gradient."""
        x, y = self._real(batch)
        z, fake_y = self.latents(len(x)), self._fake_labels(y, len(x))
        with torch.no_grad():
            fake = self.fast("generator")(z, fake_y)
        terms = self._terms(DiscriminatorRegularizer, False)
        exact = x.dtype == torch.float32 and not (torch.is_autocast_enabled(x.device.type) or self.options.compile)
        if exact and any(term.needs_gradient for term in terms):
            # Penalties on these images' gradients then share the pass that the loss takes anyway.
            x, fake = x.detach().requires_grad_(), fake.requires_grad_()
        real_logits, real_outputs = self._judge(x, y)
        fake_logits, fake_outputs = self._judge(fake, fake_y)
        self.record({"logit/real": real_logits.mean(), "logit/fake": fake_logits.mean()})
        loss = self.loss.discriminator(real_logits, fake_logits)
        if self.auxiliary is not None:
            told = self.auxiliary.real_loss(real_outputs, y)
            told = told + self.auxiliary.fake_loss(fake_outputs, fake_y, z[:, self.latent_dim :])
            self.record({"auxiliary/discriminator": told})
            loss = loss + told
        if self.augmentation is not None:
            # A relativistic loss leaves open where 0 lies: there a logit's sign says nothing, a difference's does.
            sure = real_logits - fake_logits if self.loss.relativistic else real_logits
            self.record(self.augmentation.observe(sure.detach().float()))
        if terms:
            critique = self._critique(x, fake, y, fake_y, real_logits.float(), fake_logits.float())
            loss = loss + sum(self._recorded(term, partial(term, critique)) for term in terms)
        return loss

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns the generator's loss on as many fresh latents as the batch has images."""
        x, y = self._real(batch)
        z, fake_y = self.latents(len(x)), self._fake_labels(y, len(x))
        logits, outputs = self._judge(self.fast("generator")(z, fake_y), fake_y)
        with torch.no_grad():
            compared = [self._judge(x, y)[0]] if self.loss.relativistic else []
        loss = self.loss.generator(logits, *compared)
        if self.auxiliary is not None:
            told = self.auxiliary.fake_loss(outputs, fake_y, z[:, self.latent_dim :])
            self.record({"auxiliary/generator": told})
            loss = loss + told
        for term in self._terms(GeneratorRegularizer, False):
            loss = loss + self._recorded(term, partial(term, self.generator, z, fake_y))
        return loss

    def _discriminator_term(self, term: DiscriminatorRegularizer, batch: Batch) -> Tensor:
        x, y = self._real(batch)
        fake_y = self._fake_labels(y, len(x))
        with torch.no_grad():
            fake = self.fast("generator")(self.latents(len(x)), fake_y)
        return term.every * self._recorded(term, partial(term, self._critique(x, fake, y, fake_y)))

    def _generator_term(self, term: GeneratorRegularizer, batch: Batch) -> Tensor:
        x, y = self._real(batch)
        z, fake_y = self.latents(len(x)), self._fake_labels(y, len(x))
        return term.every * self._recorded(term, partial(term, self.generator, z, fake_y))

    def _constrain(self) -> None:
        for constraint in self._terms(WeightConstraint, False) + self._terms(WeightConstraint, True):
            if self.step % constraint.every == 0:
                constraint(self.discriminator)

    def _terms(self, kind: type[Regularizer], lazy: bool) -> list[Any]:
        return [term for term in self.regularizers if isinstance(term, kind) and (term.every > 1) is lazy]

    def _recorded(self, term: Regularizer, compute: Callable[[], Tensor]) -> Tensor:
        # Penalties differentiate twice, for which half precision has too few digits.
        with torch.autocast(self.device.type, enabled=False):
            value = compute()
        self.record({f"penalty/{type(term).__name__}": value})
        return value

    def _critique(self, x: Tensor, fake: Tensor, y: Tensor | None, fake_y: Tensor | None, *logits: Tensor) -> Critique:
        def critic(image: Tensor, label: Tensor | None) -> Tensor:
            return self._judge(image, label, self.discriminator)[0]

        return Critique(critic, x.float(), fake.float(), y, fake_y, *logits)

    def _judge(self, x: Tensor, y: Tensor | None, discriminator: nn.Module | None = None) -> tuple[Tensor, Tensor]:
        """Returns the discriminator's logits [B] of images, augmented if that is asked for, and its other outputs."""
        if self.augmentation is not None and self.training:
            x = self.augmentation(x)
        told = None if self.auxiliary is not None and self.auxiliary.needs_label else y
        outputs = (discriminator or self.fast("discriminator"))(x, told)
        return (outputs, outputs[:, None][:, 1:]) if outputs.ndim == 1 else (outputs[:, 0], outputs[:, 1:])

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the mean logit of held-out images, which falls when training images are learnt by heart."""
        x, y = self._real(batch)
        return {"logit/held_out": self._judge(x, y, self.discriminator)[0].mean()}

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples in [−1, 1] as the batch has images, of its labels if conditional."""
        x, y = self._real(batch)
        return self.sample(len(x), y)

    @torch.no_grad()
    def sample(
        self,
        num: int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """Draws images in [−1, 1], shape [num, C, H, W]; see `lit_gen.contracts.SupportsSample`.

        Arguments:
            num: The number of images.
            label: Their labels, shape [num]; drawn uniformly by default, if the model is conditional.
            generator: The source of randomness.
            truncation: What is given of variety for fidelity, above 0. Where the generator has a mapping network, the
                share of the way from the mean style; else the largest magnitude of a latent's component.

        Raises:
            UserError: If labels are given to an unconditional model, or are out of range.
        """
        z = self.latents(num, generator, None if isinstance(self.generator, SupportsTruncation) else truncation)
        label = drawn_label(label, num, self.num_classes, generator, self.device)
        return self.generate(z, label, truncation)

    def latents(self, num: int, generator: Generators | None = None, truncation: float | None = None) -> Tensor:
        """Draws latents, with an auxiliary's codes at their end, shape [num, D]; see `sample`."""
        draw = randn if truncation is None else partial(truncated_randn, limit=truncation)
        z = draw((num, self.latent_dim), generator=generator, device=self.device)
        return z if self.auxiliary is None else torch.cat([z, self.auxiliary.codes(num, generator, self.device)], dim=1)

    def generate(self, z: Tensor, label: Tensor | None = None, truncation: float | None = None) -> Tensor:
        """Maps latents [B, D] and labels [B] to images in [−1, 1], shape [B, C, H, W].

        Raises:
            UserError: If labels are given to an unconditional model, are missing or out of range.
        """
        label = checked_label(label, self.num_classes, self.device)
        if truncation is not None and isinstance(self.generator, SupportsTruncation):
            return self.generator.truncated(z, label, truncation)
        return self.generator(z, label)

    def _real(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        x, *y = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return x, y[0] if y else None

    def _fake_labels(self, y: Tensor | None, num: int) -> Tensor | None:
        if y is None or self.label_sampling == "empirical":
            return y
        return torch.randint(self.num_classes or 0, (num,), device=y.device)
