"""LightningModules, one method per file."""

__all__ = ["CUT", "CycleGAN", "GAN", "NormalizingFlow", "Pix2Pix", "SPADE", "StarGAN", "StarGANv2"]

from lit_gen.models.cut import CUT
from lit_gen.models.cyclegan import CycleGAN
from lit_gen.models.flow import NormalizingFlow
from lit_gen.models.gan import GAN
from lit_gen.models.pix2pix import Pix2Pix
from lit_gen.models.spade import SPADE
from lit_gen.models.stargan import StarGAN
from lit_gen.models.stargan_v2 import StarGANv2
