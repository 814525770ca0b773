"""Defaults and refused settings of the families that are variants of Llama."""

from typing import Any

import pytest

from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError, UnsupportedError
from export.hf.families import FAMILIES
from export.transformer_model.description import Experts, Transformer

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def described(model_type: str, **others: Any) -> Transformer:
    family = FAMILIES[model_type]
    settings = ConfigReader(SIZES | {"model_type": model_type} | others, "config.json")
    model: Transformer = family.describe(settings, 256)
    family.sources(model, settings)
    settings.finish()
    return model


def windows(model: Transformer) -> list[int | None]:
    return [layer.attention.window for layer in model.layers]


def test_mistral_has_a_window_unless_it_is_null() -> None:
    assert windows(described("mistral")) == [4096] * 4
    assert windows(described("mistral", sliding_window=None)) == [None] * 4
    assert windows(described("mixtral")) == [None] * 4


@pytest.mark.parametrize("model_type", ["qwen2", "qwen3"])
def test_qwens_windows_are_those_in_use_of_the_upper_layers(model_type: str) -> None:
    given = {"sliding_window": 8, "max_window_layers": 1}
    assert windows(described(model_type, **given)) == [None] * 4
    assert windows(described(model_type, **given, use_sliding_window=True)) == [None, 8, 8, 8]


def test_experts_of_qwen3_have_a_window_in_every_layer() -> None:
    given = {"sliding_window": 8, "max_window_layers": 3, "use_sliding_window": True}
    assert windows(described("qwen3_moe", **given)) == [8] * 4


def test_smollm3_slides_where_it_does_not_turn() -> None:
    model = described("smollm3", sliding_window=8, use_sliding_window=True, no_rope_layers=[1, 0, 1, 0])
    assert [layer.attention.rope is not None for layer in model.layers] == [True, False, True, False]
    assert windows(model) == [None, 8, None, 8]


def test_granites_scores_are_not_scaled_without_a_multiplier() -> None:
    assert described("granite").layers[0].attention.scale == 1


def test_a_list_names_the_layers_without_experts() -> None:
    model = described("qwen3_moe", mlp_only_layers=[1], decoder_sparse_step=2)
    assert [isinstance(layer.feed_forward, Experts) for layer in model.layers] == [False, False, False, True]


def test_experts_are_counted_under_either_name() -> None:
    for key in ("num_experts", "num_local_experts"):
        kind = described("qwen3_moe", **{key: 16}).layers[0].feed_forward
        assert isinstance(kind, Experts)
        assert kind.count == 16


@pytest.mark.parametrize(
    ("model_type", "given", "message"),
    [
        ("mistral", {"layer_types": ["sliding_attention"] * 4}, "layer_types"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 4}, "no sliding window is in use"),
        ("qwen2", {"layer_types": ["chunked_attention"] * 4}, "'chunked_attention'"),
        ("qwen3", {"layer_types": ["full_attention"]}, "1 entries for num_hidden_layers = 4"),
        ("smollm3", {"no_rope_layers": [1]}, "1 entries for num_hidden_layers = 4"),
        ("granite", {"logits_scaling": 0}, "logits_scaling"),
        ("mixtral", {"num_experts_per_tok": 9}, "num_experts_per_tok = 9 is more than the 8 experts"),
        ("llama", {"rope_interleaved": True}, "rope_interleaved"),
    ],
)
def test_what_would_be_another_model_is_refused(model_type: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises((SourceError, UnsupportedError), match=message):
        described(model_type, **given)
