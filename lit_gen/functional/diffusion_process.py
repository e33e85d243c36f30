"""A noise schedule and what a network says by it: losses of a network, and what it says to samplers."""

__all__ = ["DiffusionProcess"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.bits_per_dim import bits_per_dim
from lit_gen.functional.diffusion_weighting import DiffusionWeighting
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.parameterisation import Parameterisation
from lit_gen.functional.sampler import Denoiser, Prediction
from lit_gen.functional.variational_bound import sampled_bound

Network: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class DiffusionProcess:
    """What turns a network's numbers into images and noise.

    Arguments:
        schedule: The noise schedule.
        parameterisation: What the network's output means.
        learned_variance: Whether it has twice as many channels, and says in the second half where the reverse variance
            lies: at its least for −1, at its most for 1.
    """

    schedule: NoiseSchedule
    parameterisation: Parameterisation
    learned_variance: bool = False

    def said(self, network: Network, x_t: Tensor, t: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Returns a network's output F, [B, C, H, W], and where the reverse variance lies from 0 to 1, if it says so.

        Arguments:
            network: Maps images [B, C, H, W], conditions [B] and labels [B] or None to its output.
            x_t: Noisy images, [B, C, H, W].
            t: Their times, float64 [B].
            label: Their labels, [B], if the network takes any.
        """
        scale = self.parameterisation.input_scale(t, self.schedule).to(x_t.dtype).view(-1, 1, 1, 1)
        output = at_least_float32(network(scale * x_t, self.parameterisation.condition(t, self.schedule), label))
        if not self.learned_variance:
            return output, None
        output, between = output.chunk(2, dim=1)
        return output, (between + 1) / 2

    def losses(
        self,
        network: Network,
        x: Tensor,
        epsilon: Tensor,
        t: Tensor,
        label: Tensor | None,
        weighting: DiffusionWeighting,
        bound_weight: float,
    ) -> Tensor:
        """Returns the losses of images that noise has made noisy, each a mean over its numbers, [B].

        Where variances are learned, they have a loss of their own: the variational bound in bits per dimension, whose
        gradient is for them alone.

        References:
            | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), equation (16)
            | https://arxiv.org/abs/2102.09672

        Arguments:
            network: The network; see `said`.
            x: The images, [B, C, H, W].
            epsilon: Noise, [B, C, H, W].
            t: Their times, float64 [B].
            label: Their labels, [B], if the network takes any.
            weighting: What errors at each level of noise count for.
            bound_weight: What the bound counts for.
        """
        alpha, sigma = (value.to(x.dtype).view(-1, 1, 1, 1) for value in self.schedule.at(t))
        x_t = alpha * x + sigma * epsilon
        output, between = self.said(network, x_t, t, label)
        target = self.parameterisation.target(x, epsilon, t, self.schedule)
        error = (output - target).square().flatten(1).mean(1)
        data_error = self.parameterisation.data_error(t, self.schedule)
        losses = weighting.weight(self.schedule.log_snr(t).exp(), data_error).to(error.dtype) * error
        if between is None:
            return losses
        prediction = Prediction(*self.parameterisation.parts(output.detach(), x_t, t, self.schedule), between)
        bound = sampled_bound(x, x_t, t, prediction, self.schedule)
        return losses + bound_weight * bits_per_dim(-bound, x.shape[1:])

    def denoiser(self, network: Network, label: Tensor | None, untold: int, guidance: float) -> Denoiser:
        """Returns what a network says of noisy images, as samplers want it.

        References:
            | Classifier-Free Diffusion Guidance (Ho & Salimans, 2022), equation (6), with w = 1 + theirs
            | https://arxiv.org/abs/2207.12598

        Arguments:
            network: The network; see `said`.
            label: The labels of a whole batch, [B], if it takes any.
            untold: The label of an image whose class is not told.
            guidance: What the output that is told the label counts, w; the other counts 1 − w.
        """

        def predict(x_t: Tensor, t: Tensor, rows: Tensor | None) -> Prediction:
            # A tensor of inference mode could not be differentiated through, as likelihoods do.
            y = None if label is None else label.clone() if rows is None else label[rows]
            if y is None or guidance == 1:
                output, between = self.said(network, x_t, t, y)
            else:
                both = torch.cat([y, torch.full_like(y, untold)])
                output, between = self.said(network, x_t.repeat(2, 1, 1, 1), t.repeat(2), both)
                without = output[len(y) :]
                output = without + guidance * (output[: len(y)] - without)
                between = None if between is None else between[: len(y)]
            return Prediction(*self.parameterisation.parts(output, x_t, t, self.schedule), between)

        return Denoiser(self.schedule, predict)
