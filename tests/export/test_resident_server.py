"""A resident servable behind a model server: the pool lives between calls, and dies with the process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from contract import names
from export.pool_stepper import GREEDY, PoolStepper
from tests.export import residents
from tests.modelserver.client import Client, request
from tests.servers import ModelServer

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


@pytest.fixture(scope="module")
def blocks(pools: Path) -> int:
    return PoolStepper(pools).pool.block_counts[-1]


def test_without_a_claim_there_is_no_pool(pools: Path, blocks: int) -> None:
    own = ModelServer("--model_name=m", f"--model_base_path={pools.parent}")
    with own, Client(own) as client, pytest.raises(grpc.RpcError, match="Could not find variable") as caught:
        _decode(client, blocks, 1, 0, [0])
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_the_pool_persists_between_calls(client: Client, blocks: int, expected: list[int]) -> None:
    _claim(client, 1)
    first = _prefill(client, blocks, 1)
    half = _decode(client, blocks, 1, len(PROMPT), first, 5)
    rest = _decode(client, blocks, 1, len(PROMPT) + 5, half[-1:], COUNT - 6)
    assert [*first, *half, *rest] == expected


def test_a_stale_lease_is_refused_and_leaves_the_pool_as_it_was(
    client: Client, blocks: int, expected: list[int]
) -> None:
    _claim(client, 7)
    first = _prefill(client, blocks, 7)
    for stale in (
        lambda: _decode(client, blocks, 6, 3, [0], 8),
        lambda: _prefill(client, blocks, 6),
        lambda: client.predict(request("m", "move", epoch=6, sources=_int32(1), targets=_int32(0))),
    ):
        with pytest.raises(grpc.RpcError, match="stale lease") as caught:
            stale()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [*first, *_decode(client, blocks, 7, len(PROMPT), first, COUNT - 1)] == expected


def _claim(client: Client, epoch: int) -> None:
    answer = client.predict(request("m", names.CLAIM_SIGNATURE, epoch=epoch, slots=np.int32(2)))
    assert answer[names.EPOCH] == epoch


def _prefill(client: Client, blocks: int, epoch: int) -> list[int]:
    return _tokens(
        client,
        names.prefill_signature(blocks),
        epoch=epoch,
        tokens=PROMPT[None],
        lengths=_int32(len(PROMPT)),
        slots=_int32(0),
        starts=_int32(0),
        **GREEDY.feeds(np.zeros((1, 1))),
    )


def _decode(
    client: Client, blocks: int, epoch: int, position: int, tokens: list[int], count: int = 1
) -> list[int]:
    return _tokens(
        client,
        names.decode_signature(blocks),
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
