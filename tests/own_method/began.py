"""BEGAN (Berthelot et al., 2017, arXiv 1703.10717): a discriminator that reconstructs, balanced with its generator."""

import torch
from torch import Tensor

from lit_gen.functional.noise import randn
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.adversarial import AdversarialModule, Phase, Player
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions


class BEGAN(AdversarialModule):
    """Creates a boundary equilibrium GAN, equation (5)."""

    averaged_networks = ("generator",)

    def __init__(self, image_shape, latent_dim: int = 16, features: int = 8, balance: float = 0.5):
        super().__init__(TrainingOptions())
        self.image_shape, self.latent_dim, self.balance = tuple(image_shape), latent_dim, balance
        self.generator = DCGANGenerator(self.image_shape, latent_dim, features=features)
        self.encoder = DCGANDiscriminator(self.image_shape, features=features, num_outputs=latent_dim)
        self.decoder = DCGANGenerator(self.image_shape, latent_dim, features=features)
        self.register_buffer("k", torch.zeros(()))

    @property
    def players(self):
        return {
            "discriminator": Player(["encoder", "decoder"], AdversarialAdam),
            "generator": Player(["generator"], AdversarialAdam),
        }

    @property
    def phases(self):
        return [Phase("discriminator", self.discriminator_loss), Phase("generator", self.generator_loss)]

    def energy(self, x: Tensor) -> Tensor:
        return (x - self.decoder(self.encoder(x))).abs().mean()

    def discriminator_loss(self, batch) -> Tensor:
        (x,) = self.require(batch, "image")
        real, fake = self.energy(x), self.energy(self.sample(len(x)).detach())
        with torch.no_grad():
            self.k.add_(0.001 * (self.balance * real - fake)).clamp_(0, 1)
        self.record({"convergence": real.detach() + (self.balance * real - fake).detach().abs()})
        return real - self.k * fake

    def generator_loss(self, batch) -> Tensor:
        return self.energy(self.generator(torch.randn(len(batch["image"]), self.latent_dim, device=self.device)))

    def sample(self, num: int, label=None, generator=None) -> Tensor:
        return self.generator(randn((num, self.latent_dim), generator, self.device))
