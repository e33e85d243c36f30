"""How a model is trained, whatever it is: accumulation, clipping, compilation, memory format."""

__all__ = ["TrainingOptions"]

from dataclasses import dataclass
from typing import Literal

import torch

from lit_gen.errors import UserError
from lit_gen.training.memory import keep_freed_memory


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of training that change how fast or in how much memory a model trains, not what it is.

    Arguments:
        accumulate: Into how many parts a batch is split; their gradients add up to the whole batch's. Batch norm sees
            the parts one by one.
        clip_norm: The largest norm of a player's gradient, over all its parameters; longer ones are scaled down, after
            fp16 gradients are unscaled. None for no limit.
        compile: Whether networks run compiled by `torch.compile`; penalties, which differentiate twice, use the eager
            network, and one with spectral norm is not compiled at all. The first steps take longer.
        channels_last: Whether networks of images hold their weights in the memory format that tensor cores prefer.
        matmul_precision: How exact float32 matrix products and convolutions are on CUDA: ``highest`` is IEEE float32,
            ``high`` and ``medium`` use TF32. It holds for the whole process.
        keep_memory: Whether the process keeps on the CPU what memory a step frees, for the next; see
            `lit_gen.training.memory`.
    """

    accumulate: int = 1
    clip_norm: float | None = None
    compile: bool = False
    channels_last: bool = False
    matmul_precision: Literal["highest", "high", "medium"] = "highest"
    keep_memory: bool = False

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise UserError(f"options.accumulate is {self.accumulate}, and must be at least 1")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UserError(f"options.clip_norm is {self.clip_norm}, and must be above 0, or null")

    def apply_to_process(self) -> None:
        """Sets what holds for the whole process: the precision of float32 products on CUDA, memory on the CPU."""
        torch.set_float32_matmul_precision(self.matmul_precision)
        torch.backends.cudnn.allow_tf32 = self.matmul_precision != "highest"
        if self.keep_memory:
            keep_freed_memory()
