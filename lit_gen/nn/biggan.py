"""The BigGAN generator and discriminator, for any image size from 8 pixels up."""

__all__ = ["BigGANDiscriminator", "BigGANGenerator"]

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.conditional_norm import ConditionalBatchNorm2d
from lit_gen.nn.projection import ProjectionHead
from lit_gen.nn.residual_network import ResidualDecoder, ResidualEncoder, num_up_blocks
from lit_gen.nn.spectral_norm import normalise_spectra


def _initialise(network: nn.Module) -> None:
    """Draws orthogonal weights, appendix B."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
            if not isinstance(layer, nn.Embedding) and layer.bias is not None:
                nn.init.zeros_(layer.bias)


class BigGANGenerator(nn.Module):
    r"""Creates a BigGAN generator: the latent and a shared class embedding reach every block through its batch norms.

    The latent is split into chunks: the first makes the coarsest map, each further one is joined to the class embedding
    and gives a block's gains and biases. Without classes there is no embedding, and the chunks alone do. Weights are
    spectrally normalised, embeddings are not.

    References:
        | Large Scale GAN Training for High Fidelity Natural Image Synthesis (Brock et al., 2019), section 3, appendix B
        | https://arxiv.org/abs/1809.11096

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        latent_dim: The size of the latent; at least one more than there are blocks.
        num_classes: The number of classes of a conditional generator, None for an unconditional one.
        features: The channels at the image's size; each coarser map has twice as many.
        max_features: The most channels that any map gets.
        embedding_dim: The size of the shared class embedding.
        attention: Shorter sides of maps; the map nearest to each gets self-attention.
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        features: int = 96,
        max_features: int = 1536,
        embedding_dim: int = 128,
        attention: Sequence[int] = (64,),
    ) -> None:
        super().__init__()
        if embedding_dim < 1:
            raise UserError(f"embedding_dim is {embedding_dim}, and must be at least 1")
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.num_chunks = 1 + num_up_blocks(image_shape)
        if latent_dim < self.num_chunks:
            raise UserError(f"latent_dim is {latent_dim}; for such images it must be at least {self.num_chunks}")
        first, *others = (len(chunk) for chunk in torch.arange(latent_dim).tensor_split(self.num_chunks))
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, embedding_dim)
        told = 0 if num_classes is None else embedding_dim
        norms = [partial(ConditionalBatchNorm2d, make=partial(nn.Linear, chunk + told, bias=False)) for chunk in others]
        self.decoder = ResidualDecoder(image_shape, first, features, max_features, norms, attention)
        _initialise(self)
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
        assert (label is not None) == (self.embedding is not None)
        first, *chunks = z.tensor_split(self.num_chunks, dim=1)
        if self.embedding is not None:
            embedded = self.embedding(label)
            chunks = [torch.cat([embedded, chunk], dim=1) for chunk in chunks]
        return self.decoder(first, chunks)


class BigGANDiscriminator(nn.Module):
    r"""Creates a BigGAN discriminator: residual blocks, self-attention, spectral norm, the label by projection.

    Unlike SNGAN's, both convolutions of a block have as many filters as the block has outputs.

    References:
        | Large Scale GAN Training for High Fidelity Natural Image Synthesis (Brock et al., 2019), appendix B
        | https://arxiv.org/abs/1809.11096

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        num_classes: The number of classes of a conditional discriminator, None for an unconditional one.
        num_outputs: The outputs, the logit first.
        features: The channels of the first block; each further one has twice as many.
        max_features: The most channels that any map gets.
        coarsest: Blocks halve the map until its shorter side is at most this.
        final_blocks: The blocks after that.
        attention: Shorter sides of maps; the map nearest to each gets self-attention.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int = 1,
        features: int = 96,
        max_features: int = 1536,
        coarsest: int = 4,
        final_blocks: int = 1,
        attention: Sequence[int] = (64,),
    ) -> None:
        super().__init__()
        self.encoder = ResidualEncoder(
            image_shape, features, max_features, coarsest, final_blocks, wide=True, attention=attention
        )
        self.head = ProjectionHead(self.encoder.features, num_classes, num_outputs)
        _initialise(self)
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
