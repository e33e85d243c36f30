"""The residual generators and discriminators of WGAN-GP, SNGAN, SAGAN and the projection discriminator."""

__all__ = ["ResNetDiscriminator", "ResNetGenerator"]

from collections.abc import Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.conditional_norm import ConditionalBatchNorm2d
from lit_gen.nn.projection import ProjectionHead
from lit_gen.nn.residual import DownBlock, NormFactory, UpBlock
from lit_gen.nn.residual_network import ResidualDecoder, ResidualEncoder, num_up_blocks
from lit_gen.nn.spectral_norm import normalise_spectra

_NORMS: dict[str, NormFactory] = {
    "none": nn.Identity,
    "layer": partial(nn.GroupNorm, 1),  # one group: over channels and positions, as WGAN-GP's layer norm
}


def _initialise(network: nn.Module) -> None:
    """Draws weights as Glorot & Bengio (2010) do, times √2 in the blocks' 3×3 convolutions, which ReLUs precede."""
    before_relu: set[nn.Module] = set()
    for block in network.modules():
        if isinstance(block, UpBlock | DownBlock):
            before_relu |= {block.conv1, block.conv2}
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, 2**0.5 if layer in before_relu else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, ProjectionHead) and layer.embedding is not None:
            nn.init.xavier_uniform_(layer.embedding.weight)


class ResNetGenerator(nn.Module):
    r"""Creates a residual generator: blocks double a map of 4 to 7 pixels; with classes, by conditional batch norm.

    The defaults are SNGAN's for images of 48 and 128 pixels; for CIFAR-10's 32, SNGAN has 256 features everywhere and
    WGAN-GP 128.

    References:
        | Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018), tables 4 to 6
        | https://arxiv.org/abs/1802.05957

        | Improved Training of Wasserstein GANs (Gulrajani et al., 2017), appendix
        | https://arxiv.org/abs/1704.00028

        | cGANs with Projection Discriminator (Miyato & Koyama, 2018)
        | https://arxiv.org/abs/1802.05637

        | Self-Attention Generative Adversarial Networks (Zhang et al., 2019)
        | https://arxiv.org/abs/1805.08318

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        latent_dim: The size of the latent.
        num_classes: The number of classes of a conditional generator, None for an unconditional one.
        features: The channels at the image's size; each coarser map has twice as many.
        max_features: The most channels that any map gets.
        spectral_norm: Whether weights are spectrally normalised, as in SAGAN.
        attention: Shorter sides of maps, such as SAGAN's 32; the map nearest to each gets self-attention.
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        features: int = 64,
        max_features: int = 1024,
        spectral_norm: bool = False,
        attention: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        norm: NormFactory = nn.BatchNorm2d
        if num_classes is not None:
            norm = partial(ConditionalBatchNorm2d, make=partial(nn.Embedding, num_classes))
        self.num_blocks = num_up_blocks(image_shape)
        norms = [norm] * self.num_blocks
        self.decoder = ResidualDecoder(image_shape, latent_dim, features, max_features, norms, attention)
        _initialise(self)
        if spectral_norm:
            normalise_spectra(self)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents to images.

        Arguments:
            z: Latents, shape [B, latent_dim].
            label: Class labels, shape [B]; needed exactly when the generator is conditional.

        Returns:
            Images in [−1, 1], shape [B, C, H, W].
        """
        assert z.ndim == 2 and z.shape[1] == self.latent_dim
        assert (label is not None) == (self.num_classes is not None)
        return self.decoder(z, [label] * self.num_blocks)


class ResNetDiscriminator(nn.Module):
    r"""Creates a residual discriminator: blocks halve the image; with classes, the label enters by projection.

    The defaults are SNGAN's for images of 48 and 128 pixels. For CIFAR-10's 32 it has 128 features everywhere, coarsest
    8 and two final blocks; WGAN-GP's critic is that without spectral norm and with the mean as pooling. There is no
    batch norm: it makes an image's logit depend on the others, whose gradients penalties do not see.

    References:
        | Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018), tables 4 to 6
        | https://arxiv.org/abs/1802.05957

        | Improved Training of Wasserstein GANs (Gulrajani et al., 2017), section 4 and appendix
        | https://arxiv.org/abs/1704.00028

        | cGANs with Projection Discriminator (Miyato & Koyama, 2018)
        | https://arxiv.org/abs/1802.05637

        | Self-Attention Generative Adversarial Networks (Zhang et al., 2019)
        | https://arxiv.org/abs/1805.08318

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        num_classes: The number of classes of a conditional discriminator, None for an unconditional one.
        num_outputs: The outputs, the logit first.
        features: The channels of the first block; each further one has twice as many.
        max_features: The most channels that any map gets.
        coarsest: Blocks halve the map until its shorter side is at most this.
        final_blocks: The blocks after that.
        spectral_norm: Whether weights are spectrally normalised.
        norm: The blocks' normalisation: ``none``, or ``layer`` as WGAN-GP suggests.
        attention: Shorter sides of maps, such as SAGAN's 32; the map nearest to each gets self-attention.
        pooling: Whether the last map is summed or averaged over its positions.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int = 1,
        features: int = 64,
        max_features: int = 1024,
        coarsest: int = 4,
        final_blocks: int = 1,
        spectral_norm: bool = True,
        norm: Literal["none", "layer"] = "none",
        attention: Sequence[int] = (),
        pooling: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        if norm not in _NORMS:
            raise UserError(f"ResNetDiscriminator's norm is '{norm}'; it can be 'none' or 'layer'")
        self.encoder = ResidualEncoder(
            image_shape,
            features,
            max_features,
            coarsest,
            final_blocks,
            wide=False,
            norm=_NORMS[norm],
            attention=attention,
            pooling=pooling,
        )
        self.head = ProjectionHead(self.encoder.features, num_classes, num_outputs)
        _initialise(self)
        if spectral_norm:
            normalise_spectra(self, embeddings=True)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images to logits, positive where they look real.

        Arguments:
            x: Images in [−1, 1], shape [B, C, H, W].
            label: Class labels, shape [B]; needed exactly when the discriminator is conditional.

        Returns:
            Logits, shape [B]; with more than one output [B, num_outputs], the logit first.
        """
        return self.head(self.encoder(x), label)
