import json
from typing import Any

import pytest

from contract.errors import ContractError, ManifestError
from contract.manifest import Manifest, Pool, SpecialTokens, StateTensor

EXPLICIT = Manifest(
    name="m",
    family="gpt2",
    vocabulary_size=10,
    context_length=20,
    state=(
        StateTensor("position", "int32", ()),
        StateTensor("keys", "bfloat16", (0, 2, 3), growth_axis=0),
    ),
    special_tokens=SpecialTokens(bos=1, eos=(2, 3), texts={"eos_token": "</s>"}),
    chat_template="{{ messages }}",
    decode_steps=8,
)
RESIDENT = Manifest(
    name="m",
    family="gpt2",
    vocabulary_size=10,
    context_length=20,
    state=(),
    state_layout="resident",
    pool=Pool(bytes_per_block=96, block_size=8, blocks=3, max_steps=4),
)


def changed(manifest: Manifest, path: str, value: Any) -> str:
    """The manifest's JSON with one value replaced, or taken out where `value` is `...`."""
    whole = json.loads(manifest.to_json())
    *parents, last = path.split(".")
    part = whole
    for parent in parents:
        part = part[int(parent) if parent.isdigit() else parent]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return json.dumps(whole)


@pytest.mark.parametrize("manifest", [EXPLICIT, RESIDENT])
def test_a_manifest_survives_json(manifest):
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("name", ..., "manifest.name is missing"),
        ("name", "", "name must not be empty"),
        ("name", 3, "manifest.name must be str, not int"),
        ("colour", "red", "manifest has unknown keys: colour"),
        ("state.0.colour", "red", r"manifest.state\[0\] has unknown keys: colour"),
        ("decode_steps", ..., "manifest.decode_steps is missing"),
        ("decode_steps", -1, "decode_steps -1 must be at least 0"),
        ("contract_version", 2, "contract_version 2 is not 3"),
        ("vocabulary_size", True, "manifest.vocabulary_size must be int, not bool"),
        ("vocabulary_size", 0, "vocabulary_size 0 must be at least 1"),
        ("special_tokens.eos", [10], "special token id 10 is outside the vocabulary of 10"),
        ("special_tokens.texts.eos_token", 2, "special_tokens.texts.eos_token must be str, not int"),
        ("state.1.growth_axis", 1, r"keys: shape \(0, 2, 3\) is 0 along an axis that does not grow"),
        ("state.1.growth_axis", None, "is 0 along an axis that does not grow"),
        ("state.1.dtype", "float7", "dtype 'float7' is not one of"),
        ("state.0.name", "logits", "state tensor name 'logits' is reserved"),
        ("state.0.name", "keys", "two state tensors have the same name"),
        ("state_layout", "paged", "state_layout 'paged' is not one of explicit, resident"),
        ("state_layout", "resident", "pool must be given if state_layout is resident"),
        ("generation.top_p", 0, "top_p 0.0 must lie in"),
        ("generation.repetition_penalty", 0, "repetition_penalty 0.0 must be above 0"),
        ("generation", [], "manifest.generation must be a JSON object, not list"),
    ],
)
def test_what_is_wrong_is_named(path, value, message):
    with pytest.raises(ContractError, match=message):
        Manifest.from_json(changed(EXPLICIT, path, value))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("pool", None, "pool must be given"),
        ("pool.block_size", 0, "pool.block_size 0 must be at least 1"),
        ("pool.blocks", 2, "pool: a slot has 16 positions, context_length is 20"),
        ("pool.max_steps", 0, "max_steps 0 must be at least 1"),
    ],
)
def test_what_is_wrong_with_a_pool_is_named(path, value, message):
    with pytest.raises(ManifestError, match=message):
        Manifest.from_json(changed(RESIDENT, path, value))


def test_text_that_is_no_json_is_no_manifest():
    with pytest.raises(ManifestError, match="not JSON"):
        Manifest.from_json(b"{")


def test_state_bytes_grow_with_the_tokens_or_their_blocks():
    assert EXPLICIT.state_bytes(5) == 4 + 5 * 2 * 3 * 2
    assert [RESIDENT.state_bytes(tokens) for tokens in (1, 8, 9, 20)] == [96, 96, 192, 288]


def test_a_pool_gives_the_fewest_blocks_that_hold_a_number_of_tokens():
    pool = RESIDENT.pool
    assert [pool.blocks_for(tokens) for tokens in (0, 8, 9, 16, 17, 24)] == [0, 1, 2, 2, 3, 3]
