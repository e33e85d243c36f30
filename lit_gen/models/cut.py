r"""CUT: translation one way between two domains without pairs, each patch of the output bound to the input's patch.

With H a small network on maps of the generator's encoder, and the patchwise contrastive loss of
`lit_gen.functional.patch_nce`,

.. math:: L = L_{GAN}(G, D) + \lambda_X L_{PatchNCE}(G, H, X) + \lambda_Y L_{PatchNCE}(G, H, Y)
"""

__all__ = ["CUT"]

from collections.abc import Mapping, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from lit_gen.contracts import Batch, Generators, Shape, SupportsEncoderMaps
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, LeastSquaresLoss
from lit_gen.functional.patch_nce import patch_nce
from lit_gen.nn.factories import DiscriminatorFactory, TranslatorFactory
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.patch_head import PatchHead
from lit_gen.nn.resnet_translator import ResNetTranslator
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.modes import evaluating
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions
from lit_gen.training.translation import TranslationModule


class CUT(TranslationModule):
    r"""Creates CUT, from ``source`` (X) to ``image`` (Y), which have the same number of channels.

    FastCUT is CUT with an `nce_weight` of 10, an `identity_weight` of 0 and `flip_equivariance`.

    References:
        | Contrastive Learning for Unpaired Image-to-Image Translation (Park et al., 2020)
        | https://arxiv.org/abs/2007.15651

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        source_shape: The sources', None for the images'; the data decide it.
        generator: Makes the generator, whose encoder's maps are compared.
        discriminator: Makes the discriminator.
        loss: What the two play for.
        nce_weight: The weight λ_X of the contrastive loss between a source and its translation.
        identity_weight: The weight λ_Y of the same between an image and what the generator makes of it; 0 for none.
        temperature: The contrastive loss's τ.
        num_patches: The most positions of each map that are compared.
        head_features: The size of their embeddings.
        flip_equivariance: Whether half the batches are mirrored for the generator, and its output's maps mirrored back.
        discriminator_weight: What the discriminator's loss is multiplied by, to slow it down.
        generator_optimizer: Makes the optimizer of generator and head.
        discriminator_optimizer: Makes the discriminator's optimizer.
        generator_schedule: Makes the learning-rate schedule of generator and head, stepped once per training batch.
        discriminator_schedule: Makes the discriminator's, likewise.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("generator",)

    def __init__(
        self,
        image_shape: Shape,
        source_shape: Shape | None = None,
        generator: TranslatorFactory = ResNetTranslator,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        loss: AdversarialLoss = LeastSquaresLoss(scale=1.0),  # noqa: B008 (a value without state)
        nce_weight: float = 1.0,
        identity_weight: float = 1.0,
        temperature: float = 0.07,
        num_patches: int = 256,
        head_features: int = 256,
        flip_equivariance: bool = False,
        discriminator_weight: float = 0.5,
        generator_optimizer: OptimizerCallable = AdversarialAdam,
        discriminator_optimizer: OptimizerCallable = AdversarialAdam,
        generator_schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, source_shape, options)
        if self.source_shape != self.image_shape:
            raise UserError(
                f"CUT needs sources and images of as many channels, to encode both; sources have {self.source_shape[0]}"
                f" and images {self.image_shape[0]}"
            )
        for name, value in (("num_patches", num_patches), ("head_features", head_features)):
            if value < 1:
                raise UserError(f"model.{name} is {value}, and must be at least 1")
        if not temperature > 0 or not nce_weight > 0:
            raise UserError(f"temperature is {temperature} and nce_weight {nce_weight}; both must be above 0")
        self.loss, self.nce_weight, self.identity_weight = loss, nce_weight, identity_weight
        self.temperature, self.num_patches, self.flip_equivariance = temperature, num_patches, flip_equivariance
        self.discriminator_weight = discriminator_weight
        self.generator = generator(source_shape=self.source_shape, image_shape=self.image_shape)
        if not isinstance(self.generator, SupportsEncoderMaps):
            raise UserError(
                f"CUT compares maps of the generator's encoder, and {type(self.generator).__name__} has no `encode`; "
                "ResNetTranslator has"
            )
        self.head = PatchHead(self.generator.encoded_channels, head_features)
        self.discriminator = discriminator(image_shape=self.image_shape, num_classes=None)
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "generator": Player(["generator", "head"], generator_optimizer, generator_schedule),
        }

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [Phase("discriminator", self.discriminator_loss), Phase("generator", self.generator_loss)]

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on images and on translated sources."""
        x, y = self.pair(batch)
        with torch.no_grad():
            fake = self.fast("generator")(x.flip(3) if self._flips() else x)
        real_logits, fake_logits = self._judge(y), self._judge(fake)
        self.record({"logit/real": real_logits.mean(), "logit/fake": fake_logits.mean()})
        return self.discriminator_weight * self.loss.discriminator(real_logits, fake_logits)

    def generator_loss(self, batch: Batch) -> Tensor:
        """Returns the generator's adversarial loss and the contrastive losses of both domains."""
        x, y = self.pair(batch)
        flipped = self._flips()
        fake = self.fast("generator")(x.flip(3) if flipped else x)
        with torch.no_grad():
            compared = [self._judge(y)] if self.loss.relativistic else []
        adversarial = self.loss.generator(self._judge(fake), *compared)
        nce = self.contrast(x, fake, flipped)
        self.record({"adversarial": adversarial, "nce": nce})
        loss = adversarial + self.nce_weight * nce
        if self.identity_weight:
            identity = self.contrast(y, self.fast("generator")(y))
            self.record({"identity_nce": identity})
            loss = loss + self.identity_weight * identity
        return loss

    def contrast(self, source: Tensor, output: Tensor, flipped: bool = False) -> Tensor:
        """Returns the contrastive loss between sources and what became of them, a mean over the encoder's maps.

        Arguments:
            source: Sources, shape [B, C, H, W].
            output: The generator's outputs, shape [B, C, H, W].
            flipped: Whether the generator was given the sources mirrored.
        """
        assert isinstance(self.generator, SupportsEncoderMaps)
        with torch.no_grad():
            keys = self.generator.encode(source)
        queries = self.generator.encode(output)
        if flipped:
            queries = [x.flip(3) for x in queries]
        positions = self.head.positions(keys, self.num_patches)
        with torch.no_grad():
            embedded = self.head(keys, positions)
        pairs = zip(self.head(queries, positions), embedded, strict=True)
        return torch.stack([patch_nce(q, k, self.temperature) for q, k in pairs]).mean()

    def _flips(self) -> bool:
        return self.flip_equivariance and float(torch.rand(())) < 0.5

    def _judge(self, image: Tensor) -> Tensor:
        return self.fast("discriminator")(image, None).float()

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the contrastive loss of held-out sources, and the discriminator's verdict on held-out images."""
        x, y = self.pair(batch)
        nce = self.contrast(x, self.translate(batch))
        return {"nce/held_out": nce, "logit/held_out": self._judge(y).mean()}

    @torch.no_grad()
    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Maps a batch's sources [B, C, H, W], of any size, to images in [−1, 1], shape [B, C, H, W]."""
        (x,) = self.require(batch, "source")
        with evaluating(self.generator):
            return self.generator(x.to(self.device)).float()
