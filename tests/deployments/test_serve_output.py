"""The output of `make serve`: harmless lines make room for progress, and nothing else is lost."""

import pytest

from deployments.serve_output import ServeOutput

WORKER = "\x1b[36m(ServeReplica:tensorloom:decoder-tales-gpt pid=29576)\x1b[0m "
CONTROLLER = "\x1b[36m(ServeController pid=29332)\x1b[0m "


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-24 23:43:36,739\tWARNING authentication_token_setup.py:85 -- "
        "Token authentication is enabled for this Ray cluster. Set RAY_AUTH_MODE=disabled to opt out.",
        f"{WORKER}I1124 23:44:47.196321   29919 fork_posix.cc:71] Other threads are currently calling into "
        "gRPC, skipping fork() handlers",
        f"{WORKER}E0000 00:00:1795563900.499014   30391 cuda_platform.cc:52] failed call to cuInit: INTERNAL",
        f"{WORKER}E0000 00:00:1795563901.849167   30415 util.cc:131] oneDNN supports DT_BOOL only on",
        f"{CONTROLLER}  • Direct ingress enabled",
        f"{CONTROLLER}",
        "",
    ],
)
def test_a_harmless_line_is_hidden_and_kept(line: str) -> None:
    output = ServeOutput(("tales-gpt",))
    assert output.shown(line) is None
    assert list(output.hidden) == [line]


@pytest.mark.parametrize(
    "line",
    [
        f"{WORKER}tales-gpt cannot be served: models/tales-gpt has no version directory",
        f"{CONTROLLER}ERROR 2026-11-24 23:43:36,739 controller -- replica failed",
        "Traceback (most recent call last):",
        "ValueError: Invalid address format: ",
        f"{WORKER}E0000 00:00:1795563901.8 30415 allocator.cc:13] out of memory",
    ],
)
def test_any_other_line_comes_through_as_it_is(line: str) -> None:
    output = ServeOutput(("tales-gpt",))
    assert output.shown(line) == line
    assert not output.hidden


def test_progress_names_the_models() -> None:
    output = ServeOutput(("tales-gpt", "tales-lstm"))
    submitted = (
        "2026-11-24 23:44:34,433\tSUCC scripts.py:546 -- \x1b[32mSubmitted deploy config successfully."
    )
    assert output.shown(submitted) == "Starting the model servers of tales-gpt, tales-lstm ..."
    loaded = f"{WORKER}serving {{name: tales-gpt version: 1}} from models/tales-gpt/1"
    assert output.shown(loaded) == "  tales-gpt version 1 is loaded"
