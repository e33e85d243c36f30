"""Random weights of published architectures, in the form they were published in."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Drawn:
    """Draws weights by their shape, so that activations keep their size; biases too, so that leaving one out shows."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int, std: float = 0.0) -> Tensor:
        return torch.randn(shape, generator=self.generator) * (std or math.prod(shape[1:]) ** -0.5)


def dinov2_state(
    width: int = 384, depth: int = 12, gated: bool = False, hidden: int | None = None
) -> dict[str, Tensor]:
    """Returns a state_dict of DINOv2's: of ViT-S/14 by default."""
    draw, hidden = Drawn(), hidden or 4 * width
    state = {
        "cls_token": draw(1, 1, width, std=1.0),
        "pos_embed": draw(1, 1 + 37 * 37, width, std=0.5),
        "mask_token": draw(1, width, std=1.0),
        "patch_embed.proj.weight": draw(width, 3, 14, 14),
        "patch_embed.proj.bias": draw(width, std=0.1),
    }
    mlp = (
        {"w12": (2 * hidden, width), "w3": (width, hidden)}
        if gated
        else {"fc1": (hidden, width), "fc2": (width, hidden)}
    )
    linear = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), **{f"mlp.{k}": v for k, v in mlp.items()}}
    norms = [f"blocks.{i}.norm{j}" for i in range(depth) for j in (1, 2)]
    for name in (*norms, "norm"):
        state |= {f"{name}.weight": 1.0 + draw(width, std=0.2), f"{name}.bias": draw(width, std=0.2)}
    for i in range(depth):
        for name, shape in linear.items():
            state |= {
                f"blocks.{i}.{name}.weight": 1.5 * draw(*shape),
                f"blocks.{i}.{name}.bias": draw(shape[0], std=0.1),
            }
        state |= {f"blocks.{i}.ls{j}.gamma": 0.4 + draw(width, std=0.2) for j in (1, 2)}
    return state


def _cubic(published: int, side: int) -> Tensor:
    """Returns the interpolation by Keys' cubic with a = -3/4 at (i + 1/2) M / (side + 0.1) - 1/2: [side, M]."""
    place = (torch.arange(side, dtype=torch.float64) + 0.5) * (published / (side + 0.1)) - 0.5
    matrix = torch.zeros(side, published, dtype=torch.float64)
    for i, x in enumerate(place.tolist()):
        for j in range(math.floor(x) - 1, math.floor(x) + 3):
            t = abs(x - j)
            near, far = 1.25 * t**3 - 2.25 * t**2 + 1.0, -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            matrix[i, min(max(j, 0), published - 1)] += near if t <= 1.0 else far
    return matrix


