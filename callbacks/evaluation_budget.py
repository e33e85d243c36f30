"""The share of the training time that evaluations may take."""

__all__ = ["EvaluationBudget", "validates_last"]

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from pytorch_lightning import Trainer

from lit_gen.errors import UserError


class EvaluationBudget:
    """Creates the account of what evaluations cost, kept over interruptions of the run.

    The time of a run counts from the start of its training, evaluations included; what is prepared before, such as the
    training of a classifier, does not. The next evaluation is taken to cost as much as the last.

    Arguments:
        max_share: The most of that time, in (0, 1], that evaluations may take; None for no bound.

    Raises:
        UserError: If the share is none.
    """

    def __init__(self, max_share: float | None = None) -> None:
        if max_share is not None and not 0.0 < max_share <= 1.0:
            raise UserError(f"Evaluation's max_share is {max_share}, and must be above 0 and at most 1, or null")
        self.max_share = max_share
        self.cost = 0.0
        """The seconds of the last evaluation."""
        self.put_off = 0
        """How many evaluations have been put off since the last."""
        self._spent = self._before = 0.0
        self._start: float | None = None

    @property
    def seconds(self) -> float:
        """The time of the run so far, that before interruptions included."""
        return self._before + (0.0 if self._start is None else perf_counter() - self._start)

    @property
    def share(self) -> float:
        """The share of the time that evaluations took."""
        return self._spent / max(self.seconds, 1e-9)

    def start(self) -> None:
        """Starts the clock of the run."""
        self._start = perf_counter()

    def stop(self) -> None:
        """Stops the clock; what it showed stays."""
        self._before, self._start = self.seconds, None

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Takes the time of an evaluation."""
        start = perf_counter()
        yield
        self.cost = perf_counter() - start
        self._spent += self.cost

    def allows_another(self) -> bool:
        """Returns whether one more evaluation keeps to the share."""
        return self.max_share is None or self._spent + self.cost <= self.max_share * (self.seconds + self.cost)

    def state_dict(self) -> dict[str, Any]:
        """Returns what a run that goes on must know: nothing where there is no bound."""
        if self.max_share is None:
            return {}
        known = {"spent": self._spent, "seconds": self.seconds, "cost": self.cost, "put_off": self.put_off}
        return {"speed": known}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over the account of a run that goes on."""
        known = state.get("speed")
        if known is not None:
            self._spent, self._before = known["spent"], known["seconds"]
            self.cost, self.put_off = known["cost"], known["put_off"]


def validates_last(trainer: Trainer) -> bool:
    """Returns whether no validation can follow the present one; never where only the clock ends the run."""
    every, interval, epoch = trainer.check_val_every_n_epoch, trainer.val_check_batch, trainer.num_training_batches
    if interval is None:  # it is known once training has started
        return False
    if every is not None and interval >= epoch:
        interval = every * epoch
    return bool(trainer.estimated_stepping_batches - trainer.global_step < interval)
