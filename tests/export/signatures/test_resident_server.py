"""A resident servable behind a model server: the pool stays between calls, and ends with the process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from contract import names
from contract.manifest import Manifest
from export.verification.pool_stepper import GREEDY, PoolStepper
from tests.export import residents
from tests.modelserver.client import Client, request
from tests.servers import ModelServer

pytestmark = pytest.mark.processes

PROMPT, COUNT = residents.ids(0, 40), 12


@pytest.fixture(scope="module")
def server(pools: Path) -> Iterator[ModelServer]:
    with ModelServer("--model_name=m", f"--model_base_path={pools.parent}") as running:
        yield running


@pytest.fixture
def client(server: ModelServer) -> Iterator[Client]:
    with Client(server) as client:
        yield client


@pytest.fixture(scope="module")
def expected(pools: Path) -> list[int]:
    stepper = PoolStepper(pools)
    stepper.claim(2)
    return residents.generate(stepper, [PROMPT], COUNT)[0]


def test_without_a_claim_there_is_no_pool(pools: Path) -> None:
    own = ModelServer("--model_name=m", f"--model_base_path={pools.parent}")
    with own, Client(own) as client, pytest.raises(grpc.RpcError, match="Could not find variable") as caught:
        _decode(client, 1, 0, [0])
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_the_pool_persists_between_calls(client: Client, expected: list[int]) -> None:
    _claim(client, 1)
    first = _prefill(client, 1)
    half = _decode(client, 1, len(PROMPT), first, 5)
    rest = _decode(client, 1, len(PROMPT) + 5, half[-1:], COUNT - 6)
    assert [*first, *half, *rest] == expected


def test_a_stale_lease_is_refused_and_leaves_the_pool_as_it_was(client: Client, expected: list[int]) -> None:
    _claim(client, 7)
    first = _prefill(client, 7)
    for stale in (
        lambda: _decode(client, 6, 3, [0], 8),
        lambda: _prefill(client, 6),
        lambda: client.predict(
            request("m", "move", epoch=6, sources=_int32(1), targets=_int32(0), blocks=_int32(1))
        ),
    ):
        with pytest.raises(grpc.RpcError, match="stale lease") as caught:
            stale()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [*first, *_decode(client, 7, len(PROMPT), first, COUNT - 1)] == expected


def _claim(client: Client, epoch: int) -> None:
    manifest = Manifest.from_json(
        client.predict(request("m", names.MANIFEST_SIGNATURE))[names.MANIFEST].item()
    )
    assert manifest.pool is not None
    slots = np.full(manifest.pool.blocks, 2, np.int32)
    answer = client.predict(request("m", names.CLAIM_SIGNATURE, epoch=epoch, slots=slots))
    assert answer[names.EPOCH] == epoch


def _move(client: Client, epoch: int) -> None:
    slots = {names.SOURCES: _int32(1), names.TARGETS: _int32(0), names.BLOCKS: _int32(1)}
    client.predict(request("m", names.MOVE_SIGNATURE, epoch=epoch, **slots))


def _prefill(client: Client, epoch: int) -> list[int]:
    return _tokens(
        client,
        names.PREFILL_SIGNATURE,
        epoch=epoch,
        tokens=PROMPT[None],
        lengths=_int32(len(PROMPT)),
        slots=_int32(0),
        starts=_int32(0),
        last_tokens=_int32(),
        positions=_int32(),
        **GREEDY.feeds(np.zeros((1, 1))),
    )


def _decode(client: Client, epoch: int, position: int, tokens: list[int], count: int = 1) -> list[int]:
    return _tokens(
        client,
        names.DECODE_SIGNATURE,
        epoch=epoch,
        tokens=_int32(*tokens),
        positions=_int32(position),
        budget=_int32(count),
        stop_tokens=_int32(-1)[None],
        **GREEDY.feeds(np.zeros((1, count))),
    )


def _tokens(client: Client, signature: str, **inputs: Any) -> list[int]:
    tokens: list[int] = client.predict(request("m", signature, **inputs))[names.TOKENS].ravel().tolist()
    return tokens


def _int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)
