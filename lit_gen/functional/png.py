"""Images as PNG files."""

__all__ = ["write_png"]

from pathlib import Path

import torch
from torch import Tensor

from lit_gen.functional.atomic import replacing


def write_png(image: Tensor, path: str | Path) -> None:
    """Writes an image to a file, which appears only when it is whole; missing folders are made.

    Arguments:
        image: uint8, shape [1, H, W] (grey) or [3, H, W] (RGB).
        path: The file.
    """
    from PIL import Image

    assert image.dtype == torch.uint8 and image.ndim == 3 and image.shape[0] in (1, 3)
    pixels = image.cpu().permute(1, 2, 0).squeeze(-1).contiguous().numpy()
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
