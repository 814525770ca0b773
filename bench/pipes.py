"""Children that are asked by lines on their stdin and answer by lines on their stdout."""

import selectors

from bench.processes import Child


def ask(child: Child, line: bytes, timeout_s: float) -> bytes:
    """The answer to `line`; ProcessEnded or TimeoutError where none comes."""
    assert child.process.stdin is not None
    child.process.stdin.write(line + b"\n")
    child.process.stdin.flush()
    return read_line(child, timeout_s)


def read_line(child: Child, timeout_s: float) -> bytes:
    """The child's next line; ProcessEnded or TimeoutError where none comes."""
    stdout = child.process.stdout
    assert stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        if not selector.select(timeout_s):
            raise TimeoutError(f"{child.name} gave no answer within {timeout_s:.0f} s:\n{child.log}")
    line: bytes = stdout.readline()
    if not line:
        child.process.wait()
        child.check()
    return line
