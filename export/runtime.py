"""The process that exports: TensorFlow imported quietly and for the CPU, and memory given back at once.

The models are large: memory that nothing refers to any more must return to the system.
"""

import ctypes
import gc
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

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


def import_tensorflow() -> None:
    """What is printed meanwhile is shown only if the import fails."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_stderr():
        importlib.import_module("tensorflow")


@contextmanager
def _held_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
