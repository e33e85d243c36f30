"""The StyleGAN2 discriminator, and the statistic by which it sees a batch's variety."""

__all__ = ["MinibatchDeviation", "StyleGAN2Discriminator"]

import itertools
import math

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.equalized import EqualizedConv2d, EqualizedLinear, activate
from lit_gen.nn.mapping import MappingNetwork
from lit_gen.nn.resampling import downsample
from lit_gen.nn.sizes import doubled_widths, halvings


class MinibatchDeviation(nn.Module):
    r"""Creates a layer that appends to each image's maps the standard deviation within its group of images.

    The deviation over the group of every channel and pixel, averaged over these, is one more channel. Image i is in
    group i mod ⌈B/n⌉, so that a batch of any size falls into groups of at most n, as equal as can be.

    References:
        | Progressive Growing of GANs for Improved Quality, Stability, and Variation (Karras et al., 2018), section 3
        | https://arxiv.org/abs/1710.10196

    Arguments:
        group_size: The most images n in a group.
    """

    def __init__(self, group_size: int = 4) -> None:
        super().__init__()
        if group_size < 1:
            raise UserError(f"group_size is {group_size}, and must be at least 1")
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to [B, C + 1, H, W]."""
        num = len(x)
        num_groups = math.ceil(num / self.group_size)
        group = torch.arange(num, device=x.device) % num_groups
        # Small deviations need all digits of what they are differences of.
        with torch.autocast(x.device.type, enabled=False):
            flat = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            flat = flat.flatten(1)
            member = (group == torch.arange(num_groups, device=x.device)[:, None]).to(flat.dtype)
            average = member / member.sum(1, keepdim=True)  # [groups, B]
            variance = average @ (flat - (average @ flat)[group]).square()
            deviation = (variance + 1e-8).sqrt().mean(1)[group].to(x.dtype)
        return torch.cat([x, deviation[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)


class _Block(nn.Module):
    """A residual block that halves its maps; see figure 7c."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.same = EqualizedConv2d(in_channels, in_channels, 3)
        self.down = EqualizedConv2d(in_channels, out_channels, 3, down=True)
        self.skip = EqualizedConv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = activate(self.down(activate(self.same(x))))
        return (h + self.skip(downsample(x))) / math.sqrt(2)


class StyleGAN2Discriminator(nn.Module):
    r"""Creates the residual discriminator of StyleGAN2 (figure 7c).

    With classes, the logit is the product of the image's and the label's vector, the latter from a mapping network.

    References:
        | Analyzing and Improving the Image Quality of StyleGAN (Karras et al., 2020)
        | https://arxiv.org/abs/1912.04958

        | Training Generative Adversarial Networks with Limited Data (Karras et al., 2020), appendix C: labels
        | https://arxiv.org/abs/2006.06676

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        num_classes: The number of classes of a conditional discriminator, None for an unconditional one.
        num_outputs: The numbers returned per image, the logit first.
        features: The channels at the image's size; each coarser one has twice as many.
        max_features: The most channels that any map gets.
        group_size: The most images whose variety is measured together.
        mapping_layers: The layers from a label to its vector.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int = 1,
        features: int = 64,
        max_features: int = 512,
        group_size: int = 4,
        mapping_layers: int = 8,
    ) -> None:
        super().__init__()
        self.image_shape, self.num_classes, self.num_outputs = tuple(image_shape), num_classes, num_outputs
        sizes = halvings(image_shape)
        widths = doubled_widths(features, max_features, len(sizes))
        last = widths[-1]
        self.from_image = EqualizedConv2d(image_shape[0], widths[0], 1)
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in itertools.pairwise(widths)))
        self.deviation = MinibatchDeviation(group_size)
        self.mix = EqualizedConv2d(last + 1, last, 3)
        self.dense = EqualizedLinear(last * math.prod(sizes[-1]), last)
        self.mapping = None if num_classes is None else MappingNetwork(0, num_classes, last, mapping_layers)
        self.judge = EqualizedLinear(last, (1 if num_classes is None else last) + num_outputs - 1)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images to logits, positive where they look real.

        Arguments:
            x: Images in [−1, 1], shape [B, C, H, W].
            label: Class labels, shape [B]; needed exactly when the discriminator is conditional.

        Returns:
            Logits, shape [B]; with more than one output, [B, num_outputs].
        """
        assert x.shape[1:] == self.image_shape
        assert (label is not None) == (self.num_classes is not None)
        h = self.blocks(activate(self.from_image(x)))
        h = activate(self.mix(self.deviation(h)))
        h = self.judge(activate(self.dense(h.flatten(1))))
        others = self.num_outputs - 1
        verdict, rest = h[:, : h.shape[1] - others], h[:, h.shape[1] - others :]
        if self.mapping is not None:
            e = self.mapping(None, label)
            verdict = (verdict * e).sum(1, keepdim=True) / math.sqrt(e.shape[1])
        return torch.cat([verdict, rest], dim=1) if others else verdict[:, 0]
