"""Children: watched while they run, gone afterwards."""

import sys
from pathlib import Path

import psutil
import pytest

from bench.errors import ProcessEnded
from bench.processes import running

pytestmark = pytest.mark.processes

FAMILY = "import subprocess, sys; c = subprocess.Popen(['sleep', '600']); print(c.pid, flush=True); c.wait()"


def test_a_child_and_its_descendants_are_gone_afterwards(tmp_path: Path):
    with running([sys.executable, "-c", FAMILY], tmp_path / "family.log", pipes=True) as child:
        assert child.process.stdout is not None
        grandchild = int(child.process.stdout.readline())
        assert grandchild in [process.pid for process in child.tree]
    assert child.process.returncode is not None
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE


def test_a_child_that_ends_by_itself_is_reported_with_its_log(tmp_path: Path):
    with running([sys.executable, "-c", "raise SystemExit('out of wood')"], tmp_path / "stove.log") as child:
        child.process.wait()
        with pytest.raises(ProcessEnded, match=r"stove ended with status 1:\nout of wood"):
            child.check()


def test_an_error_inside_ends_the_child_too(tmp_path: Path):
    with pytest.raises(KeyError), running(["sleep", "600"], tmp_path / "sleep.log") as child:
        raise KeyError
    assert child.process.returncode is not None
    assert child.tree == []
