"""Models with one loss, such as a likelihood or its bound: a game of one player."""

__all__ = ["ObjectiveModule"]

import abc
from collections.abc import Mapping, Sequence

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from lit_gen.contracts import Batch, Shape
from lit_gen.training.adversarial import AdversarialModule, Phase, Player
from lit_gen.training.options import TrainingOptions


class ObjectiveModule(AdversarialModule, abc.ABC):
    """Creates a model all of whose networks minimise one objective.

    To `AdversarialModule` it is a game of one player, ``model``, with one phase in each batch: accumulation, clipping,
    schedules, compilation, mixed precision, resume and several processes are those of all other models.

    Arguments:
        image_shape: The images' channels, height and width.
        networks: The names of the attributes that hold the networks.
        optimizer: Makes the optimizer of all their parameters.
        schedule: Makes the learning-rate schedule, stepped once per training batch.
        options: Accumulation, clipping, compilation, memory format.
    """

    def __init__(
        self,
        image_shape: Shape,
        networks: Sequence[str],
        optimizer: OptimizerCallable,
        schedule: LRSchedulerCallable | None,
        options: TrainingOptions,
    ) -> None:
        super().__init__(options)
        self.image_shape: Shape = (image_shape[0], image_shape[1], image_shape[2])
        self._players = {"model": Player(networks, optimizer, schedule)}

    @property
    def players(self) -> Mapping[str, Player]:
        return self._players

    @property
    def phases(self) -> Sequence[Phase]:
        return [Phase("model", self.objective)]

    @abc.abstractmethod
    def objective(self, batch: Batch) -> Tensor:
        """Returns the scalar to minimise, a mean over the batch's images; its parts are recorded by `record`."""
