"""DINOv2's vision transformer, made of torchvision's and the published weights."""

__all__ = ["dinov2_network"]

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

HEAD_WIDTH = 64  # of every published variant
_NAMES = {
    "norm1": "ln_1",
    "attn.qkv": "self_attention.in_proj",
    "attn.proj": "self_attention.out_proj",
    "norm2": "ln_2",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.3",
    "mlp.w12": "mlp.w12",
    "mlp.w3": "mlp.w3",
}
_SCALES = {"attn.proj": "ls1", "mlp.fc2": "ls2", "mlp.w3": "ls2"}
"""What ends a branch, and the scale per channel that its result is multiplied by before it is added."""


class _SwiGLU(nn.Module):
    """Creates the gated layer of the largest variant: w3(silu(a) b), where a and b are the halves of w12(x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        y: Tensor = self.w3(silu(gate) * value)
        return y


def dinov2_network(state: Mapping[str, Tensor], size: int = 224) -> nn.Module:
    """Returns the network with these weights, from float images [N, 3, S, S] to the class token's features [N, D].

    It is a vision transformer but for the scales per channel at the end of every branch (LayerScale), which are
    multiplied into the layer before them, and the gated layers of the largest variant.

    References:
        | DINOv2: Learning Robust Visual Features without Supervision (Oquab et al., 2024)
        | https://arxiv.org/abs/2304.07193

    Arguments:
        state: The state_dict as it was published.
        size: The images' side S.

    Raises:
        KeyError, RuntimeError, ValueError: If the weights are of another network.
    """
    from torchvision.models import VisionTransformer

    width, _, patch, _ = state["patch_embed.proj.weight"].shape
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    with torch.device("meta"):  # nothing is drawn: the weights take the places of these
        network = VisionTransformer(
            size, patch, depth, width // HEAD_WIDTH, width, 4 * width, norm_layer=partial(nn.LayerNorm, eps=1e-6)
        )
        network.heads = nn.Identity()  # type: ignore[assignment]
        if "blocks.0.mlp.w12.weight" in state:
            for layer in network.encoder.layers:
                layer.mlp = _SwiGLU(width, state["blocks.0.mlp.w3.weight"].shape[1])  # type: ignore[assignment]
    network.load_state_dict(dict(_renamed(state, size // patch)), assign=True)
    return network


def _renamed(state: Mapping[str, Tensor], side: int) -> Iterator[tuple[str, Tensor]]:
    """Yields torchvision's name and value of every weight."""
    for name, value in state.items():
        module, _, kind = name.rpartition(".")
        if name == "cls_token":
            yield "class_token", value.float()
        elif name == "pos_embed":
            yield "encoder.pos_embedding", _positions(value.float(), side)
        elif module == "patch_embed.proj":
            yield f"conv_proj.{kind}", value.float()
        elif module == "norm":
            yield f"encoder.ln.{kind}", value.float()
        elif module.startswith("blocks.") and kind != "gamma":
            _, number, part = module.split(".", 2)
            if part in _SCALES:
                scale = state[f"blocks.{number}.{_SCALES[part]}.gamma"]
                value = value.double() * scale.double().view(-1, *[1] * (value.ndim - 1))
            separator = "_" if part == "attn.qkv" else "."
            yield f"encoder.layers.encoder_layer_{number}.{_NAMES[part]}{separator}{kind}", value.float()
        elif kind != "gamma" and name != "mask_token":  # the token stands for hidden patches, in training alone
            raise KeyError(name)


def _positions(embedding: Tensor, side: int) -> Tensor:
    """Returns the embedding of positions [1, 1 + M², D] for side × side patches.

    The published code gives the interpolation a scale of (side + 0.1) / M, so that it be no row short; the scale
    decides where it samples, so the tenth is part of the features.
    """
    token, patches = embedding[:, :1], embedding[:, 1:]
    published = round(patches.shape[1] ** 0.5)
    if published == side:
        return embedding
    grid = patches.view(1, published, published, -1).permute(0, 3, 1, 2)
    grid = interpolate(grid, scale_factor=(side + 0.1) / published, mode="bicubic", recompute_scale_factor=False)
    return torch.cat([token, grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
