r"""Autoencoders: a code from which an image can be made again, learnt without labels; denoising ones too."""

__all__ = ["Autoencoder"]

from collections.abc import Mapping
from typing import Literal

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.noise import rand, randn
from lit_gen.nn.dense_autoencoder import DenseDecoder, DenseEncoder
from lit_gen.nn.factories import DecoderFactory, EncoderFactory
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.options import TrainingOptions


class Autoencoder(ObjectiveModule):
    r"""Creates an autoencoder: :math:`\min \mathrm{E}_x\, \ell(x, g(f(\tilde x)))`, where x̃ is x, or x with noise.

    It has no distribution of codes to draw from, and so no samples.

    References:
        | Reducing the Dimensionality of Data with Neural Networks (Hinton & Salakhutdinov, 2006)
        | https://doi.org/10.1126/science.1127647

        | Extracting and Composing Robust Features with Denoising Autoencoders (Vincent et al., 2008)
        | https://doi.org/10.1145/1390156.1390294

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        encoder: Makes the encoder f.
        decoder: Makes the decoder g.
        latent_dim: The size of the code.
        loss: ``mse``, the squared error in [−1, 1], or ``bce``, the cross entropy of values in [0, 1] taken as
            probabilities; summed over an image's numbers.
        noise_std: The deviation of the Gaussian noise that the encoder's images get in training.
        mask_share: The share of their pixels, all channels at once, that are blackened in training.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("encoder", "decoder")

    def __init__(
        self,
        image_shape: Shape,
        encoder: EncoderFactory = DenseEncoder,
        decoder: DecoderFactory = DenseDecoder,
        latent_dim: int = 64,
        loss: Literal["mse", "bce"] = "mse",
        noise_std: float = 0.0,
        mask_share: float = 0.0,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, ("encoder", "decoder"), optimizer, schedule, options)
        if loss not in ("mse", "bce"):
            raise UserError(f"model.loss is '{loss}'; it can be 'mse' or 'bce'")
        if latent_dim < 1:
            raise UserError(f"model.latent_dim is {latent_dim}, and must be at least 1")
        if noise_std < 0:
            raise UserError(f"model.noise_std is {noise_std}, and must be 0 or more")
        if not 0 <= mask_share < 1:
            raise UserError(f"model.mask_share is {mask_share}, and must be at least 0 and below 1")
        self.latent_dim, self.loss, self.noise_std, self.mask_share = latent_dim, loss, noise_std, mask_share
        self.encoder = encoder(image_shape=self.image_shape, num_outputs=latent_dim, num_classes=None)
        self.decoder = decoder(output_shape=self.image_shape, latent_dim=latent_dim, num_classes=None)

    def objective(self, batch: Batch) -> Tensor:
        """Returns the error of the images made of noisy ones, summed over an image's numbers, a mean over the batch."""
        (x,) = self.require(batch, "image")
        made = at_least_float32(self.fast("decoder")(self.fast("encoder")(self._noisy(x), None), None))
        if self.loss == "bce":
            error = binary_cross_entropy_with_logits(made, (at_least_float32(x) + 1) / 2, reduction="none")
        else:
            error = (made - x).square()
        return error.sum((1, 2, 3)).mean()

    def _noisy(self, x: Tensor) -> Tensor:
        if self.noise_std:
            x = x + self.noise_std * randn(tuple(x.shape), None, x.device)
        if self.mask_share:
            x = torch.where(rand((len(x), 1, *x.shape[2:]), None, x.device) < self.mask_share, -1.0, x)
        return x

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the mean squared error, in [−1, 1] and per number, of held-out images made again without noise."""
        (x,) = self.require(batch, "image")
        return {"mse/held_out": (self.reconstruct(x) - x).square().mean()}

    def encode(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to codes [B, latent_dim]; labels change nothing."""
        return at_least_float32(self.encoder(image.to(self.device), None))

    def generate(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps codes [B, latent_dim] to images in [−1, 1], [B, C, H, W]; labels change nothing."""
        made = at_least_float32(self.decoder(z, None))
        return 2 * made.sigmoid() - 1 if self.loss == "bce" else made.clamp(-1, 1)

    @torch.no_grad()
    def reconstruct(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns images made again, in [−1, 1], [B, C, H, W]; there is no noise."""
        return self.generate(self.encode(image))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the batch's images made again."""
        (x,) = self.require(batch, "image")
        return self.reconstruct(x)
