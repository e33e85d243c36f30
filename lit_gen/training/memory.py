"""Memory on the CPU that is freed and taken again in every step."""

__all__ = ["keep_freed_memory"]

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # as in malloc.h


def keep_freed_memory() -> bool:
    """Has the C library keep memory that is freed, rather than hand it back to the system.

    What a step frees, the next one takes again; from the system it comes page by page, each filled with zeros first.
    The process then keeps the most that it ever held. Only glibc can do it, for the whole process and for good.

    Returns:
        Whether this C library can do so.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError):  # another C library, another system
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
