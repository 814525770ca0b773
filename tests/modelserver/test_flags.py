"""Flags are those of the real server, and no argument is ignored."""

import pytest

from modelserver.flags import FlagError, Flags, parse, usage


def test_no_flags_are_the_real_servers_defaults():
    flags = parse([])
    assert flags == Flags()
    assert (flags.port, flags.model_name, flags.max_num_load_retries) == (8500, "default", 5)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("--enable_grpc_healthcheck_service", True),
        ("--enable_grpc_healthcheck_service=true", True),
        ("--enable_grpc_healthcheck_service=1", True),
        ("--enable_grpc_healthcheck_service=false", False),
        ("--enable_grpc_healthcheck_service=0", False),
    ],
)
def test_booleans_need_no_value(argument: str, value: bool):
    assert parse([argument]).enable_grpc_healthcheck_service is value


def test_values_may_hold_anything_and_the_last_of_a_flag_counts():
    flags = parse(["--port=1", "--model_base_path=/a=b c", "--port=-2"])
    assert (flags.port, flags.model_base_path) == (-2, "/a=b c")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--nope", "unknown argument: --nope"),
        ("--nope=1", "unknown argument: --nope=1"),
        ("-port=1", "unknown argument: -port=1"),
        ("port", "unknown argument: port"),
        ("--port", "--port needs a value"),
        ("--grpc_max_threads=0", "--grpc_max_threads=0 must be at least 1"),
        ("--port=x", "--port must be an integer, not 'x'"),
        ("--enable_grpc_healthcheck_service=maybe", "must be true or false, not 'maybe'"),
    ],
)
def test_what_cannot_be_followed_is_named(argument: str, message: str):
    with pytest.raises(FlagError, match=message):
        parse([argument])


def test_the_usage_lists_every_flag():
    assert all(f"--{name}=" in usage() for name in vars(Flags()))
