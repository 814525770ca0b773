"""Falcon's settings in combination."""

from typing import Any

import pytest

from export.checkpoints.config_reader import ConfigReader
from export.errors import UnsupportedError
from export.hf.families import falcon
from export.transformer_model.description import BEFORE, SHARED, Transformer

CONFIG = {
    "model_type": "falcon",
    "vocab_size": 260,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 6,
}


def described(**changes: Any) -> Transformer:
    return falcon.describe(ConfigReader(CONFIG | changes, "config.json"), 64)


@pytest.mark.parametrize(
    ("changes", "kv_heads", "norms", "parallel"),
    [
        ({}, 1, SHARED, True),
        ({"num_kv_heads": 6}, 1, SHARED, True),
        ({"multi_query": False, "parallel_attn": False}, 6, BEFORE, False),
        ({"new_decoder_architecture": True, "num_kv_heads": 2}, 2, BEFORE, True),
        ({"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1}, 6, SHARED, True),
    ],
)
def test_the_shapes_of_published_models(
    changes: dict[str, Any], kv_heads: int, norms: tuple[str, ...], parallel: bool
) -> None:
    (layer,) = described(**changes).layers
    assert (layer.attention.kv_heads, layer.norms, layer.parallel) == (kv_heads, norms, parallel)


def test_positions_are_rotary_or_alibi_but_never_both() -> None:
    rotary, alibi = (described(alibi=alibi).layers[0].attention for alibi in (False, True))
    assert (rotary.rope is None, rotary.alibi is None) == (False, True)
    assert (alibi.rope is None, alibi.alibi is None) == (True, False)


def test_slopes_of_heads_beyond_a_power_of_two_come_from_a_finer_series() -> None:
    assert falcon.slopes(4) == (0.25, 0.0625, 0.015625, 0.00390625)
    assert falcon.slopes(6) == (*falcon.slopes(4), 0.5, 0.125)


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("apply_residual_connection_post_layernorm", {"apply_residual_connection_post_layernorm": True}),
        ("n_embed", {"n_embed": 48}),
        ("head_dim", {"head_dim": 8}),
        ("num_kv_heads", {"multi_query": False, "num_kv_heads": 2}),
        ("num_ln_in_parallel_attn", {"num_ln_in_parallel_attn": 2}),
        ("num_ln_in_parallel_attn", {"new_decoder_architecture": True, "num_ln_in_parallel_attn": 3}),
        ("parallel_attn", {"new_decoder_architecture": True, "parallel_attn": False}),
    ],
)
def test_settings_of_no_published_model_are_refused(key: str, changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=f"{key} = .* is not implemented"):
        described(**changes)
