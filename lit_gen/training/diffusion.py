r"""What diffusion models share, whatever it is that they diffuse: images, or what another model makes of them.

With :math:`x_t = \alpha(t) x + \sigma(t) \epsilon` and a network F that is told x_t, t and perhaps a label,

.. math:: L = E_{x, \epsilon, t}\big[w(t) \, \|F(x_t, t) - (a x + b \epsilon)\|^2\big]
"""

__all__ = ["DiffusionModule", "check_guidance"]

import abc
import math
from collections import deque
from collections.abc import Iterator, Mapping

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.class_labels import checked_label, drawn_label
from lit_gen.functional.diffusion_process import DiffusionProcess
from lit_gen.functional.diffusion_weighting import DiffusionWeighting
from lit_gen.functional.noise import rand, randn
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.optimal_transport import transported
from lit_gen.functional.parameterisation import Parameterisation
from lit_gen.functional.sampler import Denoiser, Noise, Sampler, State
from lit_gen.functional.time_distribution import TimeDistribution
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.options import TrainingOptions

# Samples start as if nothing were left of the image, and what is left moves their mean.
_MOST_SNR_AT_THE_END = 0.02


def check_guidance(name: str, guidance: float, conditional: bool, label_dropout: float) -> None:
    """Looks whether a model can be guided so by its labels.

    Arguments:
        name: What the user calls the guidance.
        guidance: How far samples follow their labels; 1 is as far as the labels themselves.
        conditional: Whether the model knows labels.
        label_dropout: The share of labels that it was not told in training.

    Raises:
        UserError: If it cannot.
    """
    if not math.isfinite(guidance):
        raise UserError(f"{name} is {guidance}, and must be finite")
    if guidance != 1 and not conditional:
        raise UserError(f"{name} is for models that know labels, and this one knows none: leave it out")
    if guidance != 1 and not label_dropout:
        raise UserError(f"{name} is for models that learnt to do without labels, too: by model.label_dropout")


