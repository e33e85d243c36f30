r"""Autoregressive models: one module, in which the network and the distribution of a pixel are values.

.. math:: \log p(x) = \sum_i \log p(x_i | x_1, …, x_{i-1})
"""

__all__ = ["Autoregressive"]

from collections.abc import Iterator, Mapping, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Adam

from lit_gen.contracts import Batch, Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.binary_pixels import BinaryPixels
from lit_gen.functional.bits_per_dim import bits_per_dim
from lit_gen.functional.class_labels import checked_label, drawn_label
from lit_gen.functional.pixels import PixelDistribution
from lit_gen.nn.causal_network import CausalNetwork
from lit_gen.nn.drawing import draw_pixels, pixel_log_prob
from lit_gen.nn.factories import CausalNetworkFactory
from lit_gen.nn.receptive_field import influence
from lit_gen.training.modes import evaluating
from lit_gen.training.objective import ObjectiveModule
from lit_gen.training.options import TrainingOptions


class Autoregressive(ObjectiveModule):
    r"""Creates an autoregressive model of images, trained by maximum likelihood.

    Its loss is −log p in nats per image.

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016)
        | https://arxiv.org/abs/1601.06759

        | Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016)
        | https://arxiv.org/abs/1606.05328

        | PixelCNN++ (Salimans et al., 2017)
        | https://arxiv.org/abs/1701.05517

    Arguments:
        image_shape: The images' channels, height and width; the data decide it.
        num_classes: The number of classes in the data, None if unlabelled; the data decide it.
        network: Makes the network, of each pixel's numbers from the pixels before it. None is the default: what a
            configuration does not say of its own network must not be that one's.
        pixels: What these say about a pixel.
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
        pixels: PixelDistribution = BinaryPixels(),  # noqa: B008 (a value without state)
        conditional: bool = False,
        optimizer: OptimizerCallable = Adam,
        schedule: LRSchedulerCallable | None = None,
        options: TrainingOptions = TrainingOptions(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(image_shape, ["network"], optimizer, schedule, options)
        if conditional and not num_classes:
            raise UserError("model.conditional is true, but the data have no labels")
        self.num_classes = num_classes if conditional else None
        self.pixels, self.log_prob_of = pixels, pixels.of
        channels, height, width = self.image_shape
        layout = pixels.layout(channels)
        try:
            self.network: CausalNetwork = network(
                input_shape=(layout.num_inputs, height, width),
                num_outputs=layout.num_outputs,
                groups=layout.groups,
                num_classes=self.num_classes,
            )
        except ValueError as error:
            raise UserError(f"model.network does not suit {channels} channels of these pixels: {error}") from error

    def objective(self, batch: Batch) -> Tensor:
        """Returns −log p of the batch's images in nats, their mean."""
        x, y = self._observed(batch)
        loss = -pixel_log_prob(self.fast("network"), self.pixels, x, y).sum((1, 2)).mean()
        self.record({"bpd": bits_per_dim(-loss, self.image_shape)})
        return loss

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns the mean −log p of held-out images, in nats and in bits per dimension."""
        x, y = self._observed(batch)
        log_prob = pixel_log_prob(self.network, self.pixels, x, y).sum((1, 2)).mean()
        return {"nll/held_out": -log_prob, "bpd/held_out": bits_per_dim(log_prob, self.image_shape)}

    @torch.no_grad()
    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns the exact log p in nats per image, shape [B]; see `SupportsLogProb` and `log_prob_of`."""
        label = checked_label(label, self.num_classes, self.device)
        x = self.pixels.observe(image.to(self.device), generator)
        return pixel_log_prob(self.network, self.pixels, x, label).sum((1, 2))

    def sample(
        self,
        num: int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        temperature: float | None = None,
        cached: bool = True,
    ) -> Tensor:
        """Draws images in [−1, 1], shape [num, C, H, W]; see `SupportsSample`.

        Arguments:
            num: The number of images.
            label: Their labels, shape [num]; drawn uniformly by default, if the model is conditional.
            generator: The source of randomness.
            temperature: What logits are divided by, above 0: below 1 there is less variety, and fewer bad images.
            cached: Whether a pixel costs one new position, or, for comparison, the whole image computed again.

        Raises:
            UserError: If labels are given to an unconditional model, or are out of range.
        """
        *_, x = self.sample_rows(num, label, generator, temperature, cached)
        return x

    def sample_rows(
        self,
        num: int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        temperature: float | None = None,
        cached: bool = True,
    ) -> Iterator[Tensor]:
        """Draws the same images as `sample` and yields them H times, a row's worth of pixels further each time.

        What is not drawn yet is −1. It is one tensor that is yielded, and filled further when the next is asked for.
        """
        blank = torch.full((num, *self.image_shape), -1.0)
        nothing = torch.zeros(self.image_shape[1:], dtype=torch.bool)
        label = drawn_label(label, num, self.num_classes, generator, self.device)
        return self._drawn(blank, nothing, label, generator, temperature, cached)

    def complete(
        self,
        image: Tensor,
        known: Tensor | int,
        label: Tensor | None = None,
        generator: Generators | None = None,
        temperature: float | None = None,
    ) -> Tensor:
        """Draws what is hidden of images, given what precedes it; known pixels that come later do not bear on it.

        Arguments:
            image: Images in [−1, 1], [B, C, H, W]; what is hidden may hold anything.
            known: Which pixels are known, bool [H, W] or [B, H, W], or how many rows from the top, if they are drawn
                before all others.
            label: Their labels, shape [B], for conditional models.
            generator: The source of randomness, as for `sample`; grey images may be made binary by it first.
            temperature: As for `sample`.

        Returns:
            What was observed of the images where it is known, and what was drawn elsewhere, in [−1, 1], [B, C, H, W].

        Raises:
            UserError: If there are not so many rows, others are drawn before them, or the mask is of another size.
        """
        height, width = self.image_shape[1:]
        if isinstance(known, int):
            if not 0 <= known <= height:
                raise UserError(f"{known} rows are known, of images of {height}")
            if any(row >= known for row, _ in self.pixel_order[: known * width]):
                raise UserError(
                    f"{type(self.network).__name__} does not draw {known} rows from the top before all others, which "
                    "could not depend on them: give as known a mask of pixels that it draws first (pixel_order)"
                )
            known = (torch.arange(height) < known)[:, None].expand(height, width)
        if known.shape not in ((height, width), (len(image), height, width)):
            raise UserError(f"the mask's shape is {list(known.shape)}, and must be {[height, width]}, or one per image")
        label = checked_label(label, self.num_classes, self.device)
        x = self.pixels.observe(image.to(self.device), generator).clone()
        *_, x = self._drawn(x, known, label, generator, temperature, True)
        return x

    @torch.no_grad()
    def _drawn(
        self,
        x: Tensor,
        known: Tensor,
        label: Tensor | None,
        generator: Generators | None,
        temperature: float | None,
        cached: bool,
    ) -> Iterator[Tensor]:
        """Draws what is not known of x; yields x as `draw_pixels` does."""
        num, _, height, width = x.shape
        dtype = next(self.network.parameters()).dtype
        x, known = x.to(self.device, dtype), known.to(self.device).expand(num, height, width)
        some = known if known.any() else None
        with evaluating(self.network):
            yield from draw_pixels(self.network, self.pixels, x, label, generator, some, temperature, cached)

    @property
    def pixel_order(self) -> Sequence[tuple[int, int]]:
        """The pixels (row, column) in the order in which they are drawn."""
        return self.network.order

    def influence(self, image: Tensor, row: int, column: int, label: Tensor | None = None) -> Tensor:
        """Returns how much a pixel's numbers depend on each pixel, [H, W]; see `SupportsInfluence`."""
        label = checked_label(label, self.num_classes, self.device)
        x = self.pixels.observe(image.to(self.device))
        with evaluating(self.network):
            return influence(self.network, self.pixels.planes(x), row, column, label)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns as many samples in [−1, 1] as the batch has images, of its labels if conditional."""
        x, y = self._observed(batch)
        return self.sample(len(x), y)

    def _observed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        image, *label = self.require(batch, "image", *([] if self.num_classes is None else ["label"]))
        return self.pixels.observe(image), label[0] if label else None
