"""Which runs are one method under several seeds."""

__all__ = ["seed_groups"]

from collections.abc import Sequence

from lit_gen.commands.compare.runs_read import Run
from lit_gen.commands.compare.settings import SEED


def seed_groups(runs: Sequence[Run]) -> dict[str, str]:
    """Returns the common name of runs whose configurations differ in ``seed_everything`` alone, by the run's name.

    Runs of one configuration and one seed are repetitions, not seeds: only the first of them is taken in.

    Arguments:
        runs: The runs.
    """
    found: dict[str, dict[str, Run]] = {}
    for run in runs:
        if SEED in run.settings and run.scores:
            rest = repr(sorted((key, value) for key, value in run.settings.items() if key != SEED))
            found.setdefault(rest, {}).setdefault(run.settings[SEED], run)
    names: dict[str, str] = {}
    for members in found.values():
        if len(members) > 1:
            own = [run.name for run in members.values()]
            bases = {name.rpartition("/version_")[0] for name in own}
            shared = bases.pop() if len(bases) == 1 and "" not in bases else own[0]
            name = f"{shared} ({len(own)} seeds)"
            names |= dict.fromkeys(own, " + ".join(own) if name in names.values() else name)
    return names
