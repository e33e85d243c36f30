r"""Latent diffusion: a diffusion model of what another model makes of images.

With latents z = encode(x), moved and scaled to have mean 0 and variance 1,

.. math:: L = E_{z, \epsilon, t}\big[w(t) \, \|F(z_t, t) - (a z + b \epsilon)\|^2\big], \qquad x = \mathrm{decode}(z)
"""

__all__ = ["LatentDiffusion"]

from collections.abc import Sequence

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Adam

from lit_gen.contracts import Batch, Shape, SupportsEncode, SupportsGenerate, SupportsLatentMaps
from lit_gen.errors import UserError
from lit_gen.functional.across_processes import mean_across_processes
from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.diffusion_weighting import DiffusionWeighting, SimpleWeighting
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.parameterisation import EpsilonPrediction, Parameterisation
from lit_gen.functional.sampler import Sampler
from lit_gen.functional.samplers import Ancestral
from lit_gen.functional.tabulated_schedules import LinearBetas
from lit_gen.functional.time_distribution import TimeDistribution, UniformTime
from lit_gen.nn.factories import DenoiserFactory
from lit_gen.training.diffusion import DiffusionModule
from lit_gen.training.frozen_autoencoder import frozen_autoencoder
from lit_gen.training.modes import evaluating
from lit_gen.training.options import TrainingOptions


class LatentDiffusion(DiffusionModule):
    r"""Creates a diffusion model of the latents of a trained model, such as a VQ-VAE or a VAE.

    Latents are maps: the encoder's, before they are quantised, where there are codes, and what comes out of the
    diffusion is quantised before it is decoded; or the mean of q(z|x), as maps of one pixel, for which `DenseDenoiser`
    is the network. The mean of each channel and one deviation of all numbers are measured in the first batch of
    training, and kept in checkpoints.

    A checkpoint of it holds the model of latents too, how it is built and its weights, which training leaves as they
    are: the file that these came from is needed no more.

    References:
        | High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al., 2022), sections 3, G
        | https://arxiv.org/abs/2112.10752

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_classes: The number of classes in the data, None if unlabelled; the data decide it.
        network: Makes the denoiser, of latents: a `DiT`, say.
        latents_of: A checkpoint of a model that turns images into latents and back.
        autoencoder: That model itself, in place of a checkpoint of it.
        trust: Packages beside lit_gen and torch whose classes its checkpoint may name.
        noise_schedule: How much noise there is at each time; DDPM's `LinearBetas` by default.
        parameterisation: What the network's output means.
        weighting: What errors at each level of noise count for.
        time_distribution: How often each level is trained on.
        sampler: How latents are drawn; by `Ancestral` sampling by default. It cannot move them into [−1, 1].
        conditional: Whether the network knows the class label.
        label_dropout: The share of labels that it is not told in training, which guidance needs.
        guidance: How far samples follow their label; see `Diffusion`.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        *,
        network: DenoiserFactory,
        latents_of: str | None = None,
        autoencoder: LightningModule | None = None,
        trust: Sequence[str] = (),
        noise_schedule: NoiseSchedule | None = None,
        parameterisation: Parameterisation = EpsilonPrediction(),  # noqa: B008 (values without state, here and below)
        weighting: DiffusionWeighting = SimpleWeighting(),  # noqa: B008
        time_distribution: TimeDistribution = UniformTime(),  # noqa: B008
        sampler: Sampler | None = None,
        conditional: bool = False,
        label_dropout: float = 0.1,
        guidance: float = 1.0,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__(
            image_shape,
            num_classes,
            ["network"],
            noise_schedule or LinearBetas(),
            parameterisation,
            weighting,
            time_distribution,
            sampler or Ancestral(),
            conditional,
            label_dropout,
            guidance,
            learned_variance=False,
            bound_weight=0.0,
            optimal_transport=False,
            optimizer=optimizer,
            schedule=schedule,
            options=options,
        )
        self.check_sampler(self.sampler)
        self.autoencoder = frozen_autoencoder(
            self,
            self.image_shape,
            *("latents_of", latents_of, autoencoder, trust),
            (SupportsLatentMaps, SupportsEncode),
            "images into latents",
        )
        if not isinstance(self.autoencoder, SupportsLatentMaps | SupportsGenerate):
            raise UserError(
                f"a {type(self.autoencoder).__name__} does not turn latents into images, as model.latents_of must"
            )
        if getattr(self.autoencoder, "num_classes", None) is not None:
            raise UserError("model.latents_of is of a conditional model, which needs labels: take one that does not")
        self.data_shape = self._latent_shape()
        self.register_buffer("mean", torch.zeros(1, self.data_shape[0], 1, 1))
        self.register_buffer("std", torch.zeros(()))  # 0 until it is measured
        self.network = network(
            image_shape=self.data_shape, num_classes=self.num_classes, num_outputs=self.data_shape[0]
        )
        self.uncertainty = None

    def check_sampler(self, sampler: Sampler) -> None:
        super().check_sampler(sampler)
        if getattr(sampler, "clip", False):
            raise UserError("the sampler clips to [−1, 1], where latents do not lie: set its clip to false")

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.step == 0 and not self.std:
            self._measure(self.encoded(self.require(batch, "image")[0]))

    def _measure(self, z: Tensor) -> None:
        """Takes mean and deviation of latents [B, …] of all processes, whose batches are of one size."""
        mean = mean_across_processes(z.mean((0, 2, 3), keepdim=True))
        variance = mean_across_processes((z - mean).square().mean())
        if not 0 < variance < torch.inf:
            raise UserError("the latents of the first batch are all alike, or not finite: model.latents_of has no use")
        self.mean.copy_(mean)
        self.std.copy_(variance.sqrt())

    def observed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        image, *y = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return (self.encoded(image) - self.mean) / self._scale, y[0] if y else None

    def shown(self, x: Tensor) -> Tensor:
        return self.decoded(self._scale * x + self.mean)

    @property
    def _scale(self) -> Tensor:
        return torch.where(self.std > 0, self.std, 1.0)

    @torch.no_grad()
    def encoded(self, image: Tensor) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to their latents as the model of latents has them, [B, D, h, w]."""
        with evaluating(self.autoencoder):
            if isinstance(self.autoencoder, SupportsLatentMaps):
                return at_least_float32(self.autoencoder.encode_map(image))
            assert isinstance(self.autoencoder, SupportsEncode)
            return at_least_float32(self.autoencoder.encode(image))[:, :, None, None]

    @torch.no_grad()
    def decoded(self, z: Tensor) -> Tensor:
        """Maps latents [B, D, h, w] to images in [−1, 1], [B, C, H, W]; to NaN, if latents are not finite."""
        with evaluating(self.autoencoder):
            if isinstance(self.autoencoder, SupportsLatentMaps):
                image = self.autoencoder.decode_map(z)
            else:
                assert isinstance(self.autoencoder, SupportsGenerate)
                image = self.autoencoder.generate(z.flatten(1))
        # Codes are always finite, whatever they are the nearest of.
        return image + 0 * z.flatten(1).sum(dim=1).to(image.dtype).view(-1, 1, 1, 1)

    def _latent_shape(self) -> Shape:
        if isinstance(self.autoencoder, SupportsLatentMaps):
            return self.autoencoder.latent_shape
        return (self.encoded(torch.zeros(1, *self.image_shape)).shape[1], 1, 1)
