"""The generator and discriminator of dense layers only, for images and for points of the plane."""

__all__ = ["Activation", "DenseDiscriminator", "DenseGenerator", "dense_layers", "with_label"]

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.spectral_norm import normalise_spectra

Activation: TypeAlias = Literal["relu", "leaky_relu", "tanh", "elu", "silu"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "silu": nn.SiLU,
}


def dense_layers(
    inputs: int, width: int, depth: int, outputs: int, activation: Activation, scale: float = 1.0
) -> nn.Sequential:
    """Returns `depth` hidden layers of `width` units and a linear one."""
    if not scale > 0:
        raise UserError(f"a dense network's scale is {scale}, and must be above 0")
    if width < 1 or depth < 1:
        raise UserError(f"a dense network's width is {width} and its depth {depth}; both must be at least 1")
    if activation not in _ACTIVATIONS:
        raise UserError(f"a dense network's activation is '{activation}'; there are {', '.join(_ACTIVATIONS)}")
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(width if i else inputs, width), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def with_label(x: Tensor, label: Tensor | None, num_classes: int | None) -> Tensor:
    """Appends the label's one-hot code to rows [B, D], if the network is conditional."""
    assert (label is not None) == (num_classes is not None)
    if label is None or num_classes is None:
        return x
    return torch.cat([x, nn.functional.one_hot(label, num_classes).to(x.dtype)], dim=1)


class DenseGenerator(nn.Module):
    r"""Creates a generator of dense layers, as the first GANs had; the paper leaves their sizes open.

    With classes, the label's one-hot code is appended to the latent. A point of the plane is an image of two channels
    and one pixel; `output` must then be ``linear``, since points have no bounds.

    References:
        | Generative Adversarial Networks (Goodfellow et al., 2014), section 5
        | https://arxiv.org/abs/1406.2661

    Arguments:
        image_shape: The images' channels, height and width, whatever they are.
        latent_dim: The size of the latent.
        num_classes: The number of classes of a conditional generator, None for an unconditional one.
        width: The units of each hidden layer.
        depth: The number of hidden layers.
        activation: What follows each of them.
        output: ``tanh`` for images in [−1, 1], ``linear`` for points.
        scale: About the size of the points' coordinates, by which a linear output is multiplied.
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        num_classes: int | None = None,
        width: int = 512,
        depth: int = 3,
        activation: Activation = "relu",
        output: Literal["tanh", "linear"] = "tanh",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if output not in ("tanh", "linear"):
            raise UserError(f"DenseGenerator's output is '{output}'; it can be 'tanh' or 'linear'")
        self.image_shape, self.latent_dim, self.num_classes = tuple(image_shape), latent_dim, num_classes
        self.output, self.scale = output, scale
        self.layers = dense_layers(
            latent_dim + (num_classes or 0), width, depth, math.prod(image_shape), activation, scale
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents to images.

        Arguments:
            z: Latents, shape [B, latent_dim].
            label: Class labels, shape [B]; needed exactly when the generator is conditional.

        Returns:
            Images in [−1, 1], or unbounded points, shape [B, C, H, W].
        """
        assert z.ndim == 2 and z.shape[1] == self.latent_dim
        x = self.layers(with_label(z, label, self.num_classes))
        return (x.tanh() if self.output == "tanh" else self.scale * x).unflatten(1, self.image_shape)


class DenseDiscriminator(nn.Module):
    r"""Creates a discriminator of dense layers, the counterpart of `DenseGenerator`.

    With classes, the label's one-hot code is appended to the image's pixels.

    References:
        | Generative Adversarial Networks (Goodfellow et al., 2014), section 5
        | https://arxiv.org/abs/1406.2661

        | Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018)
        | https://arxiv.org/abs/1802.05957

    Arguments:
        image_shape: The images' channels, height and width, whatever they are.
        num_classes: The number of classes of a conditional discriminator, None for an unconditional one.
        num_outputs: The outputs per image, the logit first.
        width: The units of each hidden layer.
        depth: The number of hidden layers.
        activation: What follows each of them.
        spectral_norm: Whether each layer's weights are divided by their largest singular value, which makes the
            network 1-Lipschitz (1/scale with a scale); the power iteration moves in training mode only.
        scale: About the size of the points' coordinates, by which they are divided: a layer's units bend within about
            1 of the origin.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int = 1,
        width: int = 512,
        depth: int = 3,
        activation: Activation = "leaky_relu",
        spectral_norm: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.image_shape, self.num_classes, self.num_outputs = tuple(image_shape), num_classes, num_outputs
        self.scale = scale
        self.layers = dense_layers(
            math.prod(image_shape) + (num_classes or 0), width, depth, num_outputs, activation, scale
        )
        if spectral_norm:
            normalise_spectra(self)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images to logits, positive where they look real.

        Arguments:
            x: Images, shape [B, C, H, W].
            label: Class labels, shape [B]; needed exactly when the discriminator is conditional.

        Returns:
            Logits, shape [B]; with `num_outputs` above 1 all outputs, shape [B, num_outputs].
        """
        assert x.shape[1:] == self.image_shape
        outputs = self.layers(with_label(x.flatten(1) / self.scale, label, self.num_classes))
        return outputs.flatten() if self.num_outputs == 1 else outputs
