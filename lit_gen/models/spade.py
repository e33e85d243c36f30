r"""SPADE (GauGAN): images from label maps, by norms whose gains and biases follow the map.

With m the map's planes, y the image, D_s the discriminator at scale s of S, f its maps, and E the style encoder,

.. math:: L_G = \frac{1}{S} \sum_s \Big( -D_s(m, G(m, z)) + \lambda_F \sum_l \frac{1}{N_l}
    \| f_{s,l}(m, y) - f_{s,l}(m, G(m, z)) \|_1 \Big) + \lambda_{KL} \, \mathrm{KL}(E(y) \,\|\, N(0, 1))
"""

__all__ = ["SPADE"]

from collections.abc import Mapping, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from lit_gen.contracts import Batch, Generators, Shape, SupportsFeatureMaps
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, HingeLoss
from lit_gen.functional.feature_matching import feature_matching
from lit_gen.functional.gaussian_kl import gaussian_kl
from lit_gen.functional.instance_edges import instance_edges
from lit_gen.functional.label_planes import label_planes
from lit_gen.functional.noise import randn
from lit_gen.nn.factories import (
    ConditionedGeneratorFactory,
    DiscriminatorFactory,
    GaussianEncoderFactory,
    PerceptualFactory,
)
from lit_gen.nn.multi_scale_discriminator import MultiScaleDiscriminator
from lit_gen.nn.spade_generator import SpadeGenerator
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.modes import evaluating
from lit_gen.training.optimizers import FastAdam, SlowAdam
from lit_gen.training.options import TrainingOptions
from lit_gen.training.translation import TranslationModule


