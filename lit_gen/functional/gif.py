"""Images one after the other as an animated GIF."""

__all__ = ["write_gif"]

from pathlib import Path

import torch
from torch import Tensor

from lit_gen.functional.atomic import replacing


def write_gif(frames: Tensor, path: str | Path, seconds: float = 0.05) -> None:
    """Writes an endless animation to a file, which appears only when it is whole; missing folders are made.

    Grey images are kept exactly; colours are reduced to 256 per frame.

    Arguments:
        frames: uint8, shape [T, 1, H, W] (grey) or [T, 3, H, W] (RGB).
        path: The file.
        seconds: How long a frame is shown.
    """
    from PIL import Image

    assert frames.dtype == torch.uint8 and frames.ndim == 4 and frames.shape[1] in (1, 3) and len(frames)
    pixels = frames.cpu().permute(0, 2, 3, 1).squeeze(-1).contiguous().numpy()
    first, *others = [Image.fromarray(frame) for frame in pixels]
    with replacing(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=others, duration=round(1000 * seconds), loop=0)
