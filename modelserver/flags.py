"""The command line: the real server's names, for what this server has.

`--name=value`, and for booleans also `--name`. A flag that is not in the table is an error, never ignored.
"""

import os
from dataclasses import dataclass, fields

_TRUE = ("true", "1")
_FALSE = ("false", "0")


class FlagError(ValueError):
    """A command line that cannot be followed."""


@dataclass(frozen=True)
class Flags:
    """Every flag, with the real server's default."""

    port: int = 8500
    """TCP port for gRPC; 0 listens on none."""
    grpc_socket_path: str = ""
    """Unix socket for gRPC; empty listens on none."""
    grpc_max_threads: int = 4 * (os.cpu_count() or 1)
    """Calls answered at a time; more are refused."""
    enable_grpc_healthcheck_service: bool = False
    enable_serialization_as_tensor_content: bool = False
    """Answer with `tensor_content` instead of typed fields."""
    model_name: str = "default"
    model_base_path: str = ""
    """The directory that holds a model's version directories; ignored with --model_config_file."""
    model_config_file: str = ""
    """A ModelServerConfig in protobuf's text format."""
    allow_version_labels_for_unavailable_models: bool = False
    """Labels may name versions that are not loaded yet, as none is at the start."""
    file_system_poll_wait_seconds: int = 1
    """Between two looks for new versions; 0 looks once, below 0 never."""
    num_load_threads: int = 0
    """Versions loaded at a time; 0 is one."""
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    saved_model_tags: str = "serve"
    """Comma-separated tags of the graph to load."""
    tensorflow_intra_op_parallelism: int = 0
    """Threads of one operation; 0 is TensorFlow's choice."""
    tensorflow_inter_op_parallelism: int = 0
    """Operations at a time; 0 is TensorFlow's choice."""

    def __post_init__(self) -> None:
        if self.grpc_max_threads < 1:
            raise FlagError(f"--grpc_max_threads={self.grpc_max_threads} must be at least 1")


_TYPES = {field.name: field.type for field in fields(Flags)}


def parse(arguments: list[str]) -> Flags:
    """The flags that `arguments` set; FlagError names the first that is unknown or malformed."""
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
    raise FlagError(f"--{name} is true or false, not {text!r}")


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise FlagError(f"--{name} is a whole number, not {text!r}") from None


def usage() -> str:
    """Every flag with its default, one a line."""
    defaults = Flags()
    lines = (f"  --{name}={getattr(defaults, name)!s}" for name in _TYPES)
    return "usage: python -m modelserver\n" + "\n".join(lines)