def dinov2_by_the_paper(state: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """Returns DINOv2 as the paper has it, every step by itself, in the arithmetic of the images."""

    def forward(image: Tensor) -> Tensor:
        at = {name: value.to(image.dtype) for name, value in state.items()}
        x = F.conv2d(image, at["patch_embed.proj.weight"], at["patch_embed.proj.bias"], stride=14)
        side, width = x.shape[-1], x.shape[1]
        cubic = _cubic(37, side).to(image.dtype)
        grid = torch.einsum("ai,bj,ijd->abd", cubic, cubic, at["pos_embed"][0, 1:].view(37, 37, width))
        x = x.flatten(2).mT + grid.reshape(1, side * side, width)
        x = torch.cat([(at["cls_token"] + at["pos_embed"][:, :1]).expand(len(x), -1, -1), x], dim=1)

        def linear(name: str, x: Tensor) -> Tensor:
            return x @ at[f"{name}.weight"].mT + at[f"{name}.bias"]

        def norm(name: str, x: Tensor) -> Tensor:
            centred = x - x.mean(-1, keepdim=True)
            x = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
            return x * at[f"{name}.weight"] + at[f"{name}.bias"]

        for i in range(sum(name.endswith("ls1.gamma") for name in at)):
            block = f"blocks.{i}"
            heads = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", x)).unflatten(-1, (3, width // 64, 64))
            query, key, value = heads.permute(2, 0, 3, 1, 4)
            seen = ((query @ key.mT) / 8.0).softmax(-1) @ value
            x = x + linear(f"{block}.attn.proj", seen.transpose(1, 2).flatten(2)) * at[f"{block}.ls1.gamma"]
            y = norm(f"{block}.norm2", x)
            if f"{block}.mlp.w12.weight" in at:
                gate, value = linear(f"{block}.mlp.w12", y).chunk(2, dim=-1)
                y = linear(f"{block}.mlp.w3", gate * gate.sigmoid() * value)
            else:
                y = linear(f"{block}.mlp.fc1", y)
                y = linear(f"{block}.mlp.fc2", y * (1.0 + torch.erf(y / math.sqrt(2.0))) / 2.0)
            x = x + y * at[f"{block}.ls2.gamma"]
        return norm("norm", x)[:, 0]

    return forward


def vgg16_state() -> dict[str, Tensor]:
    """Returns a state_dict of torchvision's VGG16; big matrices are made of few numbers, so that files are small."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        shapes = {name: value.shape for name, value in vgg16(init_weights=False).state_dict().items()}
    draw, state = Drawn(), {}
    for name, shape in shapes.items():
        if len(shape) == 2:
            state[name] = (draw(sum(shape), std=(2.0 / shape[1]) ** 0.5)).as_strided(shape, (1, 1))
        else:
            state[name] = draw(*shape, std=0.1) if len(shape) == 1 else 2.0**0.5 * draw(*shape)
    return state


def clip_file(path: Path, layers: int = 3, resnet: bool = False) -> dict[str, Tensor]:
    """Writes a TorchScript file like CLIP's, of ViT-B/32 with fewer layers or of RN50; returns its images' weights."""
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        visual = CLIPVisual(1024, 224, (3, 4, 6, 3), 64, 0) if resnet else CLIPVisual(512, 224, layers, 768, 32)
    draw = Drawn(1)
    state = {name: value.half().float() for name, value in visual.state_dict().items()}  # CLIP's are in half precision
    for name, value in state.items():
        if resnet and value.ndim == 4:
            state[name] = 2.0 * value  # the default initialisation would let 50 layers forget the image
        elif name.endswith("bias"):
            state[name] = draw(*value.shape, std=0.1).half().float()
        elif name.endswith("running_var"):
            state[name] = draw(*value.shape, std=0.2).abs() + 0.5
    root = Tree()
    for name, value in {**state, "text_projection": draw(512, 1024 if resnet else 512)}.items():
        *parts, last = name.split(".")
        owner: nn.Module = root
        for part in parts:
            if not hasattr(owner, part):
                owner.add_module(part, Tree())
            owner = getattr(owner, part)
        owner.register_buffer(last, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(root, torch.zeros(1)), str(path))
    return state


class Tree(nn.Module):
    """Holds weights under any names."""

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture(scope="session")
def make_dinov2() -> Callable[..., dict[str, Tensor]]:
    """Draws a state_dict of DINOv2's: width, depth, gated, hidden."""
    return dinov2_state


@pytest.fixture(scope="session")
def reference_dinov2() -> Callable[[dict[str, Tensor]], Callable[[Tensor], Tensor]]:
    """Makes of such a state_dict the network as the paper has it."""
    return dinov2_by_the_paper


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., dict[str, Tensor]]:
    """Writes a TorchScript file like CLIP's: path, layers, resnet."""
    return clip_file


@pytest.fixture(scope="session")
def dinov2_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ViT-S/14."""
    path = tmp_path_factory.mktemp("dinov2") / "vits14.pth"
    torch.save(dinov2_state(), path)
    return path


@pytest.fixture(scope="session")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript file of ViT-B/32, with fewer layers."""
    path = tmp_path_factory.mktemp("clip") / "vitb32.pt"
    clip_file(path)
    return path


@pytest.fixture(scope="session")
def vgg16_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of torchvision's VGG16."""
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.pth"
    torch.save(vgg16_state(), path)
    return path
