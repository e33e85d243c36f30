r"""Diffusion models and flow matching: one module, in which all that differs by paper is a value.

A network learns what is image and what is noise in :math:`x_t = \alpha(t) x + \sigma(t) \epsilon`, at all levels of
noise; samplers go from noise to images by what it says:

.. math:: L = E_{x, \epsilon, t}\big[w(t) \, \|F(x_t, t) - (a x + b \epsilon)\|^2\big]
"""

__all__ = ["Diffusion"]

import math
from collections import deque
from collections.abc import Iterator, Mapping

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim import Adam

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.class_labels import checked_label
from lit_gen.functional.diffusion_likelihood import DiffusionLikelihood, VariationalBound
from lit_gen.functional.diffusion_process import DiffusionProcess
from lit_gen.functional.diffusion_weighting import DiffusionWeighting, SimpleWeighting
from lit_gen.functional.noise import rand, randint, randn
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.optimal_transport import transported
from lit_gen.functional.parameterisation import EpsilonPrediction, Parameterisation, VelocityPrediction
from lit_gen.functional.sampler import Denoiser, Noise, Sampler, State, masked_chain
from lit_gen.functional.samplers import Ancestral
from lit_gen.functional.tabulated_schedules import LinearBetas
from lit_gen.functional.time_distribution import TimeDistribution, UniformTime
from lit_gen.nn.diffusion_unet import DiffusionUNet
from lit_gen.nn.factories import DenoiserFactory
from lit_gen.nn.log_variance import LogVariance
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.options import TrainingOptions
from lit_gen.training.reflow import Reflow


