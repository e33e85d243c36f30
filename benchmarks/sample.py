"""Sampling that keeps what later pixels need, over sampling that runs the whole network again for every pixel.

The naive loop is that of public implementations of PixelCNN++: for each pixel, the network on the whole images, of
whose output one pixel is used. It takes so long that only some of its pixels are timed: each costs the
same, whatever the pixel. The other side draws its images whole. Sizes of the networks are those of the configurations.
Seconds are the process's own on a CPU, so that what else the machine does matters less; so give it one thread.

    OMP_NUM_THREADS=1 python benchmarks/sample.py --sizes 28 32 --num 16
"""

import argparse
import time
from functools import partial

import torch

from lit_gen.functional.binary_pixels import BinaryPixels
from lit_gen.functional.logistic_mixture import LogisticMixturePixels
from lit_gen.functional.pixels import PixelDistribution
from lit_gen.nn.causal_network import CausalNetwork, Stepper
from lit_gen.nn.drawing import draw_pixels
from lit_gen.nn.factories import CausalNetworkFactory
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.nn.naive_stepper import NaiveStepper
from lit_gen.nn.pixelcnn import PixelCNN
from lit_gen.nn.pixelcnnpp import PixelCNNPP

NETWORKS: dict[str, tuple[CausalNetworkFactory, PixelDistribution]] = {
    "pixelcnn": (partial(PixelCNN, features=32), BinaryPixels()),
    "gated_pixelcnn": (partial(GatedPixelCNN, features=32, blocks=7, kernel_size=3), BinaryPixels()),
    "pixelcnn++": (partial(PixelCNNPP, features=32, blocks=2), LogisticMixturePixels(5)),
}


def seconds(device: torch.device) -> float:
    """Returns a time to take differences of."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def naive_pixel(network: CausalNetwork, pixels: PixelDistribution, x: torch.Tensor, timed: int) -> float:
    """Returns the seconds that a pixel costs, of as many pixels as are timed."""
    u = torch.rand(len(x), pixels.layout(x.shape[1]).num_uniforms, device=x.device)
    stepper: Stepper = NaiveStepper(network, len(x))
    stepper.put(pixels.planes(pixels.draw(stepper.theta(), u)))  # a warm-up
    start = seconds(x.device)
    for _ in range(timed):
        stepper.put(pixels.planes(pixels.draw(stepper.theta(), u)))
    return (seconds(x.device) - start) / timed


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["gated_pixelcnn", "pixelcnn++"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 32], help="heights and widths")
    parser.add_argument("--channels", type=int, default=1, help="of binary pixels one, or all of them, drawn in turn")
    parser.add_argument("--num", type=int, default=16, help="images drawn at once")
    parser.add_argument("--naive_pixels", type=int, default=8, help="the pixels of naive sampling that are timed")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    for name in options.networks:
        for size in options.sizes:
            factory, pixels = NETWORKS[name]
            layout, shape = pixels.layout(options.channels), (options.channels, size, size)
            torch.manual_seed(0)
            network = factory(
                input_shape=(layout.num_inputs, size, size),
                num_outputs=layout.num_outputs,
                groups=layout.groups,
                num_classes=None,
            )
            network = network.eval().to(options.device)
            x = torch.full((options.num, *shape), -1.0, device=options.device)
            start = seconds(x.device)
            for _ in draw_pixels(network, pixels, x):
                pass
            cached = seconds(x.device) - start
            steps = size * size * layout.groups
            naive = steps * naive_pixel(network, pixels, x, options.naive_pixels)
            print(
                f"{name:15} {size}×{size}×{options.channels}, {options.num} images: {cached:.2f} s "
                f"({1e6 * cached / steps:.0f} µs a position); naive {naive:.1f} s, from {options.naive_pixels} of "
                f"{steps} positions; ratio {naive / cached:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
