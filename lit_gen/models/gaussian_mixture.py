r"""A mixture of Gaussians: the simplest model whose density of an image is known.

In the coordinates z = A (y − m) of the data's principal axes there are K Gaussians; across the axes all else is noise:

.. math:: q(y) = \sum_k \pi_k \, N(z; \mu_k, \Sigma_k) \cdot N(y - m - A^\top z; 0, \sigma^2)
"""

__all__ = ["GaussianMixture"]

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.optim import Optimizer

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.noise import rand, randn
from lit_gen.training.module import GenerativeModule
from lit_gen.training.stepping import count_batches_as_steps


class GaussianMixture(GenerativeModule):
    r"""Creates a Gaussian mixture, fitted by scikit-learn before the first step, which does nothing: one is enough.

    The density is of images y = (x + u) / 128 − 1, with 8-bit values x and uniform noise u, and `log_prob` the bound
    that `lit_gen.contracts.SupportsLogProb` derives from it.

    References:
        | Maximum Likelihood from Incomplete Data via the EM Algorithm (Dempster, Laird & Rubin, 1977)

        | On GANs and GMMs (Richardson & Weiss, 2018): mixtures as models of images
        | https://arxiv.org/abs/1805.12462

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_components: The number of Gaussians K.
        num_axes: The number of principal axes, at most the numbers of an image.
        num_images: The training images that it is fitted to, evenly spaced; None for all.
        regularisation: What is added to the variances Σ's diagonals, so that no Gaussian is flat.
        max_iterations: The most rounds of expectation and maximisation.
        draw_noise: Whether `sample` draws the noise across the axes, too.
        seed: The seed of the fit.
    """

    centre: Tensor
    axes: Tensor
    noise_std: Tensor
    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(
        self,
        image_shape: Shape,
        num_components: int = 50,
        num_axes: int = 50,
        num_images: int | None = None,
        regularisation: float = 1e-4,
        max_iterations: int = 100,
        draw_noise: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.image_shape: Shape = (image_shape[0], image_shape[1], image_shape[2])
        size = math.prod(self.image_shape)
        if not 1 <= num_axes <= size:
            raise UserError(f"model.num_axes is {num_axes}, and must be 1 to {size}, the numbers of an image")
        if num_components < 1 or max_iterations < 1:
            raise UserError(
                f"model.num_components is {num_components} and model.max_iterations {max_iterations}; both must be at "
                "least 1"
            )
        self.num_components, self.num_axes, self.num_images = num_components, num_axes, num_images
        self.regularisation, self.max_iterations = regularisation, max_iterations
        self.draw_noise, self.seed = draw_noise, seed
        shapes = {
            "centre": (size,),
            "axes": (num_axes, size),
            "noise_std": (),
            "weights": (num_components,),
            "means": (num_components, num_axes),
            "factors": (num_components, num_axes, num_axes),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def configure_optimizers(self) -> list[Optimizer]:
        """Returns none: there is nothing to optimize step by step."""
        return []

    def setup(self, stage: str) -> None:
        if stage == "fit":
            if self.trainer.precision != "32-true":
                raise UserError(f"trainer.precision is {self.trainer.precision}; GaussianMixture is fitted in 32-true")
            count_batches_as_steps(self.trainer)

    def on_fit_start(self) -> None:
        if self.trainer.world_size > 1:
            raise UserError("GaussianMixture is fitted by one process: set trainer.devices to 1")
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None or not hasattr(data, "batches"):
            raise UserError("GaussianMixture needs a datamodule whose training images it can go through")
        total = data.num_images("train")
        num = total if self.num_images is None else min(self.num_images, total)
        taken = torch.arange(num) * total // num
        self.fit_to(torch.cat([batch["image"] for batch in data.batches("train", 1024)])[taken])

    def fit_to(self, image: Tensor) -> None:
        """Fits axes and mixture to images, uint8 [N, C, H, W], at once.

        Raises:
            UserError: If there are fewer images than Gaussians or axes.
        """
        from sklearn.decomposition import PCA
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as Mixture

        if len(image) < max(self.num_components, self.num_axes + 1):
            raise UserError(
                f"{len(image)} images are too few for {self.num_components} Gaussians and {self.num_axes} axes"
            )
        noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(self.seed))
        y = ((image.float().cpu() + noise) / 128 - 1).flatten(1).numpy()
        pca = PCA(self.num_axes, svd_solver="covariance_eigh" if y.shape[1] <= 4096 else "randomized", random_state=0)
        z = pca.fit_transform(y).astype("float64")
        mixture = Mixture(
            self.num_components,
            reg_covar=self.regularisation,
            max_iter=self.max_iterations,
            init_params="k-means++",
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the setting says how long it may take
            mixture.fit(z)
        rest = max(y.astype("float64").var(0, ddof=1).sum() - pca.explained_variance_.sum(), 0.0)
        across = max(y.shape[1] - self.num_axes, 1)
        found = {
            "centre": pca.mean_,
            "axes": pca.components_,
            "noise_std": math.sqrt(max(rest / across, 1e-12)),
            "weights": mixture.weights_,
            "means": mixture.means_,
        }
        for name, value in found.items():
            getattr(self, name).copy_(torch.as_tensor(value))
        self.factors.copy_(torch.linalg.cholesky(torch.as_tensor(mixture.covariances_)))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Does nothing but count."""
        self.log_recorded()

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns minus the mean log-probability of held-out images, in nats per image."""
        (x,) = self.require(batch, "image")
        return {"nll/held_out": -self.log_prob(x).mean()}

    def log_density(self, y: Tensor) -> Tensor:
        """Maps images y [B, C, H, W] to log q(y), float64 [B]."""
        self._check_fitted()
        difference = y.to(self.device, torch.float64).flatten(1) - self.centre
        z = difference @ self.axes.T
        along = MultivariateNormal(self.means, scale_tril=self.factors).log_prob(z[:, None])
        log_q = (along + self.weights.log()).logsumexp(dim=1)
        num = difference.shape[1] - self.num_axes
        if num == 0:
            return log_q
        rest = (difference - z @ self.axes).square().sum(1)
        return log_q - 0.5 * rest / self.noise_std.square() - num * (self.noise_std * math.sqrt(2 * math.pi)).log()

    @torch.no_grad()
    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns a bound on log P of 8-bit images in nats, by one draw of noise each, [B]; see `SupportsLogProb`."""
        x = ((image.to(self.device, torch.float64) + 1) * 127.5).round()
        u = rand(tuple(x.shape), generator, self.device)
        return self.log_density((x + u) / 128 - 1) - math.prod(self.image_shape) * math.log(128)

    @torch.no_grad()
    def sample(self, num: int, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Draws images in [−1, 1], shape [num, C, H, W]; see `lit_gen.contracts.SupportsSample`."""
        self._check_fitted()
        which = torch.searchsorted(self.weights.cumsum(0), rand((num, 1), generator, self.device).double())[:, 0]
        which = which.clamp(max=self.num_components - 1)
        epsilon = randn((num, self.num_axes), generator, self.device).double()
        z = self.means[which] + (self.factors[which] @ epsilon[:, :, None])[:, :, 0]
        y = self.centre + z @ self.axes
        if self.draw_noise:
            noise = self.noise_std * randn((num, len(self.centre)), generator, self.device).double()
            y = y + noise - noise @ self.axes.T @ self.axes
        # The middle of the interval that a value stands for, as the image that the value is.
        x = (y + 1) * 128 - 0.5
        return (x / 127.5 - 1).clamp(-1, 1).float().unflatten(1, self.image_shape)

    def _check_fitted(self) -> None:
        if not bool(self.weights.any()):
            raise UserError("this GaussianMixture has not been fitted: run fit, or load a checkpoint")
