"""Which runs are one method under several seeds."""

__all__ = ["Seeds", "seed_groups"]

from collections.abc import Sequence
from dataclasses import dataclass

from lit_gen.commands.compare.runs_read import Run
from lit_gen.commands.compare.settings import SEED


@dataclass(frozen=True)
class Seeds:
    """Runs whose configurations differ in ``seed_everything`` alone.

    Attributes:
        runs: Their names.
        shared: What they are called together, None where other runs are called so already.
    """

    runs: tuple[str, ...]
    shared: str | None

    def name(self, present: Sequence[str]) -> str:
        """Returns what a row is called that has several of the runs in it; not all need have its protocol."""
        return " + ".join(present) if self.shared is None else f"{self.shared} ({len(present)} seeds)"


def seed_groups(runs: Sequence[Run]) -> dict[str, Seeds]:
    """Returns which runs are one method under several seeds, by each run's name.

    Runs of one configuration and one seed are repetitions, not seeds: only the first of them is taken in.

    Arguments:
        runs: The runs.
    """
    found: dict[str, dict[str, Run]] = {}
    for run in runs:
        if SEED in run.settings and run.scores:
            rest = repr(sorted((key, value) for key, value in run.settings.items() if key != SEED))
            found.setdefault(rest, {}).setdefault(run.settings[SEED], run)
    groups: dict[str, Seeds] = {}
    taken: set[str] = set()
    for members in found.values():
        if len(members) > 1:
            own = tuple(run.name for run in members.values())
            bases = {name.rpartition("/version_")[0] for name in own}
            shared = bases.pop() if len(bases) == 1 and "" not in bases else own[0]
            groups |= dict.fromkeys(own, Seeds(own, None if shared in taken else shared))
            taken.add(shared)
    return groups
