"""LightningModules, one method per file."""

__all__ = [
    "CUT",
    "CodePrior",
    "Autoencoder",
    "Autoregressive",
    "CycleGAN",
    "Diffusion",
    "GAN",
    "GaussianMixture",
    "LatentDiffusion",
    "NormalizingFlow",
    "Pix2Pix",
    "SPADE",
    "StarGAN",
    "StarGANv2",
    "VAE",
    "VQGAN",
    "VQVAE",
]

from lit_gen.models.autoencoder import Autoencoder
from lit_gen.models.autoregressive import Autoregressive
from lit_gen.models.code_prior import CodePrior
from lit_gen.models.cut import CUT
from lit_gen.models.cyclegan import CycleGAN
from lit_gen.models.diffusion import Diffusion
from lit_gen.models.flow import NormalizingFlow
from lit_gen.models.gan import GAN
from lit_gen.models.gaussian_mixture import GaussianMixture
from lit_gen.models.latent_diffusion import LatentDiffusion
from lit_gen.models.pix2pix import Pix2Pix
from lit_gen.models.spade import SPADE
from lit_gen.models.stargan import StarGAN
from lit_gen.models.stargan_v2 import StarGANv2
from lit_gen.models.vae import VAE
from lit_gen.models.vq_gan import VQGAN
from lit_gen.models.vq_vae import VQVAE
