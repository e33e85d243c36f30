"""One average of a model's weights, and what its memory is."""

__all__ = ["MovingAverage", "assign", "is_averaged"]

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.training.averaging import average_dtype, move_averages_, ramped_half_life, share_of_new
from lit_gen.training.batch_norm import average_over_processes_


class MovingAverage:
    """Creates an average, empty until it is bound to a model's tensors; see `lit_gen.training.averaging`.

    Arguments:
        half_life: The images after which a weight counts half.
        ramp_up: The half-life is at most this share of the images seen so far; None for no limit.

    Attributes:
        tensors: The averages by the names of the model's state dict.
        buffers_from: The count of images at which the buffers were last brought up to date, None for never.
    """

    def __init__(self, half_life: float, ramp_up: float | None) -> None:
        self.half_life, self.ramp_up = half_life, ramp_up
        self.tensors: dict[str, Tensor] = {}
        self.buffers_from: int | None = None
        self._moving: tuple[list[Tensor], list[Tensor]] = ([], [])

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from an average of before."""
        self.tensors, self.buffers_from = dict(tensors), None

    def bind(self, live: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> None:
        """Finds what to average; starts from given values, or takes restored averages to where the model is.

        Arguments:
            live: The model's tensors.
            start: What an average that is empty starts from.

        Raises:
            UserError: If a restored average is of other networks.
        """
        if not self.tensors:
            self.tensors = {
                name: tensor.detach().to(average_dtype(live[name].dtype), copy=True) for name, tensor in start.items()
            }
        # Of a layer's start older averages say nothing.
        self.tensors |= {
            n: t.detach().clone() for n, t in live.items() if n.endswith(".initialised") and n not in self.tensors
        }
        if self.tensors.keys() != live.keys():
            raise UserError("the EMA of the checkpoint is of other networks than this model's")
        self.tensors = {name: self.tensors[name].to(tensor.device) for name, tensor in live.items()}
        names = [name for name, tensor in live.items() if is_averaged(tensor)]
        self._moving = [self.tensors[name] for name in names], [live[name] for name in names]

    def move(self, images: int, images_seen: int) -> None:
        """Moves on by so many images, after those that were seen before."""
        half_life = ramped_half_life(self.half_life, self.ramp_up, images_seen)
        move_averages_(*self._moving, share_of_new(images, half_life))

    @torch.no_grad()
    def copy_buffers(self, live: Mapping[str, Tensor], of_one_process: bool = True) -> None:
        """Takes a model's buffers; running statistics as the mean over all processes, unless only one's are wanted."""
        buffers = {name: tensor for name, tensor in live.items() if not is_averaged(tensor)}
        assign({name: self.tensors[name] for name in buffers}, buffers)
        if not of_one_process:
            statistics = ("running_mean", "running_var")
            average_over_processes_([self.tensors[name] for name in buffers if name.endswith(statistics)])


def is_averaged(tensor: Tensor) -> bool:
    """Whether a tensor is averaged: parameters are, buffers are no averages of anything."""
    return isinstance(tensor, nn.Parameter) and tensor.is_floating_point()


@torch.no_grad()
def assign(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> None:
    """Copies values into tensors of the same names, which stay where they are."""
    for name, target in targets.items():
        target.copy_(sources[name])
