"""Where the server listens: a TCP port, a Unix socket, or both."""

import os
import stat

import grpc

from modelserver.flags import FlagError, Flags

_SCHEME = "unix:"


def addresses(flags: Flags) -> list[str]:
    """gRPC addresses to bind; FlagError where there is none."""
    tcp = [f"0.0.0.0:{flags.port}"] if flags.port else []
    unix = [_SCHEME + flags.grpc_socket_path] if flags.grpc_socket_path else []
    if not tcp + unix:
        raise FlagError("--port or --grpc_socket_path is needed")
    return tcp + unix


def bind(server: grpc.Server, wanted: list[str]) -> None:
    """Bind every address; FlagError names one that cannot be had."""
    for address in wanted:
        if address.startswith(_SCHEME):
            _remove_stale(address.removeprefix(_SCHEME))
        try:
            server.add_insecure_port(address)
        except RuntimeError as error:
            raise FlagError(f"cannot listen on {address}: {error}") from None


def _remove_stale(path: str) -> None:
    """A server that was killed leaves its socket file behind."""
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
