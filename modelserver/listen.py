"""The addresses of the server: a TCP port, a Unix socket, or both."""

import os
import stat

import grpc

from modelserver.flags import FlagError, Flags

_SCHEME = "unix:"


def addresses(flags: Flags) -> list[str]:
    """Returns the gRPC addresses that the flags name; FlagError if they name none."""
    tcp = [f"0.0.0.0:{flags.port}"] if flags.port else []
    unix = [_SCHEME + flags.grpc_socket_path] if flags.grpc_socket_path else []
    if not tcp + unix:
        raise FlagError("--port or --grpc_socket_path must be set")
    return tcp + unix


def bind(server: grpc.Server, wanted: list[str]) -> None:
    """Binds every address; FlagError names the first that cannot be bound."""
    for address in wanted:
        if address.startswith(_SCHEME):
            _remove_stale(address.removeprefix(_SCHEME))
        try:
            server.add_insecure_port(address)
        except RuntimeError as error:
            raise FlagError(f"cannot listen on {address}: {error}") from None


def _remove_stale(path: str) -> None:
    """Removes the socket file that a killed server left behind."""
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
