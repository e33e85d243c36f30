"""A diffusion model that knows all there is to know of its data: normal and independent numbers."""

__all__ = ["Perfect", "perfect"]

from functools import partial
from typing import Any

import torch

from lit_gen.functional.diffusion_likelihood import ProbabilityFlow
from lit_gen.functional.ode_samplers import Euler
from lit_gen.functional.parameterisation import DataPrediction
from lit_gen.models import Diffusion


class Perfect(torch.nn.Module):
    """The best guess of the image, E[x | x_t], if its numbers are independent N(mean, std²)."""

    def __init__(self, image_shape: Any, num_classes: Any, num_outputs: Any, schedule: Any, mean: Any, std: float):
        super().__init__()
        self.schedule, self.std = schedule, std
        self.mean = torch.nn.Parameter(torch.tensor(mean).view(-1, 1, 1).expand(image_shape).clone())

    def forward(self, x_t: torch.Tensor, c: torch.Tensor, label: Any = None) -> torch.Tensor:
        alpha, sigma = (v.to(x_t.dtype).view(-1, 1, 1, 1) for v in self.schedule.at(c.double() / 1000))
        share = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        return self.mean + share * (x_t - alpha * self.mean)


def perfect(shape: tuple[int, int, int], schedule: Any, mean: Any = (0.0,), std: float = 0.5, **own: Any) -> Diffusion:
    """Returns a model of images whose numbers are N(mean of their channel, std²)."""
    network: Any = partial(Perfect, schedule=schedule, mean=mean, std=std)
    kind = {"parameterisation": DataPrediction(), "sampler": Euler(4), **own}
    if shape[1:] == (1, 1):
        kind["likelihood"] = ProbabilityFlow("exact")
    return Diffusion(shape, network=network, noise_schedule=schedule, **kind).eval()
