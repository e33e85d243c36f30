r"""Priors over codes: an autoregressive model of the maps of codes that another model makes of images.

With codes k = encode(x),

.. math:: \log p(k) = \sum_i \log p(k_i | k_1, …, k_{i-1}), \qquad x = \mathrm{decode}(k), \quad k \sim p
"""

__all__ = ["CodePrior"]

import math
from collections.abc import Mapping, Sequence

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Adam

from lit_gen.contracts import Batch, Generators, Shape, SupportsCodes
from lit_gen.errors import UserError
from lit_gen.functional.categorical_pixels import CategoricalPixels
from lit_gen.functional.class_labels import checked_label, drawn_label
from lit_gen.nn.causal_network import CausalNetwork
from lit_gen.nn.drawing import draw_pixels, pixel_log_prob
from lit_gen.nn.factories import CausalNetworkFactory
from lit_gen.training.frozen_autoencoder import frozen_autoencoder
from lit_gen.training.modes import evaluating
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.options import TrainingOptions


class CodePrior(ObjectiveModule):
    r"""Creates a prior over the codes of a trained model, such as a VQ-VAE, whose decoder makes its samples images.

    Its loss is −log p of codes, in nats per image; it is no bound on that of images, whose codes are many to one.

    A checkpoint of it holds the model of codes too, how it is built and its weights, which training leaves as they
    are: the file that these came from is needed no more.

    References:
        | Neural Discrete Representation Learning (van den Oord, Vinyals & Kavukcuoglu, 2017), section 3.3
        | https://arxiv.org/abs/1711.00937

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_classes: The number of classes in the data, None if unlabelled; the data decide it.
        network: Makes the network, of each code's numbers from the codes before it.
        codes_of: A checkpoint of a model that turns images into codes (`lit_gen.contracts.SupportsCodes`).
        autoencoder: That model itself, in place of a checkpoint of it.
        trust: Packages beside lit_gen and torch whose classes its checkpoint may name.
        conditional: Whether the class label is known to the network.
        optimizer: Makes the optimizer.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    averaged_networks = ("network",)

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        *,
        network: CausalNetworkFactory,
        codes_of: str | None = None,
        autoencoder: LightningModule | None = None,
        trust: Sequence[str] = (),
        conditional: bool = False,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, ["network"], optimizer, schedule, options)
        if conditional and not num_classes:
            raise UserError("model.conditional is true, but the data have no labels")
        self.num_classes = num_classes if conditional else None
        self.autoencoder = frozen_autoencoder(
            self, self.image_shape, "codes_of", codes_of, autoencoder, trust, (SupportsCodes,), "images into codes"
        )
        assert isinstance(self.autoencoder, SupportsCodes)
        self.code_shape: tuple[int, int] = (self.autoencoder.code_shape[0], self.autoencoder.code_shape[1])
        self.pixels = CategoricalPixels(self.autoencoder.num_codes, one_hot=True)
        layout = self.pixels.layout(1)
        try:
            self.network: CausalNetwork = network(
                input_shape=(layout.num_inputs, *self.code_shape),
                num_outputs=layout.num_outputs,
                groups=layout.groups,
                num_classes=self.num_classes,
            )
        except ValueError as error:
            raise UserError(f"model.network does not suit {self.pixels.levels} codes: {error}") from error

    def objective(self, batch: Batch) -> Tensor:
        """Returns −log p of the codes of the batch's images in nats, their mean."""
        codes, y = self._observed(batch)
        x = self.pixels.values(codes)[:, None]
        return -pixel_log_prob(self.fast("network"), self.pixels, x, y).sum((1, 2)).mean()

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the mean −log p of held-out images' codes, in nats per image and in bits per code."""
        codes, y = self._observed(batch)
        nll = -self.code_log_prob(codes, y).mean()
        return {"nll/held_out": nll, "bits_per_code/held_out": nll / (math.prod(self.code_shape) * math.log(2))}

    @torch.no_grad()
    def code_log_prob(self, codes: Tensor, label: Tensor | None = None) -> Tensor:
        """Returns log p of codes, int64 [B, h, w], in nats per image, shape [B]."""
        label = checked_label(label, self.num_classes, self.device)
        x = self.pixels.values(codes.to(self.device))[:, None]
        return pixel_log_prob(self.network, self.pixels, x, label).sum((1, 2))

    @torch.no_grad()
    def sample_codes(
        self,
        num: int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        temperature: float | None = None,
        cached: bool = True,
    ) -> Tensor:
        """Draws codes, int64 [num, h, w]; arguments as for `sample`."""
        label = drawn_label(label, num, self.num_classes, generator, self.device)
        x = next(self.network.parameters()).new_zeros((num, 1, *self.code_shape))
        with evaluating(self.network):
            for _ in draw_pixels(self.network, self.pixels, x, label, generator, None, temperature, cached):
                pass
        return self.pixels.level(x[:, 0])

    def sample(
        self,
        num: int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        temperature: float | None = None,
        cached: bool = True,
    ) -> Tensor:
        """Draws codes, and decodes them to images in [−1, 1], shape [num, C, H, W]; see `SupportsSample`.

        Arguments:
            num: The number of images.
            label: Their labels, shape [num]; drawn uniformly by default, if the model is conditional.
            generator: The source of randomness.
            temperature: What logits are divided by, above 0: below 1 there is less variety, and fewer bad images.
            cached: Whether a code costs one new position, or, for comparison, the whole map computed again.

        Raises:
            UserError: If labels are given to an unconditional model, or are out of range.
        """
        codes = self.sample_codes(num, label, generator, temperature, cached)
        with evaluating(self.autoencoder):
            images: Tensor = self.autoencoder.decode_codes(codes)  # type: ignore[operator]
        return images

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples in [−1, 1] as the batch has images, of its labels if conditional."""
        (image,) = self.require(batch, "image")
        label = None if self.num_classes is None else self.require(batch, "label")[0]
        return self.sample(len(image), label)

    @torch.no_grad()
    def _observed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        image, *label = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        with evaluating(self.autoencoder):
            codes: Tensor = self.autoencoder.encode_codes(image)  # type: ignore[operator]
        return codes, label[0] if label else None
