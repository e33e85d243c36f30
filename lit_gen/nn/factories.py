"""What makes a model's networks, as typing protocols: all but what the data decide is given already."""

__all__ = [
    "ConditionedGeneratorFactory",
    "DiscriminatorFactory",
    "GaussianEncoderFactory",
    "GeneratorFactory",
    "PerceptualFactory",
    "TranslatorFactory",
    "FlowFactory",
    "DequantisationFactory",
    "EncoderFactory",
    "DecoderFactory",
    "MapEncoderFactory",
    "MapDecoderFactory",
    "DenoiserFactory",
    "CausalNetworkFactory",
    "ContextNetworkFactory",
    "RecurrentLayerFactory",
]

from typing import Protocol

from torch import nn

from lit_gen.contracts import Shape
from lit_gen.nn.causal_network import CausalNetwork
from lit_gen.nn.context_network import ContextNetwork
from lit_gen.nn.recurrent_layer import RecurrentLayer


class GeneratorFactory(Protocol):
    """Makes a generator, ``(z [B, latent_dim], label [B] or None) → images in [−1, 1], [B, C, H, W]``."""

    def __call__(self, *, image_shape: Shape, latent_dim: int, num_classes: int | None) -> nn.Module: ...


class DiscriminatorFactory(Protocol):
    """Makes a discriminator, ``(images [B, C, H, W], label [B] or None) → logits [B]``.

    One that is told ``num_outputs``, above 1, gives [B, num_outputs], the logit first; only an `Auxiliary` asks for it.
    """

    def __call__(self, *, image_shape: Shape, num_classes: int | None) -> nn.Module: ...


class TranslatorFactory(Protocol):
    """Makes a generator of images from images, ``source [B, Cs, H, W] → images in [−1, 1], [B, C, H, W]``."""

    def __call__(self, *, source_shape: Shape, image_shape: Shape) -> nn.Module: ...


class ConditionedGeneratorFactory(Protocol):
    """Makes a generator, ``(condition [B, S, H, W], z [B, latent_dim] or None) → images in [−1, 1], [B, C, H, W]``.

    There is noise z unless ``latent_dim`` is 0.
    """

    def __call__(self, *, source_shape: Shape, image_shape: Shape, latent_dim: int) -> nn.Module: ...


class GaussianEncoderFactory(Protocol):
    """Makes an encoder, ``images [B, C, H, W] → (mean, log-variance)``, both [B, latent_dim]."""

    def __call__(self, *, image_shape: Shape, latent_dim: int) -> nn.Module: ...


class PerceptualFactory(Protocol):
    """Makes a frozen network, ``images in [−1, 1], [B, C, H, W] → list of maps``, by which images are compared.

    Its attribute ``weights`` is what each map counts for.
    """

    def __call__(self) -> nn.Module: ...


class FlowFactory(Protocol):
    """Makes a bijection, ``(images [B, C, H, W], label [B] or None) → (latents [B, D], log |det| [B])``.

    Its method ``inverse`` maps ``(latents, label or None)`` back to images.
    """

    def __call__(self, *, image_shape: Shape, num_classes: int | None) -> nn.Module: ...


class DequantisationFactory(Protocol):
    """Makes a `Dequantisation`, ``(images in [−1, 1], generator) → (y in [0, 1], what log p(y) lacks [B])``."""

    def __call__(self, *, image_shape: Shape) -> nn.Module: ...


class EncoderFactory(Protocol):
    """Makes an encoder, ``(images in [−1, 1], [B, C, H, W], label [B] or None) → numbers [B, num_outputs]``."""

    def __call__(self, *, image_shape: Shape, num_outputs: int, num_classes: int | None) -> nn.Module: ...


class DecoderFactory(Protocol):
    """Makes a decoder, ``(z [B, latent_dim], label [B] or None) → numbers without bounds, [B, C, H, W]``.

    The channels C of the ``output_shape`` are as many as a likelihood has numbers for a pixel.
    """

    def __call__(self, *, output_shape: Shape, latent_dim: int, num_classes: int | None) -> nn.Module: ...


class MapEncoderFactory(Protocol):
    """Makes an encoder, ``images in [−1, 1], [B, C, H, W] → maps [B, channels, h, w]``.

    Its attribute ``map_size`` is (h, w).
    """

    def __call__(self, *, image_shape: Shape, channels: int) -> nn.Module: ...


class MapDecoderFactory(Protocol):
    """Makes a decoder, ``maps [B, D, h, w] of map_shape → numbers without bounds, [B, C, H, W] of output_shape``."""

    def __call__(self, *, map_shape: Shape, output_shape: Shape) -> nn.Module: ...


class DenoiserFactory(Protocol):
    """Makes a denoiser, ``(images [B, C, H, W], conditions [B], label [B] or None) → [B, num_outputs, H, W]``.

    The condition says how much noise there is. The label ``num_classes`` is that of an image whose class is not told.
    """

    def __call__(self, *, image_shape: Shape, num_classes: int | None, num_outputs: int) -> nn.Module: ...


class CausalNetworkFactory(Protocol):
    """Makes a `CausalNetwork`, ``(planes [B, *input_shape], label [B] or None) → numbers [B, num_outputs, H, W]``."""

    def __call__(
        self, *, input_shape: Shape, num_outputs: int, groups: int, num_classes: int | None
    ) -> CausalNetwork: ...


class ContextNetworkFactory(Protocol):
    """Makes a `ContextNetwork`, a `CausalNetwork` that is given ``context [B, context_features, H, W]`` too."""

    def __call__(
        self, *, input_shape: Shape, num_outputs: int, groups: int, num_classes: int | None, context_features: int
    ) -> ContextNetwork: ...


class RecurrentLayerFactory(Protocol):
    """Makes a `RecurrentLayer`, ``(maps [B, in_features, H, W], planes) → states [B, features, H, W]``."""

    def __call__(self, *, in_features: int, features: int, planes: int, groups: int) -> RecurrentLayer: ...
