"""What native code writes to stderr is dropped where the body succeeds, and shown where it does not."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """\
import os
from export.runtime import held_stderr

print("before", file=__import__("sys").stderr)
with held_stderr():
    os.write(2, b"native note\\n")
    {ending}
os.write(2, b"after\\n")
"""


def _stderr(ending: str) -> tuple[int, str]:
    command = [sys.executable, "-c", _SCRIPT.format(ending=ending)]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


def test_what_a_successful_body_writes_is_dropped() -> None:
    assert _stderr("pass") == (0, "before\nafter\n")


def test_an_exception_shows_what_was_held_and_its_traceback() -> None:
    status, shown = _stderr("raise ImportError('no such library')")
    assert status == 1
    assert shown.startswith("before\nnative note\nTraceback (most recent call last):\n")
    assert shown.endswith("ImportError: no such library\n")


@pytest.mark.parametrize("ending", ["os.abort()", "os.kill(os.getpid(), 9)", "os._exit(3)"])
def test_a_process_that_dies_shows_what_was_held(ending: str) -> None:
    status, shown = _stderr(ending)
    assert status != 0
    assert shown == "before\nnative note\n"


def test_file_descriptors_are_given_back() -> None:
    from export.runtime import held_stderr

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with held_stderr():
            pass
    assert len(os.listdir("/proc/self/fd")) == before
