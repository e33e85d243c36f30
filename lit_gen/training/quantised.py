"""What models share that turn images into maps of codes and back."""

__all__ = ["QuantisedModule"]

import abc
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.options import TrainingOptions
from lit_gen.training.seeding import derive_seed


class QuantisedModule(AdversarialModule, abc.ABC):
    """Creates the part of a model with a codebook that does not depend on what it is trained for.

    It can be asked for codes, as `lit_gen.contracts.SupportsCodes` says, or for its maps before they are quantised, as
    `SupportsLatentMaps` does, and has no distribution of them: samples take a prior over codes, or a diffusion model
    of the maps.

    Arguments:
        image_shape: The images' channels, height and width.
        options: Accumulation, clipping, compilation, memory format.

    Attributes:
        encoder: Maps images to maps [B, D, h, w], (h, w) being its ``map_size``; the concrete model sets it, and what
            follows.
        quantizer: A `lit_gen.nn.vector_quantizer.VectorQuantizer`.
        decoder: Maps maps to images.
    """

    averaged_networks = ("encoder", "decoder")
    encoder: nn.Module
    quantizer: nn.Module
    decoder: nn.Module

    def __init__(self, image_shape: Shape, options: TrainingOptions) -> None:
        super().__init__(options)
        self.image_shape: Shape = (image_shape[0], image_shape[1], image_shape[2])

    @property
    def num_codes(self) -> int:
        """The number of codes in the codebook."""
        return len(self.quantizer.codebook)  # type: ignore[arg-type]

    @property
    def code_shape(self) -> tuple[int, int]:
        """The height and width of an image's codes."""
        return self.encoder.map_size  # type: ignore[return-value]

    @property
    def latent_shape(self) -> Shape:
        """The channels, height and width of an image's map."""
        height, width = self.code_shape
        return self.quantizer.codebook.shape[1], height, width  # type: ignore[return-value,union-attr,index]

    def update_codebook(self) -> None:
        """Moves the codes by what they stood for in this step, and records how they are used; once per step."""
        seed = derive_seed(self.run_seed, "restart", self.step)
        self.record(self.quantizer.update(seed))  # type: ignore[operator]

    @torch.no_grad()
    def encode_codes(self, image: Tensor) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to codes, int64 [B, h, w]."""
        return self.quantizer.nearest(self.encoder(image.to(self.device)))  # type: ignore[operator]

    @torch.no_grad()
    def decode_codes(self, codes: Tensor) -> Tensor:
        """Maps codes, int64 [B, h, w], to images in [−1, 1], [B, C, H, W]."""
        e = self.quantizer.look_up(codes.to(self.device))  # type: ignore[operator]
        return at_least_float32(self.decoder(e)).clamp(-1, 1)

    @torch.no_grad()
    def encode_map(self, image: Tensor) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to the encoder's maps, [B, D, h, w]."""
        return at_least_float32(self.encoder(image.to(self.device)))

    @torch.no_grad()
    def decode_map(self, z: Tensor) -> Tensor:
        """Quantises maps [B, D, h, w], and maps their codes to images in [−1, 1], [B, C, H, W]."""
        return self.decode_codes(self.quantizer.nearest(z))  # type: ignore[operator]

    def reconstruct(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns what images' codes stand for, images in [−1, 1], [B, C, H, W]; labels and noise play no part."""
        return self.decode_codes(self.encode_codes(image))

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the mean squared and absolute error, in [−1, 1] and per number, of held-out images."""
        (x,) = self.require(batch, "image")
        difference = self.reconstruct(x) - x
        return {"mse/held_out": difference.square().mean(), "l1/held_out": difference.abs().mean()}

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns what the codes of the batch's images stand for."""
        (x,) = self.require(batch, "image")
        return self.reconstruct(x)
