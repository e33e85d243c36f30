"""What makes the networks of StarGAN and StarGAN v2, as typing protocols."""

__all__ = [
    "AttributeDiscriminatorFactory",
    "AttributeTranslatorFactory",
    "DomainDiscriminatorFactory",
    "DomainMappingFactory",
    "StyleEncoderFactory",
    "StyleTranslatorFactory",
]

from typing import Protocol

from torch import nn

from lit_gen.contracts import Shape


class AttributeTranslatorFactory(Protocol):
    """Makes a generator, ``(images [B, C, H, W], attributes [B, A]) → images in [−1, 1], [B, C, H, W]``."""

    def __call__(self, *, image_shape: Shape, num_attributes: int) -> nn.Module: ...


class AttributeDiscriminatorFactory(Protocol):
    """Makes a discriminator, ``images [B, C, H, W] → (logits [B, …], attributes' logits [B, A])``."""

    def __call__(self, *, image_shape: Shape, num_attributes: int) -> nn.Module: ...


class StyleTranslatorFactory(Protocol):
    """Makes a generator, ``(images [B, C, H, W], styles [B, S]) → images [B, C, H, W]``."""

    def __call__(self, *, image_shape: Shape, style_dim: int) -> nn.Module: ...


class DomainMappingFactory(Protocol):
    """Makes a mapping network, ``(z [B, latent_dim], domain [B]) → styles [B, S]``."""

    def __call__(self, *, num_domains: int, latent_dim: int, style_dim: int) -> nn.Module: ...


class StyleEncoderFactory(Protocol):
    """Makes a style encoder, ``(images [B, C, H, W], domain [B]) → styles [B, S]``."""

    def __call__(self, *, image_shape: Shape, num_domains: int, style_dim: int) -> nn.Module: ...


class DomainDiscriminatorFactory(Protocol):
    """Makes a discriminator of each domain, ``(images [B, C, H, W], domain [B]) → logits [B]``."""

    def __call__(self, *, image_shape: Shape, num_domains: int) -> nn.Module: ...
