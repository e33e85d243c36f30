"""Names that metrics are asked for by."""

__all__ = ["metric_names"]

from collections.abc import Collection, Sequence

from lit_gen.errors import UserError, nearest


def metric_names(metrics: Sequence[str] | str, known: Collection[str]) -> tuple[str, ...]:
    """Returns each name once, in the order they are asked for.

    Arguments:
        metrics: The names, or one string with commas.
        known: What they may be.

    Raises:
        UserError: If one is unknown, or there is none.
    """
    names = [name.strip() for name in metrics.split(",")] if isinstance(metrics, str) else list(metrics)
    for name in names:
        if name not in known:
            raise UserError(f"there is no metric {name!r} among {', '.join(known)}{nearest(name, known)}")
    if not names:
        raise UserError(f"no metric is asked for; the metrics are {', '.join(known)}")
    return tuple(dict.fromkeys(names))
