"""Runs a command that the kernel kills when this process's parent dies: `python tether.py PARENT COMMAND...`.

A separate program, because a process with threads must not run Python between fork and exec. Uses only the
standard library.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Replaces this process by `command`, tied to the life of the process id `parent`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    # The parent may have died before prctl took effect.
    if os.getppid() != parent:
        sys.exit(f"the parent process {parent} has ended")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
