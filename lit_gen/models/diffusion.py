r"""Diffusion models and flow matching: one module, in which all that differs by paper is a value.

A network learns what is image and what is noise in :math:`x_t = \alpha(t) x + \sigma(t) \epsilon`, at all levels of
noise; samplers go from noise to images by what it says:

.. math:: L = E_{x, \epsilon, t}\big[w(t) \, \|F(x_t, t) - (a x + b \epsilon)\|^2\big]
"""

__all__ = ["Diffusion"]

from collections.abc import Callable, Mapping

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Adam

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.classifier_guidance import guided_by, of_clean_images
from lit_gen.functional.diffusion_likelihood import DiffusionLikelihood, ProbabilityFlow, VariationalBound
from lit_gen.functional.diffusion_weighting import DiffusionWeighting, SimpleWeighting
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.parameterisation import EpsilonPrediction, Parameterisation, VelocityPrediction
from lit_gen.functional.reverse_step import ReverseVariance
from lit_gen.functional.sampler import Sampler, masked_chain
from lit_gen.functional.samplers import Ancestral
from lit_gen.functional.tabulated_schedules import LinearBetas
from lit_gen.functional.time_distribution import TimeDistribution, UniformTime
from lit_gen.nn.diffusion_unet import DiffusionUNet
from lit_gen.nn.factories import DenoiserFactory
from lit_gen.nn.log_variance import LogVariance
from lit_gen.training.diffusion import DiffusionModule
from lit_gen.training.options import TrainingOptions
from lit_gen.training.reflow import Reflow


