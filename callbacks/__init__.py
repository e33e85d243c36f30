"""Lightning callbacks shared by every model, imported as ``lit_gen.callbacks``.

They ask a model what it can do (`lit_gen.contracts`), never what class it is. Their order in ``trainer.callbacks`` does
not matter; Lightning itself runs checkpoints last.
"""

__all__ = [
    "EMA",
    "DivergenceGuard",
    "Diversity",
    "Evaluation",
    "PointsView",
    "Preemption",
    "ProgressBar",
    "RunCheckpoints",
    "SampleGrid",
    "StackedModes",
    "Throughput",
]

from lit_gen.callbacks.divergence_guard import DivergenceGuard
from lit_gen.callbacks.diversity import Diversity
from lit_gen.callbacks.ema import EMA
from lit_gen.callbacks.evaluation import Evaluation
from lit_gen.callbacks.points import PointsView
from lit_gen.callbacks.preemption import Preemption
from lit_gen.callbacks.progress_bar import ProgressBar
from lit_gen.callbacks.run_checkpoints import RunCheckpoints
from lit_gen.callbacks.sample_grid import SampleGrid
from lit_gen.callbacks.stacked_modes import StackedModes
from lit_gen.callbacks.throughput import Throughput