class Diffusion(ObjectiveModule):
    r"""Creates a diffusion model; by default that of the paper that made them known, Algorithms 1 and 2.

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020)
        | https://arxiv.org/abs/2006.11239

        | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021): learned variances, hybrid loss
        | https://arxiv.org/abs/2102.09672

        | Classifier-Free Diffusion Guidance (Ho & Salimans, 2022)
        | https://arxiv.org/abs/2207.12598

        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022)
        | https://arxiv.org/abs/2206.00364

        | Flow Matching for Generative Modeling (Lipman et al., 2023)
        | https://arxiv.org/abs/2210.02747

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_classes: The number of classes in the data, None if unlabelled; the data decide it.
        network: Makes the denoiser.
        noise_schedule: How much noise there is at each time; DDPM's `LinearBetas` by default. (The default of this and
            of others is no such value itself, whose settings the command line's parser would hand on to what is named
            in its place.)
        parameterisation: What the network's output means.
        weighting: What errors at each level of noise count for.
        time_distribution: How often each level is trained on.
        sampler: How images are made; by `Ancestral` sampling by default.
        likelihood: What `log_prob` is; a `VariationalBound` by default.
        conditional: Whether the network knows the class label.
        label_dropout: The share of labels that it is not told in training, which guidance needs.
        guidance: How far samples follow their label: the output told the label counts w, the other 1 − w; 1 is none.
        learned_variance: Whether the network also says where the reverse variance lies between its bounds, in further
            outputs that learn from the bound alone.
        bound_weight: λ, what the bound counts for in that hybrid loss, in bits per dimension.
        learned_weighting: Whether losses are weighted by a learned uncertainty of each level of noise.
        optimal_transport: Whether a batch's noise is assigned to its images by the shortest ways.
        reflow: Whether, and how, it learns from a trained model's pairs of noise and images in place of the data's.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("network",)

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        network: DenoiserFactory = DiffusionUNet,
        noise_schedule: NoiseSchedule | None = None,
        parameterisation: Parameterisation = EpsilonPrediction(),  # noqa: B008 (values without state, here and below)
        weighting: DiffusionWeighting = SimpleWeighting(),  # noqa: B008
        time_distribution: TimeDistribution = UniformTime(),  # noqa: B008
        sampler: Sampler | None = None,
        likelihood: DiffusionLikelihood | None = None,
        conditional: bool = False,
        label_dropout: float = 0.1,
        guidance: float = 1.0,
        learned_variance: bool = False,
        bound_weight: float = 0.001,
        learned_weighting: bool = False,
        optimal_transport: bool = False,
        reflow: Reflow | None = None,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008
    ) -> None:
        super().__init__(
            image_shape, ["network", *(["uncertainty"] if learned_weighting else [])], optimizer, schedule, options
        )
        noise_schedule, sampler = noise_schedule or LinearBetas(), sampler or Ancestral()
        likelihood = likelihood or VariationalBound()
        if conditional and not num_classes:
            raise UserError("model.conditional is true, but the data have no labels")
        if not 0 <= label_dropout < 1:
            raise UserError(f"model.label_dropout is {label_dropout}, and must be 0 or more, and less than 1")
        if self.image_shape[1:] == (1, 1) and not likelihood.of_points:
            raise UserError("model.likelihood must be ProbabilityFlow for points, which are no 8-bit images")
        if learned_variance and noise_schedule.steps is None:
            raise UserError("model.learned_variance needs a noise_schedule of T steps: LinearBetas or Discretised")
        coupled = "optimal_transport" if optimal_transport else "reflow" if reflow else None
        if coupled and (sampler.is_random or not isinstance(parameterisation, VelocityPrediction)):
            raise UserError(f"model.{coupled} needs VelocityPrediction, and a sampler without noise on its way")
        self.num_classes = num_classes if conditional else None
        self.noise_schedule, self.parameterisation = noise_schedule, parameterisation
        self.process = DiffusionProcess(noise_schedule, parameterisation, learned_variance)
        self.weighting, self.time_distribution = weighting, time_distribution
        self.sampler, self.likelihood, self.guidance = sampler, likelihood, guidance
        self.label_dropout, self.bound_weight = label_dropout, bound_weight
        self.optimal_transport, self.reflow = optimal_transport, reflow
        self.network: nn.Module = network(
            image_shape=self.image_shape,
            num_classes=self.num_classes,
            num_outputs=self.image_shape[0] * (2 if learned_variance else 1),
        )
        self.uncertainty: nn.Module | None = LogVariance() if learned_weighting else None

    @property
    def log_prob_of(self) -> str:
        """What `log_prob` is of."""
        points = self.image_shape[1:] == (1, 1)
        return "points (a density)" if points else self.likelihood.what

    def on_fit_start(self) -> None:
        if self.reflow is not None:
            self.reflow.prepare(self)

    def objective(self, batch: Batch) -> Tensor:
        """Returns the weighted squared error of the network's output, a mean over an image's numbers and over images.

        With its defaults it is Algorithm 1 of the paper.
        """
        x, y = self._real(batch)
        t = self.time_distribution.sample(len(x), self.noise_schedule, None, x.device)
        epsilon = randn(x.shape, None, x.device).to(x.dtype)
        if self.reflow is not None:
            x, epsilon, y = self.reflow.ends(len(x))
        if self.optimal_transport:
            epsilon = transported(x, epsilon)
        if y is not None and self.num_classes is not None:
            y = torch.where(rand((len(x),), None, x.device) < self.label_dropout, self.num_classes, y)
        losses = self._losses(x, epsilon, t, y, self.fast("network"))
        if self.uncertainty is not None:
            u = at_least_float32(self.uncertainty(self.parameterisation.condition(t, self.noise_schedule)))
            losses = losses * (-u).exp() + u
        return losses.mean()

    def _losses(self, x: Tensor, epsilon: Tensor, t: Tensor, y: Tensor | None, network: nn.Module) -> Tensor:
        return self.process.losses(network, x, epsilon, t, y, self.weighting, self.bound_weight)

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the loss of held-out images, or of reflow's held-out pairs, without learned weights."""
        x, y = self._real(batch)
        epsilon = randn(x.shape, None, x.device).to(x.dtype)
        if self.reflow is not None:
            if not self.reflow.ready:
                return {}
            x, epsilon, y = self.reflow.ends(len(x), held_out=True)
        t = self.time_distribution.sample(len(x), self.noise_schedule, None, x.device)
        return {"loss/held_out": self._losses(x, epsilon, t, y, self.network).mean()}

    def denoiser(self, label: Tensor | None = None, guidance: float | None = None) -> Denoiser:
        """Returns what the network says of noisy images, as samplers want it, guided by labels [B]."""
        w, label = self.guidance if guidance is None else guidance, checked_label(label, self.num_classes, self.device)
        return self.process.denoiser(self.network, label, self.num_classes or 0, w)

    @torch.no_grad()
    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns log P in nats per image, shape [B]; see `lit_gen.contracts.SupportsLogProb` and `log_prob_of`."""
        return self.likelihood.log_prob(image.to(self.device), self.denoiser(label, 1.0), generator)

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
        z = self.latents(num, generator)
        if label is None and self.num_classes is not None:
            label = randint(self.num_classes, num, generator, self.device)
        noise = self._like(z.view(num, *self.image_shape), generator)
        return _last(self._chain(z, label, noise, guidance))

    def latents(self, num: int, generator: Generators | None = None) -> Tensor:
        """Draws the noise that samples start from, of variance 1, shape [num, D]."""
        return randn((num, math.prod(self.image_shape)), generator, self.device)

    @torch.no_grad()
    def generate(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps noise [B, D] and labels [B] to images [B, C, H, W]; what is random on the way is the same for all."""
        return _last(self._chain(z, label, self._fixed_noise(z)))

    @torch.no_grad()
    def trajectory(self, z: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """Returns what noise [B, D] becomes step by step, [B, D] each: itself first, data last."""
        chain = self._chain(z, label, self._fixed_noise(z))
        return [z, *(state.x.flatten(1) for state in list(chain)[1:])]

    def _chain(self, z: Tensor, label: Tensor | None, noise: Noise, guidance: float | None = None) -> Iterator[State]:
        """Yields the states of a chain that starts from noise [B, D] of variance 1."""
        dtype = next(self.network.parameters()).dtype
        x = self.noise_schedule.prior_std * z.to(dtype).view(-1, *self.image_shape)
        levels, denoise = self.sampler.levels(self.noise_schedule), self.denoiser(label, guidance)
        return self.sampler.chain(x, levels, denoise, lambda: noise().to(dtype))

    def _like(self, image: Tensor, generator: Generators | None) -> Noise:
        return lambda: randn(image.shape, generator, self.device).to(image.dtype)

    def _fixed_noise(self, z: Tensor) -> Noise:
        generator = torch.Generator().manual_seed(0)
        return lambda: randn((1, *self.image_shape), generator, z.device).expand(len(z), -1, -1, -1)

    @torch.no_grad()
    def vary(
        self, image: Tensor, strength: float, label: Tensor | None = None, generator: Generators | None = None
    ) -> Tensor:
        """Makes images [B, C, H, W] noisy up to the time `strength`, and samples on from there.

        References:
            | SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations (Meng et al., 2022)
            | https://arxiv.org/abs/2108.01073

        Raises:
            UserError: If the sampler has no step so early.
        """
        levels = [level for level in self.sampler.levels(self.noise_schedule) if level.t <= strength + 1e-9]
        if len(levels) < 2:
            raise UserError(f"the strength is {strength}, before which the sampler has no step: take more steps")
        noise = self._like(image, generator)
        x = levels[0].alpha * image.to(self.device) + levels[0].sigma * noise()
        return _last(self.sampler.chain(x, levels, self.denoiser(label), noise))

    @torch.no_grad()
    def inpaint(
        self, image: Tensor, known: Tensor, label: Tensor | None = None, generator: Generators | None = None
    ) -> Tensor:
        """Draws what is not known of images [B, C, H, W]: where `known`, bool [B, 1, H, W], is false.

        References:
            | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021),
            | appendix I.2
            | https://arxiv.org/abs/2011.13456
        """
        image, noise = image.to(self.device), self._like(image, generator)
        x, levels = self.noise_schedule.prior_std * noise(), self.sampler.levels(self.noise_schedule)
        chain = masked_chain(self.sampler, x, levels, self.denoiser(label), noise, image, known.to(self.device))
        return _last(chain)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples as the batch has images, of its labels if conditional."""
        x, y = self._real(batch)
        return self.sample(len(x), y)

    def _real(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        x, *y = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return x, y[0] if y else None


def _last(chain: Iterator[State]) -> Tensor:
    """Returns the images at a chain's end, letting go of those on its way."""
    return deque(chain, maxlen=1)[0].x
