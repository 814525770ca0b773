"""The loop of a servable with resident state and a draft model, and what cannot be a draft model."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from contract.manifest import Manifest
from deployments.config import DecoderArgs, DraftArgs, ManagedServer, ModelArgs
from deployments.decoder.resident.build import build_loop
from deployments.decoder.servers.connect import ConnectedServers
from deployments.messages import ServableDescription, ServableId
from tests.deployments.decoder.arithmetic import MANIFEST as EXPLICIT
from tests.deployments.decoder.pool_arithmetic import MANIFEST, POOL, PoolServer

BYTES = 100 * POOL.bytes_per_block


def connected(
    name: str, manifest: Manifest = MANIFEST, tokenizer: bytes = b"tokens", servers: int = 1
) -> Any:
    servable = ServableDescription(ServableId(name, 1), manifest, tokenizer)
    replicas: list[Any] = [None] * servers
    return ConnectedServers(servable, PoolServer(), replicas, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (connected("small", EXPLICIT), "it must have resident state"),
        (connected("small", replace(MANIFEST, vocabulary_size=17)), "vocabularies have 17 and 16 tokens"),
        (connected("small", tokenizer=b"other"), "their tokenizers differ"),
    ],
)
def test_a_draft_model_that_does_not_fit_is_an_error_that_names_both(draft, reason):
    with pytest.raises(ValueError, match=f"small cannot be the draft model of big: .*{reason}"):
        build_loop(connected("big"), DecoderArgs(state_bytes=BYTES), draft, BYTES)


def test_a_draft_model_has_one_server_and_room_for_a_block():
    args = DecoderArgs(state_bytes=BYTES)
    with pytest.raises(ValueError, match=r"small keeps its state .* one model server, not 2"):
        build_loop(connected("big"), args, connected("small", servers=2), BYTES)
    with pytest.raises(ValueError, match="small: state_bytes 63 is less than one block of 64 bytes"):
        build_loop(connected("big"), args, connected("small"), 63)
    build_loop(connected("big"), args, connected("small"), 64)


def test_the_draft_model_of_a_configuration_has_limits_and_a_name_of_its_own():
    server = ManagedServer(base_path="models/small")
    model = ModelArgs(
        name="big",
        managed=ManagedServer(base_path="models/big"),
        draft=DraftArgs(managed=server, state_bytes=7, step_timeout_s=3),
    )
    draft = model.draft_model
    assert draft is not None
    assert (draft.name, draft.server, draft.draft_model) == ("big-draft", server, None)
    assert (draft.decoder.state_bytes, draft.decoder.step_timeout_s) == (7, 3)
    assert model.decoder == DecoderArgs()


@pytest.mark.parametrize(
    "draft",
    [
        {},
        {"managed": {"base_path": "a"}, "external": {"addresses": ["b"]}},
        {"managed": {"base_path": "a"}, "tokens": 3},
    ],
)
def test_a_draft_model_has_one_kind_of_server_and_no_unknown_key(draft):
    with pytest.raises(ValidationError, match=r"a draft model needs either|tokens"):
        ModelArgs.model_validate({"name": "big", "managed": {"base_path": "models/big"}, "draft": draft})
