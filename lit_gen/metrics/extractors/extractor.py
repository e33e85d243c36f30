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

        ``name``, the ``sha256`` of the weights, the ``resize`` and, for a classifier, its ``accuracy`` on the test
        split in [0, 1] go into the protocol: between them they must tell apart all that decides a feature.
        """

    def hold(self, network: nn.Module, device: torch.device, compile: bool = False) -> None:
        """Keeps a network for inference, outside the module tree.

        Arguments:
            network: The network.
            device: Where it goes.
            compile: Whether it is compiled; this happens when it is first used, and again for a new size of batch.
        """
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        network = network.to(device).eval()
        self.__dict__["network"] = torch.compile(network) if compile else network
