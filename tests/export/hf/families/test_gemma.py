"""Settings of Gemma and Phi 3 that are refused, or that published checkpoints leave out."""

from types import ModuleType
from typing import Any
from zlib import crc32

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError, UnsupportedError
from export.hf.families import gemma, gemma2, gemma3, phi3
from export.reference.transformer import TransformerReference
from export.signatures import explicit_model
from export.transformer_model.weights import variables

CONFIG = {
    "vocab_size": 60,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}


def settings(family: ModuleType, **changes: Any) -> ConfigReader:
    return ConfigReader(CONFIG | {"model_type": family.MODEL_TYPE} | changes, "config.json")


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        (gemma, "use_bidirectional_attention", True),
        (gemma2, "use_bidirectional_attention", True),
        # The transformers library ignores it.
        (gemma3, "attn_logit_softcapping", 50.0),
        (phi3, "lm_head_bias", True),
    ],
)
def test_a_setting_that_would_be_another_model_is_refused(
    family: ModuleType, key: str, value: object
) -> None:
    with pytest.raises(UnsupportedError, match=f"{key} = {value!r} is not implemented"):
        family.describe(settings(family, **{key: value}), 64)


def test_layer_types_must_name_every_layer() -> None:
    with pytest.raises(SourceError, match="1 entries for num_hidden_layers = 3"):
        gemma2.describe(settings(gemma2, layer_types=["full_attention"]), 64)


def test_gemma_2_has_caps_by_default_and_none_where_they_are_null() -> None:
    silent = gemma2.describe(settings(gemma2), 64)
    null = settings(gemma2, attn_logit_softcapping=None, final_logit_softcapping=None)
    uncapped = gemma2.describe(null, 64)
    assert (silent.layers[0].attention.soft_cap, silent.logit_soft_cap) == (50, 30)
    assert (uncapped.layers[0].attention.soft_cap, uncapped.logit_soft_cap) == (None, None)


def test_the_scale_of_embeddings_is_rounded_as_the_servable_not_as_the_checkpoint() -> None:
    """A float32 servable of a bfloat16 checkpoint was once compared with a reference of another scale."""
    given = settings(gemma, head_dim=8, num_key_value_heads=1)
    model = gemma.describe(given, 64)
    sources = gemma.sources(model, given)
    step = explicit_model.step(model, variables(sources, read, "float32"))
    ids, past = np.arange(7, dtype=np.int32), tf.zeros((1, 0, 3, 1, 8))
    logits = step(ids[None], tf.constant([7]), tf.constant([0]), past, past)["logits"]
    (expected,) = TransformerReference(model, sources, read)([ids])
    assert np.abs(logits[0] - expected[-1]).max() <= 1e-4


def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(crc32(name.encode())).normal(0, 0.3, shape).astype(ml_dtypes.bfloat16)
