"""Images drawn pixel after pixel from an autoregressive network and a distribution of pixels."""

__all__ = ["draw_pixels", "pixel_log_prob"]

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.noise import rand
from lit_gen.functional.pixels import PixelDistribution
from lit_gen.nn.causal_network import CausalNetwork
from lit_gen.nn.naive_stepper import NaiveStepper


def pixel_log_prob(network: nn.Module, pixels: PixelDistribution, x: Tensor, label: Tensor | None = None) -> Tensor:
    """Returns each pixel's log-probability given those before it, in nats, [B, H, W]; their sum is an image's.

    Arguments:
        network: A `CausalNetwork`, or what calls it.
        pixels: What its numbers say.
        x: What was observed, in [−1, 1], shape [B, C, H, W].
        label: Class labels, shape [B], for conditional networks.
    """
    theta = at_least_float32(network(pixels.planes(x), label))
    with torch.autocast(x.device.type, enabled=False):
        return pixels.log_prob(at_least_float32(x), theta)


def draw_pixels(
    network: CausalNetwork,
    pixels: PixelDistribution,
    x: Tensor,
    label: Tensor | None = None,
    generator: Generators | None = None,
    known: Tensor | None = None,
    temperature: float | None = None,
    cached: bool = True,
) -> Iterator[Tensor]:
    """Draws images in place, and yields them whenever as many pixels as a row has have been drawn.

    All random numbers are drawn before the first pixel, in the network's order.

    Arguments:
        network: The network, in evaluation mode.
        pixels: What its numbers say.
        x: Where images are drawn, shape [B, C, H, W]; it holds the pixels that are known.
        label: Class labels, shape [B], for conditional networks.
        generator: The source of randomness, as for `lit_gen.functional.noise.rand`.
        known: Which pixels are known, bool [B, H, W]; none by default.
        temperature: See `PixelDistribution.draw`; 1 by default.
        cached: Whether the network's own stepper computes, or the whole image is computed again for each position.

    Raises:
        UserError: If the temperature is not above 0.
    """
    temperature = 1.0 if temperature is None else temperature
    if not temperature > 0:
        raise UserError(f"the temperature is {temperature}, and must be above 0")
    layout = pixels.layout(x.shape[1])
    u = rand((len(x), len(network.order), layout.groups, layout.num_uniforms), generator, x.device)
    stepper = network.stepper(len(x), label) if cached else NaiveStepper(network, len(x), label)
    values = x.unflatten(1, (network.groups, -1))
    for n, (row, column) in enumerate(network.order):
        for group in range(network.groups):
            drawn = pixels.draw(at_least_float32(stepper.theta()), u[:, n, group], temperature).to(x.dtype)
            if known is not None:
                drawn = torch.where(known[:, row, column, None], values[:, group, :, row, column], drawn)
            values[:, group, :, row, column] = drawn
            stepper.put(pixels.planes(drawn))
        if (n + 1) % x.shape[3] == 0:
            yield x
