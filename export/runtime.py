"""The exporting process: imports TensorFlow quietly, for the CPU, and returns freed memory to the system.

Models are large: memory that is no longer used must return to the system at once.
"""

import ctypes
import gc
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_MMAP_THRESHOLD = -3
"""The number of glibc's M_MMAP_THRESHOLD."""
_LARGE = 1 << 20
"""Bytes from which an allocation is mapped by itself, and unmapped as soon as it is freed."""
_DONE = b"\0done"
_RELAY = f"""
import sys
held = sys.stdin.buffer.read()
if not held.endswith({_DONE!r}):
    sys.stderr.buffer.write(held)
"""


def prepare_memory() -> None:
    """Sets what must hold before TensorFlow is imported and allocates memory."""
    # TensorFlow's own CPU allocator never returns memory.
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    # By default, the threshold rises with what is freed, and holes between weights stay.
    _call_glibc("mallopt", _MMAP_THRESHOLD, _LARGE)


def free_memory() -> None:
    """Collects garbage, and returns free memory to the system."""
    gc.collect()
    _call_glibc("malloc_trim", 0)


def _call_glibc(function: str, *arguments: int) -> None:
    """Calls a function of glibc; does nothing where another C library lacks it."""
    found = getattr(ctypes.CDLL(None), function, None)
    if found is not None:
        found(*arguments)


def import_tensorflow() -> None:
    """Imports TensorFlow for the CPU, without its notes on stderr; where it fails, they are shown.

    TF_CPP_MIN_LOG_LEVEL hides native messages from then on, but for the fatal ones.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_stderr():
        importlib.import_module("tensorflow")


@contextmanager
def held_stderr() -> Iterator[None]:
    """Holds back what the body writes to file descriptor 2, and drops it if the body succeeds.

    Where the body raises, or the process dies in it, the text is written to stderr: another process holds it.
    """
    sys.stderr.flush()
    command = [sys.executable, "-I", "-S", "-c", _RELAY]
    # In a session of its own: an interrupt from the terminal must not end it before it has written.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as relay:
        assert relay.stdin is not None
        original = os.dup(2)
        os.dup2(relay.stdin.fileno(), 2)
        try:
            yield
            sys.stderr.flush()
            os.write(2, _DONE)
        finally:
            os.dup2(original, 2)
            os.close(original)