class SPADE(TranslationModule):
    r"""Creates SPADE, from ``label_map`` (and ``instance``) to ``image``.

    References:
        | Semantic Image Synthesis with Spatially-Adaptive Normalization (Park et al., 2019)
        | https://arxiv.org/abs/1903.07291

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_label_classes: The number of classes K in label maps; the data decide it.
        latent_dim: The size of the noise that the generator starts from; 0 starts it from the label map alone.
        generator: Makes the generator.
        discriminator: Makes the discriminator, of images with the label map's planes before theirs.
        encoder: Makes the encoder of an image's style, which takes the noise's place in training; None for none.
        perceptual: Makes the frozen network by whose maps images are compared too, such as VGG19's; None for none.
        loss: What generator and discriminator play for, a mean over scales.
        feature_weight: The weight λ_F of the distance between the discriminator's maps; 0 for none.
        kl_weight: The weight λ_KL of the encoder's divergence, summed over dimensions, a mean over the batch.
        perceptual_weight: The weight of the distance between the frozen network's maps.
        l1_weight: The weight of the L1 distance between images, which the paper lacks; 0 for none. It can take the
            place of a frozen network's maps, which keep colours and contents near the image's likewise.
        edges: Whether the borders between instances are a plane more.
        generator_optimizer: Makes the optimizer of generator and encoder.
        discriminator_optimizer: Makes the discriminator's optimizer.
        generator_schedule: Makes the learning-rate schedule of generator and encoder, stepped once per training batch.
        discriminator_schedule: Makes the discriminator's, likewise.
        options: Accumulation, clipping, compilation, memory format.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_label_classes: int | None = None,
        latent_dim: int = 256,
        generator: ConditionedGeneratorFactory = SpadeGenerator,
        discriminator: DiscriminatorFactory = MultiScaleDiscriminator,
        encoder: GaussianEncoderFactory | None = None,
        perceptual: PerceptualFactory | None = None,
        loss: AdversarialLoss = HingeLoss(),  # noqa: B008 (a value without state)
        feature_weight: float = 10.0,
        kl_weight: float = 0.05,
        perceptual_weight: float = 10.0,
        l1_weight: float = 0.0,
        edges: bool = False,
        generator_optimizer: OptimizerCallable = SlowAdam,
        discriminator_optimizer: OptimizerCallable = FastAdam,
        generator_schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        if num_label_classes is None:
            raise UserError("SPADE needs label maps: LabelledMaps has them, and Sprites with --data.kind label_maps")
        if encoder is not None and latent_dim < 1:
            raise UserError(f"model.latent_dim is {latent_dim}, and must be at least 1 for an encoder of style")
        channels, height, width = image_shape
        super().__init__(image_shape, (num_label_classes + 1 + int(edges), height, width), options)
        self.num_label_classes, self.latent_dim, self.edges, self.loss = num_label_classes, latent_dim, edges, loss
        self.feature_weight, self.kl_weight = feature_weight, kl_weight
        self.perceptual_weight, self.l1_weight = perceptual_weight, l1_weight
        self.generator = generator(source_shape=self.source_shape, image_shape=self.image_shape, latent_dim=latent_dim)
        seen = (self.source_shape[0] + channels, height, width)
        self.discriminator = discriminator(image_shape=seen, num_classes=None)
        if not isinstance(self.discriminator, SupportsFeatureMaps):
            raise UserError(
                f"SPADE compares maps of the discriminator, and {type(self.discriminator).__name__} has no `scales`; "
                "MultiScaleDiscriminator has"
            )
        self.encoder = None if encoder is None else encoder(image_shape=self.image_shape, latent_dim=latent_dim)
        # Made when training needs it, and kept outside the module's own attributes: it is no part of the model, which
        # checkpoints hold and which translates without it.
        self.perceptual, self._perceptual = perceptual, list[nn.Module]()
        self.averaged_networks = ("generator",) if encoder is None else ("generator", "encoder")
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "generator": Player(self.averaged_networks, generator_optimizer, generator_schedule),
        }

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [Phase("discriminator", self.discriminator_loss), Phase("generator", self.generator_loss)]

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.perceptual is not None:
            self._perceptual_network()  # what is wrong with it is to be known before training

    def planes(self, batch: Batch) -> Tensor:
        """Returns the planes [B, S, H, W] of a batch's label maps: classes, unknown, and the instances' edges."""
        (label_map,) = self.require(batch, "label_map")
        planes = label_planes(label_map.to(self.device), self.num_label_classes)
        if self.edges:
            (instance,) = self.require(batch, "instance")
            planes = torch.cat([planes, instance_edges(instance.to(self.device))], dim=1)
        return planes

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on images and on generated ones, both with their label maps."""
        m, (y,) = self.planes(batch), self.require(batch, "image")
        with torch.no_grad():
            fake = self.fast("generator")(m, self._latent(y)[0])
        real_logits, fake_logits = self._logits(self._maps(m, y)), self._logits(self._maps(m, fake))
        self.record({"logit/real": _mean([x.mean() for x in real_logits])})
        self.record({"logit/fake": _mean([x.mean() for x in fake_logits])})
        return _mean([self.loss.discriminator(*pair) for pair in zip(real_logits, fake_logits, strict=True)])

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns the generator's adversarial loss, and, weighted, the distances between maps and the divergence."""
        m, (y,) = self.planes(batch), self.require(batch, "image")
        z, divergence = self._latent(y)
        fake = self.fast("generator")(m, z)
        maps = self._maps(m, fake)
        with torch.no_grad():
            wanted = self._maps(m, y) if self.feature_weight or self.loss.relativistic else maps
        compared = [[x] if self.loss.relativistic else [] for x in self._logits(wanted)]
        logits = zip(self._logits(maps), compared, strict=True)
        loss = adversarial = _mean([self.loss.generator(x, *others) for x, others in logits])
        self.record({"adversarial": adversarial})
        if self.feature_weight:
            pairs = zip(maps, wanted, strict=True)
            distance = _mean([feature_matching(ours[:-1], theirs[:-1]) for ours, theirs in pairs])
            self.record({"feature_matching": distance})
            loss = loss + self.feature_weight * distance
        if self.l1_weight:
            distance = l1_loss(fake.float(), y)
            self.record({"l1": distance})
            loss = loss + self.l1_weight * distance
        if divergence is not None:
            self.record({"kl": divergence.mean()})
            loss = loss + self.kl_weight * divergence.mean()
        if self.perceptual is not None:
            network = self._perceptual_network()
            distance = feature_matching(network(fake), network(y), network.weights)  # type: ignore[arg-type]
            self.record({"perceptual": distance})
            loss = loss + self.perceptual_weight * distance
        return loss

    def _perceptual_network(self) -> nn.Module:
        if not self._perceptual:
            assert self.perceptual is not None
            self._perceptual.append(self.perceptual().requires_grad_(False).eval())
        return self._perceptual[0].to(self.device)

    def _latent(self, y: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Returns z [B, latent_dim], if there is any, and its divergence [B], if images' styles are what it is."""
        if not self.latent_dim:
            return None, None
        noise = randn((len(y), self.latent_dim), None, y.device)
        if self.encoder is None:
            return noise, None
        mean, log_variance = (x.float() for x in self.fast("encoder")(y))
        return mean + (0.5 * log_variance).exp() * noise, gaussian_kl(mean, log_variance)

    def _maps(self, m: Tensor, y: Tensor) -> list[list[Tensor]]:
        assert isinstance(self.discriminator, SupportsFeatureMaps)
        return self.discriminator.scales(torch.cat([m.to(y.dtype), y], dim=1))

    def _logits(self, maps: list[list[Tensor]]) -> list[Tensor]:
        return [scale[-1].float() for scale in maps]

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the L1 distance in [−1, 1] to the maps' images, and the discriminator's verdict on these."""
        m, (y,) = self.planes(batch), self.require(batch, "image")
        verdict = _mean([x.mean() for x in self._logits(self._maps(m, y))])
        return {"l1/held_out": l1_loss(self.translate(batch), y), "logit/held_out": verdict}

    @torch.no_grad()
    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Maps a batch's label maps [B, H, W], of any size, to images in [−1, 1], shape [B, C, H, W].

        Arguments:
            batch: ``label_map``, and ``instance`` for edges; and perhaps ``style``, images [B, C, h, w] whose style is
                taken, its mean, in place of noise.
            generator: The source of the noise; see `lit_gen.contracts.SupportsTranslate`.

        Raises:
            UserError: If a style is given and there is no encoder.
        """
        m = self.planes(batch)
        if "style" in batch and self.encoder is None:
            raise UserError("this SPADE has no encoder to take a style by: train one with --model.encoder StyleEncoder")
        with evaluating(*[self.generator, *([] if self.encoder is None else [self.encoder])]):
            if "style" in batch:
                assert self.encoder is not None
                z = self.encoder(batch["style"].to(self.device))[0].float()
            else:
                z = randn((len(m), self.latent_dim), generator, m.device) if self.latent_dim else None
            return self.generator(m, z).float()


def _mean(terms: Sequence[Tensor]) -> Tensor:
    """Returns the mean of scalars, one per scale."""
    return torch.stack(list(terms)).mean()
