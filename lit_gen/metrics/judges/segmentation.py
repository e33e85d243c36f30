"""Whether translations of label maps show what these say, in the eyes of a network that segments real images."""

__all__ = ["SegmentationJudge"]

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lit_gen.contracts import Batch, ImageData, SupportsSegmentation, SupportsTranslate
from lit_gen.functional.label_overlap import label_overlap
from lit_gen.functional.quantize import to_uint8
from lit_gen.metrics.judges.judge import Counts, Judge, Noise
from lit_gen.metrics.judges.segmentation_network import SegmentationNetwork
from lit_gen.metrics.network_training import gather_training_images, train_network


class SegmentationJudge(Judge):
    r"""Creates the judge of models that make images from label maps.

    A network that was trained to segment real images is shown the translations. ``segmentation_accuracy`` is the share
    of pixels, of those whose label is known, that it finds to be of the label that they were made from;
    ``segmentation_iou`` the mean over classes of :math:`|\hat{Y}_k \cap Y_k| / |\hat{Y}_k \cup Y_k|`, over the pixels
    of all images.

    References:
        | Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017), section 3.4
        | https://arxiv.org/abs/1611.07004
        | Semantic Image Synthesis with Spatially-Adaptive Normalization (Park et al., 2019), section 4
        | https://arxiv.org/abs/1903.07291

    Arguments:
        cache: Where trained networks are kept.
    """

    name: ClassVar[str] = "segmentation"
    compared: ClassVar[str] = "label maps with what a network of real images sees in their translations"

    _data: Any
    _num: int

    def misfit(self, model: Any, data: ImageData) -> str | None:
        if not isinstance(model, SupportsTranslate):
            return f"{type(model).__name__} does not translate, and {self.name} judges translations"
        if not isinstance(data, SupportsSegmentation) or data.num_segments is None:
            return f"{self.name} needs the label maps of images, which these data do not have"
        return None

    def look(self, model: Any, data: ImageData) -> None:
        assert isinstance(data, SupportsSegmentation) and data.num_segments is not None
        self._data, self._num = data, data.num_segments

    def key(self) -> dict[str, Any]:
        return {"num_segments": self._num}

    def make(self) -> SegmentationNetwork:
        shape: tuple[int, int, int] = self._data.image_shape
        return SegmentationNetwork(shape, self._num)

    def train(self) -> nn.Module:
        image, label_map = gather_training_images(self._data, lambda batch: (batch["image"], self._known(batch)))

        def loss(network: SegmentationNetwork, chosen: Tensor) -> Tensor:
            wanted = label_map[chosen].long()
            total = cross_entropy(network(image[chosen]), wanted, ignore_index=255, reduction="sum")
            return total / (wanted != 255).sum().clamp(min=1)

        return train_network(self.make, loss, len(image), num_seen=10_000, batch_size=32)

    @property
    def scores(self) -> Mapping[str, Sequence[int]]:
        return {"segmentation_accuracy": [0], "segmentation_iou": range(1, 1 + self._num)}

    def settings(self) -> dict[str, Any]:
        return {"classes": self._num}

    def judge(self, model: Any, batch: Batch, noise: Noise) -> Counts:
        # The wanted image is kept from the model.
        made = model.translate({name: value for name, value in batch.items() if name != "image"}, noise("translation"))
        return self._counts(self.stored(made), batch)

    def real(self, batch: Batch) -> Counts:
        return self._counts(to_uint8(batch["image"]), batch)

    def _counts(self, image: Tensor, batch: Batch) -> Counts:
        stored = {name: to_uint8(value) if value.is_floating_point() else value for name, value in batch.items()}
        return Counts(*label_overlap(self.see(image).argmax(1).cpu(), self._known(stored).cpu(), self._num))

    def _known(self, batch: Batch) -> Tensor:
        """Returns the segmentation with 255 for all that is no class, uint8 [B, H, W]."""
        label_map: Tensor = self._data.segmentation(batch)
        return torch.where((label_map < 0) | (label_map >= self._num), 255, label_map).to(torch.uint8)
