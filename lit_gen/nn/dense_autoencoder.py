"""The encoder and decoder of dense layers only."""

__all__ = ["DenseDecoder", "DenseEncoder"]

import math

from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.nn.dense import Activation, dense_layers, with_label


class DenseEncoder(nn.Module):
    r"""Creates an encoder of dense layers; with classes, the label's one-hot code is appended to the pixels.

    The paper has one hidden layer of 500 units and tanh; deeper ones are those of importance weighted autoencoders.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), appendix C
        | https://arxiv.org/abs/1312.6114

        | Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2016), section 5.1
        | https://arxiv.org/abs/1509.00519

    Arguments:
        image_shape: The images' channels, height and width, whatever they are.
        num_outputs: The size of what comes out.
        num_classes: The number of classes of a conditional encoder, None for an unconditional one.
        width: The units of each hidden layer.
        depth: The number of hidden layers.
        activation: What follows each of them.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_outputs: int,
        num_classes: int | None = None,
        width: int = 500,
        depth: int = 1,
        activation: Activation = "tanh",
    ) -> None:
        super().__init__()
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        self.layers = dense_layers(math.prod(image_shape) + (num_classes or 0), width, depth, num_outputs, activation)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], and labels [B] if it is conditional, to [B, num_outputs]."""
        assert image.shape[1:] == self.image_shape
        return self.layers(with_label(image.flatten(1), label, self.num_classes))


class DenseDecoder(nn.Module):
    r"""Creates the counterpart of `DenseEncoder`; with classes, the label's one-hot code is appended to the latent.

    Arguments:
        output_shape: The channels, height and width of what comes out.
        latent_dim: The size of the latent.
        num_classes, width, depth, activation: See `DenseEncoder`.
    """

    def __init__(
        self,
        output_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        width: int = 500,
        depth: int = 1,
        activation: Activation = "tanh",
    ) -> None:
        super().__init__()
        self.output_shape, self.num_classes = tuple(output_shape), num_classes
        self.layers = dense_layers(latent_dim + (num_classes or 0), width, depth, math.prod(output_shape), activation)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [B, latent_dim], and labels [B] if it is conditional, to numbers [B, C, H, W]."""
        return self.layers(with_label(z, label, self.num_classes)).unflatten(1, self.output_shape)
