"""The networks of StarGAN v2 that have one head per domain: mapping, style encoder, discriminator."""

__all__ = ["DomainDiscriminator", "DomainMapping", "DomainStyleEncoder"]

import itertools

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.equalized import EqualizedLinear, activate
from lit_gen.nn.leaky_residual import LeakyBlock, initialise_rectified
from lit_gen.nn.mapping import MappingNetwork
from lit_gen.nn.sizes import doubled_widths, halvings


class DomainMapping(nn.Module):
    r"""Creates a mapping network from latents to styles: StyleGAN's layers for all domains, then some for each.

    With equalised layers Adam moves a weight of D inputs by lr_multiplier/√D of its learning rate. The default is
    about the paper's hundredth at D = 512.

    References:
        | StarGAN v2: Diverse Image Synthesis for Multiple Domains (Choi et al., 2020), table 6
        | https://arxiv.org/abs/1912.01865

    Arguments:
        num_domains: The number of domains.
        latent_dim: The size of latents.
        style_dim: The size S of styles.
        width: The size of hidden layers.
        mapping_layers: The layers for all domains.
        domain_layers: The layers for each domain, the last of which gives the style.
        lr_multiplier: The layers' learning rate, in those of other layers; see above.
    """

    def __init__(
        self,
        num_domains: int,
        latent_dim: int,
        style_dim: int,
        width: int = 512,
        mapping_layers: int = 4,
        domain_layers: int = 4,
        lr_multiplier: float = 0.2,
    ) -> None:
        super().__init__()
        if domain_layers < 1:
            raise UserError(f"DomainMapping's domain_layers is {domain_layers}, and must be at least 1")
        self.shared = MappingNetwork(latent_dim, None, width, mapping_layers, lr_multiplier)
        sizes = [*[width] * domain_layers, style_dim]
        self.heads = nn.ModuleList(
            nn.ModuleList(EqualizedLinear(a, b, lr_multiplier=lr_multiplier) for a, b in itertools.pairwise(sizes))
            for _ in range(num_domains)
        )

    def forward(self, z: Tensor, domain: Tensor) -> Tensor:
        """Maps latents [B, latent_dim] and domains [B] to styles [B, S]."""
        shared, styles = self.shared(z), []
        for head in self.heads:
            assert isinstance(head, nn.ModuleList)
            x = shared
            for i, layer in enumerate(head):
                x = layer(activate(x) if i else x)
            styles.append(x)
        return _chosen(torch.stack(styles, dim=1), domain)


class DomainStyleEncoder(nn.Module):
    r"""Creates an encoder from images to styles: blocks that halve the map, then a linear layer per domain.

    References:
        | StarGAN v2: Diverse Image Synthesis for Multiple Domains (Choi et al., 2020), table 7
        | https://arxiv.org/abs/1912.01865

    Arguments:
        image_shape: The images' channels, height and width; both at least 8.
        num_domains: The number of domains.
        style_dim: The size S of styles.
        features: The channels of the finest map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
    """

    def __init__(
        self, image_shape: Shape, num_domains: int, style_dim: int, features: int = 64, max_features: int = 512
    ) -> None:
        super().__init__()
        self.trunk = _Trunk(image_shape, num_domains, style_dim, features, max_features)

    def forward(self, image: Tensor, domain: Tensor) -> Tensor:
        """Maps images [B, C, H, W] and their domains [B] to styles [B, S]."""
        return _chosen(self.trunk(image), domain)


class DomainDiscriminator(nn.Module):
    r"""Creates a discriminator with a verdict per domain, of which the image's own counts.

    References:
        | StarGAN v2: Diverse Image Synthesis for Multiple Domains (Choi et al., 2020), table 7
        | https://arxiv.org/abs/1912.01865

    Arguments:
        image_shape: The images' channels, height and width; both at least 8.
        num_domains: The number of domains.
        features: The channels of the finest map; each coarser one has twice as many.
        max_features: The most channels that any map gets.
    """

    def __init__(self, image_shape: Shape, num_domains: int, features: int = 64, max_features: int = 512) -> None:
        super().__init__()
        self.trunk = _Trunk(image_shape, num_domains, 1, features, max_features)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Maps images [B, C, H, W] and domains [B] to logits [B]."""
        return _chosen(self.trunk(x), domain)[:, 0]


class _Trunk(nn.Module):
    """Creates what encoder and discriminator share: 3×3, halving blocks, a convolution of the last map, heads."""

    def __init__(self, image_shape: Shape, num_domains: int, outputs: int, features: int, max_features: int) -> None:
        super().__init__()
        sizes = halvings(image_shape, 4)
        widths = doubled_widths(features, max_features, len(sizes))
        self.image_shape, self.outputs = tuple(image_shape), outputs
        blocks = [LeakyBlock(a, b, "halve") for a, b in itertools.pairwise(widths)]
        self.layers = nn.Sequential(
            nn.Conv2d(image_shape[0], widths[0], 3, padding=1),
            *blocks,
            nn.LeakyReLU(0.2),
            nn.Conv2d(widths[-1], widths[-1], sizes[-1]),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        self.heads = nn.Linear(widths[-1], num_domains * outputs)
        initialise_rectified(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [B, C, H, W] to each domain's outputs [B, D, outputs]."""
        assert x.shape[1:] == self.image_shape
        return self.heads(self.layers(x)).unflatten(1, (-1, self.outputs))


def _chosen(outputs: Tensor, domain: Tensor) -> Tensor:
    """Takes each row's own domain out of [B, D, N]."""
    return outputs[torch.arange(len(outputs), device=outputs.device), domain]
