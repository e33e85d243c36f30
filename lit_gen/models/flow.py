r"""Normalizing flows: one module, in which network, base distribution, dequantisation and preprocessing are values.

A bijection f maps data to latents z = f(x) of a simple distribution, and its Jacobian gives the exact density:

.. math:: \log p(x) = \log p_Z(f(x)) + \log |\det \partial f / \partial x|
"""

__all__ = ["NormalizingFlow"]

import math
from collections.abc import Mapping

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim import Adam

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.base_distributions import BaseDistribution, StandardNormal
from lit_gen.functional.bits_per_dim import bits_per_dim
from lit_gen.functional.class_labels import checked_label, drawn_label
from lit_gen.functional.preprocessing import Centring, Preprocessing
from lit_gen.nn.dequantisation import UniformDequantisation
from lit_gen.nn.factories import DequantisationFactory, FlowFactory
from lit_gen.nn.glow import Glow
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.options import TrainingOptions


class NormalizingFlow(ObjectiveModule):
    r"""Creates a normalizing flow, trained by maximum likelihood.

    The loss is −log P in nats per image, from one draw of the dequantisation noise.

    References:
        | NICE: Non-linear Independent Components Estimation (Dinh, Krueger & Bengio, 2015)
        | https://arxiv.org/abs/1410.8516

        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017)
        | https://arxiv.org/abs/1605.08803

        | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018)
        | https://arxiv.org/abs/1807.03039

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_classes: The number of classes in the data, None if unlabelled; the data decide it.
        flow: Makes the bijection.
        dequantisation: Makes what carries 8-bit images over to continuous numbers; `NoDequantisation` is for points.
        preprocessing: What is done to these numbers, which lie in [0, 1], before the bijection.
        base: What latents are drawn from.
        conditional: Whether the density is one given the class label.
        draws: The draws of noise in `log_prob`, of which it takes the logarithm of the mean of the probabilities: a
            tighter bound than the mean of their logarithms, which is what an evaluation's own draws are averaged by.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("flow", "dequantisation")

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        flow: FlowFactory = Glow,
        dequantisation: DequantisationFactory = UniformDequantisation,
        preprocessing: Preprocessing = Centring(),  # noqa: B008 (a value without state)
        base: BaseDistribution = StandardNormal(),  # noqa: B008 (a value without state)
        conditional: bool = False,
        draws: int = 1,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, ["flow", "dequantisation"], optimizer, schedule, options)
        if conditional and not num_classes:
            raise UserError("model.conditional is true, but the data have no labels")
        if draws < 1:
            raise UserError(f"model.draws is {draws}, and must be at least 1")
        self.num_classes = num_classes if conditional else None
        self.preprocessing, self.base, self.draws = preprocessing, base, draws
        self.flow: nn.Module = flow(image_shape=self.image_shape, num_classes=self.num_classes)
        self.dequantisation: nn.Module = dequantisation(image_shape=self.image_shape)
        self.quantised: bool = self.dequantisation.is_random  # type: ignore[assignment]
        if self.quantised == (image_shape[1] * image_shape[2] == 1):
            raise UserError("model.dequantisation is NoDequantisation for points (one pixel), and for nothing else")
        if not self.quantised and not isinstance(preprocessing, Centring):
            raise UserError("model.preprocessing must be Centring, the default, for points, which have no bounds")

    @property
    def log_prob_of(self) -> str:
        """What `log_prob` is of."""
        what = str(self.dequantisation.what)
        several = self.quantised and self.draws > 1
        return f"{what}, bound of {self.draws} draws of noise, log-mean-exp" if several else what

    def objective(self, batch: Batch) -> Tensor:
        """Returns −log P of the batch's images in nats, their mean."""
        loss = -self._bound(*self._real(batch), None, self.fast("flow")).mean()
        if self.quantised:
            self.record({"bpd": bits_per_dim(-loss, self.image_shape)})
        return loss

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the mean −log P of held-out images, in nats and, of images, in bits per dimension."""
        log_prob = self.log_prob(*self._real(batch)).mean()
        bits = {"bpd/held_out": bits_per_dim(log_prob, self.image_shape)} if self.quantised else {}
        return {"nll/held_out": -log_prob, **bits}

    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns log P in nats per image, shape [B]; see `lit_gen.contracts.SupportsLogProb` and `log_prob_of`."""
        image, label = image.to(self.device), checked_label(label, self.num_classes, self.device)
        num = self.draws if self.quantised else 1
        bounds = torch.stack([self._bound(image, label, generator, self.flow) for _ in range(num)])
        return bounds.logsumexp(dim=0) - math.log(num)

    def _bound(self, image: Tensor, label: Tensor | None, generator: Generators | None, flow: nn.Module) -> Tensor:
        """Returns one draw's bound of log P, shape [B]."""
        y, missing = self.dequantisation(image, generator)
        x, log_det = self.preprocessing.forward(y)
        z, flow_log_det = flow(x, label)
        return self.base.log_prob(z) + flow_log_det + log_det + missing

    @torch.no_grad()
    def sample(
        self,
        num: int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        temperature: float | None = None,
    ) -> Tensor:
        """Draws images in [−1, 1], or points, shape [num, C, H, W]; see `lit_gen.contracts.SupportsSample`.

        Arguments:
            num: The number of images.
            label: Their labels, shape [num]; drawn uniformly by default, if the model is conditional.
            generator: The source of randomness.
            temperature: What latents are multiplied by, above 0: below 1 there is less variety, and fewer bad images.

        Raises:
            UserError: If labels are given to an unconditional model, or are out of range.
        """
        z = self.latents(num, generator, temperature)
        label = drawn_label(label, num, self.num_classes, generator, self.device)
        return self.generate(z, label)

    def latents(self, num: int, generator: Generators | None = None, temperature: float | None = None) -> Tensor:
        """Draws latents, shape [num, D]; see `sample`.

        References:
            | Glow: Generative Flow with Invertible 1×1 Convolutions (Kingma & Dhariwal, 2018), section 6: temperature
            | https://arxiv.org/abs/1807.03039
        """
        if temperature is not None and not temperature > 0:
            raise UserError(f"the temperature is {temperature}, and must be above 0")
        z = self.base.sample((num, math.prod(self.image_shape)), generator, self.device)
        return z if temperature is None else temperature * z

    def generate(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [B, D] and labels [B] to images in [−1, 1], or points, shape [B, C, H, W].

        Raises:
            UserError: If labels are given to an unconditional model, are missing or out of range.
        """
        x: Tensor = self.flow.inverse(z, checked_label(label, self.num_classes, self.device))  # type: ignore[operator]
        return self.dequantisation.image(self.preprocessing.inverse(x))  # type: ignore[operator]

    def encode(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images [B, C, H, W] and labels [B] to latents [B, D], those of the middle of the noise."""
        x, _ = self.preprocessing.forward(self.dequantisation.middle(image.to(self.device)))  # type: ignore[operator]
        return self.flow(x, checked_label(label, self.num_classes, self.device))[0]

    def reconstruct(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns the images that are made of images' latents: themselves, as far as digits go."""
        return self.generate(self.encode(image, label), label)

    def trajectory(self, z: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """Returns what latents [B, D] become layer by layer, [B, D] each: latents first, data last."""
        *states, x = self.flow.states(z, checked_label(label, self.num_classes, self.device))  # type: ignore[operator]
        last = self.dequantisation.image(self.preprocessing.inverse(x.view(-1, *self.image_shape)))  # type: ignore[operator]
        return [*states, last.flatten(1)]

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples in [−1, 1] as the batch has images, of its labels if conditional."""
        x, y = self._real(batch)
        return self.sample(len(x), y)

    def _real(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        x, *y = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return x, y[0] if y else None