class Diffusion(DiffusionModule):
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
            of others is no such value itself, whose settings Lightning's own command line would hand on to what is
            named in its place.)
        parameterisation: What the network's output means.
        weighting: What errors at each level of noise count for.
        time_distribution: How often each level is trained on.
        sampler: How images are made; by `Ancestral` sampling by default, with learned variances if there are some.
        likelihood: What `log_prob` is; a `VariationalBound` by default, of learned variances if there are some, and
            `ProbabilityFlow` of points and where noise belongs to images.
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
        variance: ReverseVariance = "learned" if learned_variance else "large"
        # Not bound to the arguments' names, under which what was given is recorded.
        super().__init__(
            image_shape,
            num_classes,
            ["network", *(["uncertainty"] if learned_weighting else [])],
            noise_schedule or LinearBetas(),
            parameterisation,
            weighting,
            time_distribution,
            sampler or Ancestral(variance=variance),
            conditional,
            label_dropout,
            guidance,
            learned_variance,
            bound_weight,
            optimal_transport,
            optimizer,
            schedule,
            options,
        )
        coupled = "optimal_transport" if optimal_transport else "reflow" if reflow else None
        if coupled and (self.sampler.is_random or not isinstance(parameterisation, VelocityPrediction)):
            raise UserError(f"model.{coupled} needs VelocityPrediction, and a sampler without noise on its way")
        points = self.image_shape[1:] == (1, 1)
        if likelihood is None:
            likelihood = ProbabilityFlow() if coupled or points else VariationalBound(variance=variance)
        if coupled and isinstance(likelihood, VariationalBound):
            raise UserError(f"model.{coupled} needs ProbabilityFlow as model.likelihood: its chain is not sampled by")
        if points and not likelihood.of_points:
            raise UserError("model.likelihood must be ProbabilityFlow for points, which are no 8-bit images")
        if learned_variance and self.noise_schedule.steps is None:
            raise UserError("model.learned_variance needs a noise_schedule of T steps: LinearBetas or Discretised")
        if getattr(likelihood, "variance", None) == "learned" and not learned_variance:
            raise UserError("model.likelihood has learned variances, which need model.learned_variance")
        self.likelihood, self.reflow, self.data_shape = likelihood, reflow, self.image_shape
        self.check_sampler(self.sampler)
        self.network = network(
            image_shape=self.image_shape,
            num_classes=self.num_classes,
            num_outputs=self.image_shape[0] * (2 if learned_variance else 1),
        )
        self.uncertainty = LogVariance() if learned_weighting else None

    @property
    def log_prob_of(self) -> str:
        """What `log_prob` is of."""
        points = self.image_shape[1:] == (1, 1)
        return "points (a density)" if points else self.likelihood.what(self.noise_schedule)

    def observed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        x, *y = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return x, y[0] if y else None

    def shown(self, x: Tensor) -> Tensor:
        return x

    @property
    def noise_is_independent(self) -> bool:
        return super().noise_is_independent and self.reflow is None

    def on_fit_start(self) -> None:
        if self.reflow is not None:
            self.reflow.prepare(self)

    def ends(self, x: Tensor, y: Tensor | None, held_out: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns images with noise and labels, or as many of reflow's pairs in their place."""
        return super().ends(x, y) if self.reflow is None else self.reflow.ends(len(x), held_out)

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the loss of held-out images, or of reflow's held-out pairs, where there are some."""
        return {} if self.reflow is not None and not self.reflow.ready else super().held_out(batch)

    @torch.no_grad()
    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns log P in nats per image, shape [B]; see `lit_gen.contracts.SupportsLogProb` and `log_prob_of`."""
        return self.likelihood.log_prob(image.to(self.device), self.denoiser(label, 1.0), generator)

    @torch.no_grad()
    def sample_by_classifier(
        self, label: Tensor, classify: Callable[[Tensor], Tensor], scale: float, generator: Generators | None = None
    ) -> Tensor:
        """Draws images that a classifier takes for their labels [N]; see `SupportsClassifierGuidance`.

        If the model is conditional it knows the labels, too, and is guided by them as in `sample`.

        Raises:
            UserError: If its noise was coupled with images in training, of which guessed noise is no score.
        """
        self.check_noise("guidance by a classifier")
        label = label.to(self.device)
        denoise = self.denoiser(None if self.num_classes is None else label)
        guided = guided_by(denoise, of_clean_images(classify, self.noise_schedule), label, scale)
        z = self.latents(len(label), generator)
        return self.last(self.chain(z, guided, self.noise_like(z.view(-1, *self.data_shape), generator)))

    @torch.no_grad()
    def trajectory(self, z: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """Returns what noise [B, D] becomes step by step, [B, D] each: itself first, data last."""
        chain = self.chain(z, self.denoiser(label), self.fixed_noise(z))
        return [z, *(state.x.flatten(1) for state in list(chain)[1:])]

    @torch.no_grad()
    def vary(
        self, image: Tensor, strength: float, label: Tensor | None = None, generator: Generators | None = None
    ) -> Tensor:
        """Makes images [B, C, H, W] noisy up to the time `strength`, and samples on from there.

        References:
            | SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations (Meng et al., 2022)
            | https://arxiv.org/abs/2108.01073

        Raises:
            UserError: If the sampler has no step so early, or noise was coupled with images in training.
        """
        self.check_noise("an image that is made noisy")
        levels = [level for level in self.sampler.levels(self.noise_schedule) if level.t <= strength + 1e-9]
        if len(levels) < 2:
            raise UserError(f"the strength is {strength}, before which the sampler has no step: take more steps")
        noise = self.noise_like(image, generator)
        x = levels[0].alpha * image.to(self.device) + levels[0].sigma * noise()
        return self.last(self.sampler.chain(x, levels, self.denoiser(label), noise))

    @torch.no_grad()
    def inpaint(
        self, image: Tensor, known: Tensor, label: Tensor | None = None, generator: Generators | None = None
    ) -> Tensor:
        """Draws what is not known of images [B, C, H, W]: where `known`, bool [B, 1, H, W], is false.

        References:
            | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021),
            | appendix I.2
            | https://arxiv.org/abs/2011.13456

        Raises:
            UserError: If noise was coupled with images in training.
        """
        self.check_noise("inpainting")
        image, noise = image.to(self.device), self.noise_like(image, generator)
        x, levels = self.noise_schedule.prior_std * noise(), self.sampler.levels(self.noise_schedule)
        chain = masked_chain(self.sampler, x, levels, self.denoiser(label), noise, image, known.to(self.device))
        return self.last(chain)
