r"""VQ-GAN: an autoencoder of discrete codes whose images a discriminator of patches judges.

With x̂ = D(e) the image made of x's codes, φ the maps of a frozen network, C the discriminator and G_L the last layer of
the decoder,

.. math::
    L_\mathrm{rec} &= \| x - \hat x \|_1 + w_\phi \, \| \phi(x) - \phi(\hat x) \|_1

    L &= L_\mathrm{rec} + \beta \, \| E(x) - \mathrm{sg}(e) \|^2 + w \lambda \, L_C(\hat x), \quad
    \lambda = \frac{\| \nabla_{G_L} L_\mathrm{rec} \|}{\| \nabla_{G_L} L_C \| + \delta}
"""

__all__ = ["VQGAN"]

from collections.abc import Mapping, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from lit_gen.contracts import Batch, Shape
from lit_gen.errors import UserError
from lit_gen.functional.across_processes import mean_across_processes
from lit_gen.functional.adversarial import AdversarialLoss, HingeLoss
from lit_gen.functional.feature_matching import feature_matching
from lit_gen.nn.factories import DiscriminatorFactory, MapDecoderFactory, MapEncoderFactory, PerceptualFactory
from lit_gen.nn.map_autoencoder import MapDecoder, MapEncoder
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.vector_quantizer import VectorQuantizer
from lit_gen.training.adversarial import Phase, Player
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions
from lit_gen.training.quantised import QuantisedModule

_DELTA, _MOST, _SCALE = 1e-6, 1e4, 2.0**14


