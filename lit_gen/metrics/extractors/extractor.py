"""The abstract feature extractor."""

__all__ = ["Extractor"]

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from lit_gen.contracts import ImageData
from lit_gen.metrics.features import Features


class Extractor(nn.Module, ABC):
    """Turns images into the features, and perhaps logits, that scores are computed from.

    An extractor is a tool of the evaluation, not a part of the model that is evaluated: its network is held outside the
    module tree, so that it is in no state_dict, no checkpoint and no optimizer, and always in eval mode. Constructing
    one is cheap; `prepare` loads or trains the network.
    """

    network: nn.Module

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that stands in metric names: ``fid[classifier]``."""

    @abstractmethod
    def prepare(self, data: ImageData, device: torch.device) -> None:
        """Loads or trains the network, moves it to a device and checks that it fits the images.

        Calling it again with the same data costs nothing but the move.

        Raises:
            UserError: If the network cannot be had or does not fit the data.
        """

    @abstractmethod
    def forward(self, image: Tensor) -> Features:
        """Returns the features of images.

        Arguments:
            image: uint8 in [0, 255], shape [N, C, H, W], on the extractor's device.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Returns what the features depend on, as plain values; valid after `prepare`.

        ``sha256`` of the weights, the name of the ``resize`` and, for a classifier, its ``accuracy`` on the test split
        in [0, 1] go into the protocol by these names.
        """

    def hold(self, network: nn.Module, device: torch.device) -> None:
        """Keeps a network for inference, outside the module tree."""
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        self.__dict__["network"] = network.to(device).eval()
