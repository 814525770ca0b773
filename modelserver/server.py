"""The server process: loads the models, opens the port, and drains running calls on SIGTERM."""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import grpc

from contract.stubs import model_service_pb2_grpc, prediction_service_pb2_grpc
from modelserver import extras, listen
from modelserver.config import models_of_flags
from modelserver.errors import StatusError
from modelserver.flags import FlagError, Flags
from modelserver.loading import Retries
from modelserver.manager import LoadOptions, Manager
from modelserver.process import FAILED, end, log
from modelserver.services import CallLimit, ModelService, PredictionService
from modelserver.session import SessionOptions, SessionServable

DRAIN_SECONDS = 60.0
"""The time that running calls have to end after SIGTERM."""

_SPARE_THREADS = 8
"""Threads for refused calls, reflection and health, beside those for `grpc_max_threads` calls."""

_SIGNAL_SECONDS = 1.0
"""The longest wait, since a signal that arrives just before a wait is handled after it."""

_UNLIMITED = -1
_OPTIONS = (
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.so_reuseport", 0),
)


def serve(flags: Flags) -> NoReturn:
    """Serves until SIGTERM. The exit status is 0 then, and 255 if the start fails."""
    try:
        _serve(flags)
    except FlagError as error:
        end(FAILED, str(error))
    except StatusError as error:
        end(FAILED, f"Failed to start server. Error: {error}")
    except SystemExit:
        end(0, "stopped before serving")
    end(0, "stopped")


def _serve(flags: Flags) -> None:
    addresses = listen.addresses(flags)
    manager = _manager(flags)
    manager.start()
    manager.wait_until_available()
    server = _server(flags, manager)
    listen.bind(server, addresses)
    try:
        server.start()
        log(f"listening on {', '.join(addresses)}")
        while server.wait_for_termination(_SIGNAL_SECONDS):
            pass
    except SystemExit:
        server.stop(DRAIN_SECONDS).wait()


def _manager(flags: Flags) -> Manager:
    options = SessionOptions(
        tags=tuple(flags.saved_model_tags.split(",")),
        intra_op_parallelism=flags.tensorflow_intra_op_parallelism,
        inter_op_parallelism=flags.tensorflow_inter_op_parallelism,
    )
    load_options = LoadOptions(
        poll_seconds=flags.file_system_poll_wait_seconds,
        load_threads=flags.num_load_threads,
        retries=Retries(flags.max_num_load_retries, flags.load_retry_interval_micros / 1e6),
    )
    return Manager(models_of_flags(flags), functools.partial(SessionServable, options=options), load_options)


def _server(flags: Flags, manager: Manager) -> grpc.Server:
    server = grpc.server(ThreadPoolExecutor(flags.grpc_max_threads + _SPARE_THREADS), options=_OPTIONS)
    limit = CallLimit(flags.grpc_max_threads)
    prediction = PredictionService(
        manager, limit, tensor_content=flags.enable_serialization_as_tensor_content
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager, limit), server)
    extras.add_reflection(server)
    if flags.enable_grpc_healthcheck_service:
        extras.add_health(server)
    server.add_generic_rpc_handlers([extras.UnknownMethods()])
    return server
