"""LightningModules, one method per file."""

__all__ = ["GAN"]

from lit_gen.models.gan import GAN
