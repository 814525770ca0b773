"""The command line: those flags of the real server that this server implements.

A flag is `--name=value`, or `--name` for a boolean that is true. Unknown flags are errors.
"""

import os
from dataclasses import dataclass, fields

_TRUE = ("true", "1")
_FALSE = ("false", "0")


class FlagError(ValueError):
    """A flag is unknown, or its value is not valid."""


@dataclass(frozen=True)
class Flags:
    """The value of every flag; the defaults are the real server's."""

    port: int = 8500
    """TCP port for gRPC; 0: none."""
    grpc_socket_path: str = ""
    """Path of a Unix socket for gRPC; empty: none."""
    grpc_max_threads: int = 4 * (os.cpu_count() or 1)
    """The most calls at the same time; further calls are refused."""
    enable_grpc_healthcheck_service: bool = False
    """Serve grpc.health.v1.Health."""
    enable_serialization_as_tensor_content: bool = False
    """Answer with `tensor_content` instead of typed fields."""
    model_name: str = "default"
    """The name of the model in --model_base_path."""
    model_base_path: str = ""
    """The directory that holds the version directories; ignored if --model_config_file is set."""
    model_config_file: str = ""
    """Path of a ModelServerConfig in protobuf's text format."""
    allow_version_labels_for_unavailable_models: bool = False
    """Allow labels of versions that are not loaded. At the start no version is."""
    file_system_poll_wait_seconds: int = 1
    """Seconds between two polls for versions; 0: one poll only; below 0: none."""
    num_load_threads: int = 0
    """The most versions that load at the same time; 0: one."""
    max_num_load_retries: int = 5
    """The most further attempts to load a version after a failure."""
    load_retry_interval_micros: int = 60_000_000
    """Microseconds between two attempts."""
    saved_model_tags: str = "serve"
    """The tags of the graph to load, separated by commas."""
    tensorflow_intra_op_parallelism: int = 0
    """The most threads of one operation; 0: TensorFlow decides."""
    tensorflow_inter_op_parallelism: int = 0
    """The most operations that run at the same time; 0: TensorFlow decides."""

    def __post_init__(self) -> None:
        if self.grpc_max_threads < 1:
            raise FlagError(f"--grpc_max_threads={self.grpc_max_threads} must be at least 1")


_TYPES = {field.name: field.type for field in fields(Flags)}


def parse(arguments: list[str]) -> Flags:
    """Parses the command line; FlagError names the first argument that is not valid."""
    values: dict[str, str | int | bool] = {}
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in _TYPES:
            raise FlagError(f"unknown argument: {argument}")
        values[name] = _value(name, text if equals else None)
    return Flags(**values)  # type: ignore[arg-type]


def _value(name: str, text: str | None) -> str | int | bool:
    if _TYPES[name] is bool:
        return _boolean(name, text)
    if text is None:
        raise FlagError(f"--{name} needs a value: --{name}=...")
    return _integer(name, text) if _TYPES[name] is int else text


def _boolean(name: str, text: str | None) -> bool:
    if text is None or text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise FlagError(f"--{name} must be true or false, not {text!r}")


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise FlagError(f"--{name} must be an integer, not {text!r}") from None


def usage() -> str:
    """Returns a text with one line per flag, with its default."""
    defaults = Flags()
    lines = (f"  --{name}={getattr(defaults, name)!s}" for name in _TYPES)
    return "usage: python -m modelserver\n" + "\n".join(lines)