class VQGAN(QuantisedModule):
    r"""Creates a VQ-GAN, whose codebook is moved by averages, not by gradients.

    References:
        | Taming Transformers for High-Resolution Image Synthesis (Esser, Rombach & Ommer, 2021), section 3.1
        | https://arxiv.org/abs/2012.09841

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        encoder: Makes the encoder of maps.
        decoder: Makes the decoder of maps.
        discriminator: Makes the discriminator C, of patches or of whole images.
        perceptual: Makes the frozen network by whose maps images are compared too, such as VGG19's; None for none.
        loss: What discriminator and autoencoder play for; not a relativistic one.
        num_codes: The number of codes.
        code_dim: Their size.
        commitment_weight: The weight β of the distance between the encoder's vectors and their codes.
        perceptual_weight: The weight w_φ of the distance between the frozen network's maps.
        adversarial_weight: The weight w of the adversarial loss, beside λ.
        adversarial_start: The step from which on there is a discriminator.
        decay: The decay of the codebook's averages.
        restart_below: When a code is rare and restarted; see `VectorQuantizer`.
        optimizer: Makes the autoencoder's optimizer.
        discriminator_optimizer: Makes the discriminator's.
        schedule: Makes the autoencoder's learning-rate schedule, stepped once per training batch.
        discriminator_schedule: Makes the discriminator's, likewise.
        options: Accumulation, clipping, compilation, memory format.
    """

    def __init__(
        self,
        image_shape: Shape,
        encoder: MapEncoderFactory = MapEncoder,
        decoder: MapDecoderFactory = MapDecoder,
        discriminator: DiscriminatorFactory = PatchDiscriminator,
        perceptual: PerceptualFactory | None = None,
        loss: AdversarialLoss = HingeLoss(),  # noqa: B008 (a value without state)
        num_codes: int = 1024,
        code_dim: int = 256,
        commitment_weight: float = 0.25,
        perceptual_weight: float = 1.0,
        adversarial_weight: float = 0.8,
        adversarial_start: int = 0,
        decay: float = 0.99,
        restart_below: float = 0.03,
        optimizer: OptimizerCallable = AdversarialAdam,
        discriminator_optimizer: OptimizerCallable = AdversarialAdam,
        schedule: LRSchedulerCallable | None = None,
        discriminator_schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, options)
        if loss.relativistic:
            raise UserError(f"VQGAN's loss is {type(loss).__name__}, which compares logits in pairs: take HingeLoss")
        if adversarial_start < 0:
            raise UserError(f"model.adversarial_start is {adversarial_start}, and must be 0 or more")
        self.loss, self.commitment_weight, self.perceptual_weight = loss, commitment_weight, perceptual_weight
        self.adversarial_weight, self.adversarial_start = adversarial_weight, adversarial_start
        self.encoder = encoder(image_shape=self.image_shape, channels=code_dim)
        self.quantizer = VectorQuantizer(num_codes, code_dim, decay, restart_below)
        self.decoder = decoder(map_shape=(code_dim, *self.code_shape), output_shape=self.image_shape)
        self.discriminator = discriminator(image_shape=self.image_shape, num_classes=None)
        # Made when training needs it, and no part of the model, which checkpoints hold; see `SPADE`.
        self.perceptual, self._perceptual = perceptual, list[nn.Module]()
        self._players = {
            "discriminator": Player(["discriminator"], discriminator_optimizer, discriminator_schedule),
            "autoencoder": Player(["encoder", "decoder"], optimizer, schedule),
        }

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [
            Phase("discriminator", self.discriminator_loss),
            Phase("autoencoder", self.autoencoder_loss, after=self.update_codebook),
        ]

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.perceptual is not None:
            self._perceptual_network()  # what is wrong with it is to be known before training

    @property
    def judged(self) -> bool:
        """Whether the discriminator plays in this step."""
        return self.step >= self.adversarial_start

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Returns the discriminator's loss on images and on what is made of their codes."""
        (x,) = self.require(batch, "image")
        if not self.judged:
            return torch.stack([0.0 * p.sum() for p in self.discriminator.parameters()]).sum()
        with torch.no_grad():
            fake = self.fast("decoder")(self.quantizer(self.fast("encoder")(x))[0])
        real_logits, fake_logits = self._judge(x), self._judge(fake)
        self.record({"logit/real": real_logits.mean(), "logit/fake": fake_logits.mean()})
        return self.loss.discriminator(real_logits, fake_logits)

    def autoencoder_loss(self, batch: Batch) -> Tensor:
        """Returns the error of images, the distance to the codes, and the adversarial loss, as strong as the error."""
        (x,) = self.require(batch, "image")
        e, commitment, _ = self.quantizer(self.fast("encoder")(x))
        fake = self.decoder(e).float()  # never compiled: compiled networks are differentiated once
        error = distance = l1_loss(fake, x)
        if self.perceptual is not None:
            network = self._perceptual_network()
            perceptual = feature_matching(network(fake), network(x), network.weights)  # type: ignore[arg-type]
            self.record({"perceptual": perceptual})
            error = error + self.perceptual_weight * perceptual
        self.record({"l1": distance, "commitment": commitment})
        loss = error + self.commitment_weight * commitment
        if not self.judged:
            return loss
        adversarial = self.loss.generator(self._judge(fake))
        balance = self._balance(error, adversarial)
        self.record({"adversarial": adversarial, "balance": balance})
        return loss + self.adversarial_weight * balance * adversarial

    def _balance(self, error: Tensor, adversarial: Tensor) -> Tensor:
        """Returns λ, with the gradients of all processes' images."""
        last = [p for p in self.decoder.parameters() if p.ndim > 1][-1]
        # A mean over all pixels has gradients that float16 cannot hold, and no scaler sees these.
        gradients = [torch.autograd.grad(_SCALE * term, last, retain_graph=True)[0] for term in (error, adversarial)]
        wanted, unwanted = (mean_across_processes(gradient.float() / _SCALE).norm() for gradient in gradients)
        return (wanted / (unwanted + _DELTA)).clamp(max=_MOST)

    def _judge(self, image: Tensor) -> Tensor:
        return self.fast("discriminator")(image, None).float()

    def _perceptual_network(self) -> nn.Module:
        if not self._perceptual:
            assert self.perceptual is not None
            self._perceptual.append(self.perceptual().requires_grad_(False).eval())
        return self._perceptual[0].to(self.device)
