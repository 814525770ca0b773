"""Memory that is not needed any more goes back to the system at once: the models are large."""

import ctypes
import gc
import os

_MMAP_THRESHOLD = -3
"""glibc's number of the option."""
_LARGE = 1 << 20
"""Bytes from which memory is asked of the system, and given back to it, one by one."""


def before_tensorflow() -> None:
    """Settings that TensorFlow reads as it is imported, or that must hold before it asks for memory."""
    # Its own allocator for CPUs keeps all that it ever had.
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    # Left alone, the threshold rises with what is freed, and holes between weights stay.
    _of_glibc("mallopt", _MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """What nothing refers to any more."""
    gc.collect()
    _of_glibc("malloc_trim", 0)


def _of_glibc(function: str, *arguments: int) -> None:
    """Nothing where there is another library."""
    found = getattr(ctypes.CDLL(None), function, None)
    if found is not None:
        found(*arguments)
