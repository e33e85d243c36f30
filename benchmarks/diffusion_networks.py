"""The networks of `diffusion_step.py`: diffusers' U-Net and ours, of the same size and with the same weights."""

__all__ = ["Setting", "their_network", "with_their_weights"]

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from lit_gen.nn.diffusion_blocks import MapAttention, TimedBlock
from lit_gen.nn.diffusion_unet import DiffusionUNet


class Setting(NamedTuple):
    """What both sides have in common."""

    shape: tuple[int, int, int]
    batch: int
    features: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    device: torch.device

    def images(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (16 * self.batch, *self.shape), dtype=torch.uint8, generator=generator)

    def network(self) -> Callable[..., DiffusionUNet]:
        sizes = {"features": self.features, "multipliers": self.multipliers}
        return partial(DiffusionUNet, **sizes, blocks=self.blocks, attention=self.attention)


def their_network(setting: Setting) -> UNet2DModel:
    sides = [setting.shape[1] >> i for i in range(len(setting.multipliers))]
    attended = [side in setting.attention for side in sides]
    assert sum(attended) == len(setting.attention), f"attention is at {setting.attention}; the maps have {sides}"
    groups = math.gcd(32, setting.features // 4)
    return UNet2DModel(
        sample_size=setting.shape[1:],
        in_channels=setting.shape[0],
        out_channels=setting.shape[0],
        layers_per_block=setting.blocks,
        block_out_channels=[setting.features * m for m in setting.multipliers],
        down_block_types=["AttnDownBlock2D" if yes else "DownBlock2D" for yes in attended],
        up_block_types=["AttnUpBlock2D" if yes else "UpBlock2D" for yes in reversed(attended)],
        norm_num_groups=groups,
        attn_norm_num_groups=groups,
        attention_head_dim=64,
        resnet_time_scale_shift="scale_shift",
    ).to(setting.device)


def with_their_weights(theirs: UNet2DModel, setting: Setting) -> DiffusionUNet:
    """Returns our network with their weights, and as many groups as theirs in each norm."""
    ours = setting.network()(setting.shape).to(setting.device)
    their_parts = [theirs.time_embedding.linear_1, theirs.time_embedding.linear_2, theirs.conv_in]
    for block in (*theirs.down_blocks, theirs.mid_block, *theirs.up_blocks):
        attentions = list(getattr(block, "attentions", []))
        for resnet in block.resnets:
            their_parts += [resnet.norm1, resnet.conv1, resnet.time_emb_proj, resnet.norm2, resnet.conv2]
            their_parts += [resnet.conv_shortcut] if resnet.conv_shortcut is not None else []
            their_parts += [attentions.pop(0)] if attentions else []
        for resampler in getattr(block, "downsamplers", None) or getattr(block, "upsamplers", None) or ():
            their_parts.append(resampler.conv)
    their_parts += [theirs.conv_norm_out, theirs.conv_out]
    for part, given in zip(our_parts(ours), their_parts, strict=True):
        if isinstance(part, MapAttention):
            part.norm.load_state_dict(given.group_norm.state_dict())
            part.norm.num_groups = given.group_norm.num_groups
            linears = [given.to_q, given.to_k, given.to_v]
            copy_(part.qkv, torch.cat([linear.weight for linear in linears]), torch.cat([q.bias for q in linears]))
            copy_(part.out, given.to_out[0].weight, given.to_out[0].bias)
        else:
            copy_(part, given.weight, given.bias)
            if isinstance(part, nn.GroupNorm):
                part.num_groups = given.num_groups
    return ours


def our_parts(ours: DiffusionUNet) -> list[Any]:
    """Returns our network's layers in the order in which their network has them."""
    parts: list[Any] = [ours.embedding.layers[0], ours.embedding.layers[2], ours.first]
    for layer in (*ours.down, *ours.middle, *ours.up):
        for part in layer.children() if hasattr(layer, "block") else [layer]:
            if isinstance(part, TimedBlock):
                parts += [part.norm1, part.conv1, part.time, part.norm2, part.conv2]
                parts += [part.shortcut] if isinstance(part.shortcut, nn.Conv2d) else []
            elif not isinstance(part, nn.Identity):
                parts.append(part)
    return [*parts, ours.norm, ours.last]


@torch.no_grad()
def copy_(layer: Any, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight.view_as(layer.weight))
    layer.bias.copy_(bias)
