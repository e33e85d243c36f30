"""Images as PNG files."""

__all__ = ["save_png", "write_png"]

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
    with replacing(path) as temporary:
        save_png(image, temporary)


def save_png(image: Tensor, path: Path) -> None:
    """Writes an image as `write_png` does, but straight to the file, where a half one does no harm."""
    from PIL import Image

    assert image.dtype == torch.uint8 and image.ndim == 3 and image.shape[0] in (1, 3)
    pixels = image.cpu().permute(1, 2, 0).squeeze(-1).contiguous().numpy()
    Image.fromarray(pixels).save(path, format="PNG")
