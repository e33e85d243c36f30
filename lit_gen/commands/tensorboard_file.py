"""TensorBoard's events file, and nothing beside it."""

__all__ = ["TensorBoardFile"]

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only


class TensorBoardFile(TensorBoardLogger):
    """Creates Lightning's logger for TensorBoard without its ``hparams.yaml``: the run's config.yaml has them all."""

    @rank_zero_only
    def save(self) -> None:
        super(TensorBoardLogger, self).save()  # flushes the events
