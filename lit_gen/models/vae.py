r"""Variational autoencoders, importance weighted ones, β-VAE; conditional or not.

With a prior p(z) = N(0, I), a decoder p(x|z) and an encoder q(z|x) = N(μ(x), σ²(x)),

.. math:: \log p(x) \ge E_q[\log p(x|z)] - \mathrm{KL}(q(z|x) \,\|\, p(z))
"""

__all__ = ["VAE"]

from collections.abc import Iterator, Mapping

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Adam

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.bernoulli import BernoulliLikelihood
from lit_gen.functional.class_labels import checked_label, drawn_label
from lit_gen.functional.gaussian_kl import gaussian_kl_terms
from lit_gen.functional.importance_bound import importance_bound
from lit_gen.functional.likelihood import Likelihood
from lit_gen.functional.noise import randn
from lit_gen.nn.dense_autoencoder import DenseDecoder, DenseEncoder
from lit_gen.nn.factories import DecoderFactory, EncoderFactory
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.options import TrainingOptions

# Samples are drawn in blocks of this many, so that they do not depend on how many are decoded at once.
_BLOCK = 50


class VAE(ObjectiveModule):
    r"""Creates a variational autoencoder.

    The encoder sees what the likelihood is of: binarised images, if these are what is modelled. Its loss is in nats per
    image.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), equation (10)
        | https://arxiv.org/abs/1312.6114

        | Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2016), equation (8)
        | https://arxiv.org/abs/1509.00519

        | β-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (Higgins et al., 2017)
        | https://openreview.net/forum?id=Sy2fzU9gl

        | Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), section C.8: free bits
        | https://arxiv.org/abs/1606.04934

        | Ladder Variational Autoencoders (Sønderby et al., 2016), section 2.3: warm-up
        | https://arxiv.org/abs/1602.02282

        | Learning Structured Output Representation using Deep Conditional Generative Models (Sohn et al., 2015)

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_classes: The number of classes in the data, None if unlabelled; the data decide it.
        encoder: Makes the encoder, of means and log-variances.
        decoder: Makes the decoder, of the likelihood's numbers.
        likelihood: What these say about an image.
        latent_dim: The size of the latent z.
        conditional: Whether the class label is known to both networks.
        beta: The weight β of the divergence from the prior; 1 gives the bound.
        free_bits: Nats λ of each latent dimension's divergence, a mean over the batch, that cost no less: max(λ, KL).
        warmup_steps: The steps over which β rises linearly from 0.
        num_samples: The samples K of z in training. With one, the divergence is computed; with more, the loss is the
            importance weighted bound.
        log_prob_samples: The samples K of `log_prob`'s bound.
        decoded_at_once: The most samples of z that `log_prob` decodes at once: a matter of memory alone.
        draw_pixels: Whether `sample` draws images from p(x|z) or gives its mean.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("encoder", "decoder")

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        encoder: EncoderFactory = DenseEncoder,
        decoder: DecoderFactory = DenseDecoder,
        likelihood: Likelihood = BernoulliLikelihood(),  # noqa: B008 (a value without state)
        latent_dim: int = 20,
        conditional: bool = False,
        beta: float = 1.0,
        free_bits: float = 0.0,
        warmup_steps: int = 0,
        num_samples: int = 1,
        log_prob_samples: int = 500,
        decoded_at_once: int = 8192,
        draw_pixels: bool = False,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, ("encoder", "decoder"), optimizer, schedule, options)
        if conditional and not num_classes:
            raise UserError("model.conditional is true, but the data have no labels")
        counts = {"latent_dim": latent_dim, "num_samples": num_samples, "log_prob_samples": log_prob_samples}
        for name, value in {**counts, "decoded_at_once": decoded_at_once}.items():
            if value < 1:
                raise UserError(f"model.{name} is {value}, and must be at least 1")
        for name, number in {"beta": beta, "free_bits": free_bits, "warmup_steps": warmup_steps}.items():
            if number < 0:
                raise UserError(f"model.{name} is {number}, and must be 0 or more")
        if free_bits and num_samples > 1:
            raise UserError("model.free_bits are of a divergence that importance weighting has not: set num_samples: 1")
        self.num_classes = num_classes if conditional else None
        self.latent_dim, self.likelihood, self.draw_pixels = latent_dim, likelihood, draw_pixels
        self.beta, self.free_bits, self.warmup_steps, self.num_samples = beta, free_bits, warmup_steps, num_samples
        self.log_prob_samples, self.decoded_at_once = log_prob_samples, decoded_at_once
        self.log_prob_of = f"{likelihood.of}, importance weighted bound of {log_prob_samples} samples"
        channels, height, width = self.image_shape
        output_shape = (likelihood.num_parameters * channels, height, width)
        self.encoder = encoder(image_shape=self.image_shape, num_outputs=2 * latent_dim, num_classes=self.num_classes)
        self.decoder = decoder(output_shape=output_shape, latent_dim=latent_dim, num_classes=self.num_classes)

    def beta_at(self, step: int) -> float:
        """Returns β at a training step: it depends on nothing else, so that a resumed run goes on as it was."""
        return self.beta * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else self.beta

    def objective(self, batch: Batch) -> Tensor:
        """Returns minus the bound in nats, with β and free bits, a mean over the batch."""
        x, y = self._observed(batch)
        beta = self.beta_at(self.step)
        mean, log_variance = self._posterior(x, y)
        epsilon = _noise(self.num_samples, mean, None)
        log_likelihood = self._log_likelihood(x, mean + (0.5 * log_variance).exp() * epsilon, y)
        divergence = gaussian_kl_terms(mean, log_variance)
        self.record({"reconstruction": -log_likelihood.mean(), "kl": divergence.sum(dim=1).mean()})
        if self.num_samples > 1:
            prior_over_posterior = _log_ratio(mean, log_variance, epsilon)
            return -importance_bound([log_likelihood + beta * prior_over_posterior]).mean()
        return -log_likelihood.mean() + beta * divergence.mean(dim=0).clamp(min=self.free_bits).sum()

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns minus the bound of one sample, β being 1, and its two parts, in nats per image."""
        x, y = self._observed(batch)
        mean, log_variance = self._posterior(x, y)
        z = mean + (0.5 * log_variance).exp() * _noise(1, mean, None)
        reconstruction = -self._log_likelihood(x, z, y).mean()
        divergence = gaussian_kl_terms(mean, log_variance).sum(dim=1).mean()
        return {
            "negative_elbo/held_out": reconstruction + divergence,
            "reconstruction/held_out": reconstruction,
            "kl/held_out": divergence,
        }

    @torch.no_grad()
    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns the bound of `log_prob_samples` samples in nats per image, shape [B]; see `SupportsLogProb`.

        The memory that it takes does not depend on the number of samples.
        """
        label = checked_label(label, self.num_classes, self.device)
        x = self.likelihood.observe(image.to(self.device), generator)
        return importance_bound(self._log_weights(x, label, generator))

    def _log_weights(self, x: Tensor, y: Tensor | None, generator: Generators | None) -> Iterator[Tensor]:
        """Yields log p(x, z) − log q(z|x) of samples z, block by block, float64 [k, B]."""
        mean, log_variance = self._posterior(x, y)
        at_once = max(1, self.decoded_at_once // len(x))
        for start in range(0, self.log_prob_samples, _BLOCK):
            block = _noise(min(_BLOCK, self.log_prob_samples - start), mean, generator)
            for epsilon in block.split(at_once):
                log_likelihood = self._log_likelihood(x, mean + (0.5 * log_variance).exp() * epsilon, y)
                yield (log_likelihood + _log_ratio(mean, log_variance, epsilon)).double()

    def _observed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        image, *label = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return self.likelihood.observe(image), label[0] if label else None

    def _posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns mean and log-variance of q(z|x), both [B, latent_dim]."""
        mean, log_variance = at_least_float32(self.fast("encoder")(x, y)).chunk(2, dim=1)
        return mean, log_variance

    def _log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
        """Returns log p(x|z) of x [B, C, H, W] and k samples z [k, B, latent_dim] in nats, [k, B]."""
        repeated = None if y is None else y.repeat(len(z))
        theta = at_least_float32(self.fast("decoder")(z.flatten(0, 1), repeated)).unflatten(0, z.shape[:2])
        with torch.autocast(x.device.type, enabled=False):
            return self.likelihood.log_prob(at_least_float32(x), theta)

    @torch.no_grad()
    def sample(self, num: int, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Draws images in [−1, 1], shape [num, C, H, W]: p(x|z)'s mean, or draws from it; see `SupportsSample`.

        Labels are drawn uniformly by default, if the model is conditional.
        """
        z = self.latents(num, generator)
        label = drawn_label(label, num, self.num_classes, generator, self.device)
        if not self.draw_pixels:
            return self.generate(z, label)
        return self.likelihood.draw(self._decoded(z, label), generator)

    def latents(self, num: int, generator: Generators | None = None) -> Tensor:
        """Draws latents from the prior, shape [num, latent_dim]."""
        return randn((num, self.latent_dim), generator, self.device)

    def generate(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [B, latent_dim], and labels [B] if conditional, to p(x|z)'s mean in [−1, 1], [B, C, H, W]."""
        return self.likelihood.mean(self._decoded(z, label))

    def _decoded(self, z: Tensor, label: Tensor | None) -> Tensor:
        return at_least_float32(self.decoder(z, checked_label(label, self.num_classes, self.device)))

    def encode(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to the mean of q(z|x), [B, latent_dim], without noise anywhere."""
        x = self.likelihood.observe_without_noise(image.to(self.device))
        return self._posterior(x, checked_label(label, self.num_classes, self.device))[0]

    def reconstruct(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns what the mean of q(z|x) is decoded to, images in [−1, 1], [B, C, H, W]; nothing is drawn."""
        return self.generate(self.encode(image, label), label)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples in [−1, 1] as the batch has images, of its labels if conditional."""
        x, y = self._observed(batch)
        return self.sample(len(x), y)


def _noise(num: int, mean: Tensor, generator: Generators | None) -> Tensor:
    """Draws standard normal numbers for so many samples of each posterior, [num, B, latent_dim]."""
    drawn = randn((len(mean), num, mean.shape[1]), generator, mean.device)
    return drawn.transpose(0, 1).to(mean.dtype)


def _log_ratio(mean: Tensor, log_variance: Tensor, epsilon: Tensor) -> Tensor:
    """Returns log p(z) − log q(z|x) for z = μ + σ ε, with ε of shape [k, B, D], [k, B]; constants cancel."""
    z = mean + (0.5 * log_variance).exp() * epsilon
    return 0.5 * (epsilon.square() + log_variance - z.square()).sum(dim=-1)