class DiffusionModule(ObjectiveModule, abc.ABC):
    """Creates the part of a diffusion model that does not depend on what is diffused.

    Arguments:
        image_shape: The images' channels, height and width.
        num_classes: The number of classes in the data, None if unlabelled.
        networks: The names of the attributes that hold the networks.
        noise_schedule: How much noise there is at each time.
        parameterisation: What the network's output means.
        weighting: What errors at each level of noise count for.
        time_distribution: How often each level is trained on.
        sampler: How x is drawn.
        conditional: Whether the network knows the class label.
        label_dropout: The share of labels that it is not told in training.
        guidance: How far samples follow their label.
        learned_variance: Whether the network says where the reverse variance lies.
        bound_weight: What the bound counts for that it learns this from.
        optimal_transport: Whether a batch's noise is assigned to its x by the shortest ways.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.

    Attributes:
        network: Makes F of x_t, conditions and labels; the concrete model sets it, and what follows.
        uncertainty: The learned uncertainty of each level of noise, by which losses are weighted; None for none.
        data_shape: The shape of x, of an image's size or not.
    """

    averaged_networks = ("network",)
    network: nn.Module
    uncertainty: nn.Module | None
    data_shape: Shape

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None,
        networks: list[str],
        noise_schedule: NoiseSchedule,
        parameterisation: Parameterisation,
        weighting: DiffusionWeighting,
        time_distribution: TimeDistribution,
        sampler: Sampler,
        conditional: bool,
        label_dropout: float,
        guidance: float,
        learned_variance: bool,
        bound_weight: float,
        optimal_transport: bool,
        optimizer: OptimizerCallable,
        schedule: LRSchedulerCallable | None,
        options: TrainingOptions,
    ) -> None:
        super().__init__(image_shape, networks, optimizer, schedule, options)
        if conditional and not num_classes:
            raise UserError("model.conditional is true, but the data have no labels")
        if not 0 <= label_dropout < 1:
            raise UserError(f"model.label_dropout is {label_dropout}, and must be 0 or more, and less than 1")
        check_guidance("model.guidance", guidance, conditional, label_dropout)
        snr = float(noise_schedule.log_snr(torch.tensor(noise_schedule.span[1], dtype=torch.float64)).exp())
        if snr > _MOST_SNR_AT_THE_END:
            raise UserError(
                f"model.noise_schedule ends with a signal-to-noise ratio of {snr:.2g}, and samples start from noise "
                f"alone: have it add more noise, until the ratio is {_MOST_SNR_AT_THE_END} or less"
            )
        self.num_classes = num_classes if conditional else None
        self.noise_schedule, self.parameterisation = noise_schedule, parameterisation
        self.process = DiffusionProcess(noise_schedule, parameterisation, learned_variance)
        self.weighting, self.time_distribution = weighting, time_distribution
        self.sampler, self.guidance = sampler, guidance
        self.label_dropout, self.bound_weight = label_dropout, bound_weight
        self.optimal_transport = optimal_transport

    @abc.abstractmethod
    def observed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Returns x, [B, …], of a batch, and its labels [B] if the model is conditional."""

    @abc.abstractmethod
    def shown(self, x: Tensor) -> Tensor:
        """Maps x [B, …] to images about in [−1, 1], [B, C, H, W], or points."""

    def check_sampler(self, sampler: Sampler) -> None:
        """Looks whether a sampler suits the model.

        Raises:
            UserError: If it does not.
        """
        if sampler.steps < 1:
            raise UserError(f"a sampler's steps are {sampler.steps}, and must be at least 1")
        if getattr(sampler, "variance", None) == "learned" and not self.process.learned_variance:
            raise UserError(f"{sampler!r} has learned variances, but the model has none: set model.learned_variance")
        if sampler.is_random and not self.noise_is_independent:
            raise UserError(
                f"{sampler!r} draws noise on its way, which is not for a model whose noise was coupled with images in "
                "training: take a sampler that draws none"
            )

    def check_noise(self, what: str) -> None:
        """Looks whether noise says nothing of images, as is needed for what gives images other noise than in training.

        Raises:
            UserError: If the two were coupled.
        """
        if not self.noise_is_independent:
            raise UserError(f"{what} is not for a model whose noise was coupled with images in training")

    @property
    def noise_is_independent(self) -> bool:
        """Whether noise is drawn apart from x in training."""
        return not self.optimal_transport

    def ends(self, x: Tensor, y: Tensor | None, held_out: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns x, the noise that makes it noisy, and labels.

        Arguments:
            x: What was observed, [B, …].
            y: Its labels, [B], or None.
            held_out: Whether it is held out of training.
        """
        epsilon = randn(x.shape, None, x.device).to(x.dtype)
        return x, transported(x, epsilon, y) if self.optimal_transport else epsilon, y

    def objective(self, batch: Batch) -> Tensor:
        """Returns the weighted squared error of the network's output, a mean over the numbers of each x and over all.

        With DDPM's settings it is Algorithm 1 of the paper.
        """
        x, y = self.observed(batch)
        t = self.time_distribution.sample(len(x), self.noise_schedule, None, x.device)
        x, epsilon, y = self.ends(x, y)
        if y is not None and self.num_classes is not None:
            y = torch.where(rand((len(x),), None, x.device) < self.label_dropout, self.num_classes, y)
        losses = self.losses(x, epsilon, t, y, self.fast("network"))
        if self.uncertainty is not None:
            u = at_least_float32(self.uncertainty(self.parameterisation.condition(t, self.noise_schedule)))
            losses = losses * (-u).exp() + u
        return losses.mean()

    def losses(self, x: Tensor, epsilon: Tensor, t: Tensor, y: Tensor | None, network: nn.Module) -> Tensor:
        """Returns the losses of x and noise, [B, …] each, at times [B], of labels [B] or None; [B]."""
        return self.process.losses(network, x, epsilon, t, y, self.weighting, self.bound_weight)

    @torch.no_grad()
    def noise_losses(self, x: Tensor, epsilon: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Returns the losses of x at levels of noise, [B]; see `lit_gen.contracts.SupportsNoiseLosses`."""
        return self.losses(x, epsilon, t, label, self.network)

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the loss of held-out images, without learned weights."""
        x, y = self.observed(batch)
        x, epsilon, y = self.ends(x, y, held_out=True)
        t = self.time_distribution.sample(len(x), self.noise_schedule, None, x.device)
        return {"loss/held_out": self.losses(x, epsilon, t, y, self.network).mean()}

    def denoiser(self, label: Tensor | None = None, guidance: float | None = None) -> Denoiser:
        """Returns what the network says of noisy x, as samplers want it, guided by labels [B]."""
        w, label = self.guidance if guidance is None else guidance, checked_label(label, self.num_classes, self.device)
        return self.process.denoiser(self.network, label, self.num_classes or 0, w)

    @torch.no_grad()
    def sample(
        self,
        num: int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Draws images, about in [−1, 1], or points, shape [num, C, H, W]; see `lit_gen.contracts.SupportsSample`.

        Arguments:
            num: The number of images.
            label: Their labels, shape [num]; drawn uniformly by default, if the model is conditional.
            generator: The source of randomness.
            guidance: How far they follow their labels, the model's own by default.

        Raises:
            UserError: If labels are given to an unconditional model, or are out of range.
        """
        return self.shown(deque(self.sample_stages(num, label, generator, guidance), maxlen=1)[0])

    @torch.no_grad()
    def sample_stages(
        self, num: int, label: Tensor | None = None, generator: Generators | None = None, guidance: float | None = None
    ) -> Iterator[Tensor]:
        """Yields what becomes samples, noise first; see `sample` and `lit_gen.contracts.SupportsStages`."""
        z = self.latents(num, generator)
        label = drawn_label(label, num, self.num_classes, generator, self.device)
        noise = self.noise_like(z.view(-1, *self.data_shape), generator)
        yield from (state.x for state in self.chain(z, self.denoiser(label, guidance), noise))

    def latents(self, num: int, generator: Generators | None = None) -> Tensor:
        """Draws the noise that samples start from, of variance 1, shape [num, D]."""
        return randn((num, math.prod(self.data_shape)), generator, self.device)

    @torch.no_grad()
    def generate(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps noise [B, D] and labels [B] to images [B, C, H, W]; what is random on the way is the same for all."""
        return self.shown(self.last(self.chain(z, self.denoiser(label), self.fixed_noise(z))))

    def chain(self, z: Tensor, denoise: Denoiser, noise: Noise) -> Iterator[State]:
        """Yields the states of a chain that starts from noise [B, D] of variance 1."""
        dtype = next(self.network.parameters()).dtype
        x = self.noise_schedule.prior_std * z.to(dtype).view(-1, *self.data_shape)
        return self.sampler.chain(x, self.sampler.levels(self.noise_schedule), denoise, lambda: noise().to(dtype))

    def noise_like(self, x: Tensor, generator: Generators | None) -> Noise:
        """Returns a source of noise of the shape of x."""
        return lambda: randn(x.shape, generator, self.device).to(x.dtype)

    def fixed_noise(self, z: Tensor) -> Noise:
        """Returns a source of noise that is always the same, and the same for all of B chains, z being [B, D]."""
        generator = torch.Generator().manual_seed(0)
        return lambda: randn((1, *self.data_shape), generator, z.device).expand(len(z), -1, -1, -1)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples as the batch has images, of its labels if conditional."""
        x, *y = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return self.sample(len(x), y[0] if y else None)

    @staticmethod
    def last(chain: Iterator[State]) -> Tensor:
        """Returns x at a chain's end, letting go of what was on its way."""
        return deque(chain, maxlen=1)[0].x
