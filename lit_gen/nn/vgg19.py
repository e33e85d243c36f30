"""A classifier's maps by which images are compared."""

__all__ = ["VGG19Maps"]

from pathlib import Path

import torch
from torch import Tensor, nn

from lit_gen.errors import UserError, first_line

_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))


class VGG19Maps(nn.Module):
    r"""Creates VGG19 up to relu5_1, frozen, from given weights; its maps relu1_1, relu2_1, … and relu5_1.

    References:
        | Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan & Zisserman, 2015)
        | https://arxiv.org/abs/1409.1556

        | High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs
        | (Wang et al., 2018): which maps, and their weights
        | https://arxiv.org/abs/1711.11585

    Arguments:
        weights_path: A file with the state_dict of torchvision's ``vgg19``, trained on ImageNet.

    Attributes:
        weights: What each map counts for.
    """

    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
    mean: Tensor
    std: Tensor

    def __init__(self, weights_path: str) -> None:
        super().__init__()
        layers, inputs = list[nn.Module](), 3
        for i, (outputs, num) in enumerate(_STAGES):
            layers += [nn.MaxPool2d(2, ceil_mode=True)] if i else []  # torchvision's, but for sizes of one pixel
            for _ in range(num):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)
        try:
            state = torch.load(Path(weights_path).expanduser(), map_location="cpu", weights_only=True)
            self.load_state_dict({name: state[name] for name in self.state_dict()})
        except Exception as error:  # no file, no weights, others: all mean that the file is another one
            raise UserError(
                f"weights_path is {weights_path}, which does not hold the weights of torchvision's vgg19 "
                f"({first_line(error)})"
            ) from error
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps images in [−1, 1], grey or RGB [B, C, H, W], to five maps [B, C_l, H_l, W_l]."""
        x = ((image.float() + 1) / 2 - self.mean) / self.std
        maps, starts = [], True
        for layer in self.features:
            starts |= isinstance(layer, nn.MaxPool2d)
            x = layer(x)
            if starts and isinstance(layer, nn.ReLU):
                maps.append(x)
                starts = False
        return maps
