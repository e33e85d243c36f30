"""The Inception network, prepared for speed without a change to its features."""

__all__ = ["SIZE", "InceptionNetwork"]

import torch
from torch import Tensor, nn

from lit_gen.functional.resize import resize_tensorflow1

SIZE = 299
_STEM, _BODY = 1, 4


def _fold_(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Makes a convolution do its batch norm's work, in place: a copy of all weights would be a tenth of the memory."""
    assert norm.running_mean is not None and norm.running_var is not None, "inference goes by running statistics"
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    convolution.weight.mul_(scale[:, None, None, None])
    convolution.bias = nn.Parameter(norm.bias - norm.running_mean * scale, requires_grad=False)


class InceptionNetwork(nn.Module):
    """Creates the network from its layers: batch norm folded, channels last, the resize two matrix products.

    On a CPU the layers up to 35 × 35 pixels see one image at a time, the rest four, whatever the batch: larger
    activations leave the caches, and take memory. That is a tenth faster than batches of 32.

    Arguments:
        inception: `inception_layers`, or torch-fidelity's network, whose layers are the same, with weights that need no
            gradients; it is taken apart, weights too.
        compiled: Compiles the layers (`torch.compile`), which takes a minute and a C++ compiler.
    """

    def __init__(self, inception: nn.Module, compiled: bool = False) -> None:
        super().__init__()
        for block in inception.modules():
            convolution, norm = getattr(block, "conv", None), getattr(block, "bn", None)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _fold_(convolution, norm)
                block.bn = nn.Identity()
        *trunk, head = inception.children()  # convolutions and poolings in the order of their use, then the classifier
        assert isinstance(head, nn.Linear), "the network ends with its classifier"
        stem = 1 + max(number for number, layer in enumerate(trunk) if isinstance(layer, nn.MaxPool2d))
        self.stem = nn.Sequential(*trunk[:stem]).to(memory_format=torch.channels_last)
        self.body = nn.Sequential(*trunk[stem:]).to(memory_format=torch.channels_last)
        self.head = nn.Parameter(head.weight.detach(), requires_grad=False)
        if compiled:
            self.stem.compile()
            self.body.compile()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features [N, 2048] and logits [N, 1008] of RGB images uint8 [N, 3, H, W]."""

        def resized(part: Tensor) -> Tensor:
            with torch.autocast(image.device.type, enabled=False):  # bfloat16 does not tell grey levels apart
                x = resize_tensorflow1(part.float(), SIZE).sub_(128.0).div_(128.0)
            return x.contiguous(memory_format=torch.channels_last)

        stem, body = (_STEM, _BODY) if image.device.type == "cpu" else (len(image), len(image))
        features = torch.cat(
            [
                self.body(torch.cat([self.stem(resized(few)) for few in part.split(stem)])).flatten(1)
                for part in image.split(body)
            ]
        )
        return features, features @ self.head.T  # "unbiased" logits: torch-fidelity's IS leaves the bias out
