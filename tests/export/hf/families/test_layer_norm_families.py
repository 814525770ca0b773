"""Rare settings of the families with layer norms."""

from types import ModuleType
from typing import Any

import pytest

from export.checkpoints.config_reader import ConfigReader
from export.errors import UnsupportedError
from export.hf.families import gpt_neox, opt, stablelm, starcoder2
from export.transformer_model.description import BEFORE, OF_SUMS

CONFIG = {"vocab_size": 260, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3}


def settings(family: ModuleType, **changes: Any) -> ConfigReader:
    return ConfigReader(CONFIG | {"model_type": family.MODEL_TYPE} | changes, "config.json")


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        # The library would build the rope for one head size and split heads by another.
        (gpt_neox, "head_dim", 4),
        (stablelm, "head_dim", 4),
        (starcoder2, "mlp_type", "gated"),
        (starcoder2, "norm_type", "rms_norm"),
    ],
)
def test_a_setting_that_would_be_another_model_is_refused(
    family: ModuleType, key: str, value: object
) -> None:
    with pytest.raises(UnsupportedError, match=f"{key} = {value!r} is not implemented"):
        family.describe(settings(family, **{key: value}), 64)


@pytest.mark.parametrize(
    ("before", "removed", "norms", "final_norm"),
    [
        (True, False, BEFORE, True),
        (True, True, BEFORE, False),
        (False, False, OF_SUMS, False),
    ],
)
def test_opt_norms_its_end_only_where_it_norms_before_products(
    before: bool, removed: bool, norms: tuple[str, ...], final_norm: bool
) -> None:
    given = settings(opt, do_layer_norm_before=before, _remove_final_layer_norm=removed)
    model = opt.describe(given, 64)
    assert (model.layers[0].norms, model.final_norm) == (norms, final_norm)
    assert ("final_norm.scale" in opt.sources(model, given)) == final_norm


@pytest.mark.parametrize("width", [24, None])
def test_an_opt_embedding_as_wide_as_the_layers_needs_no_projections(width: int | None) -> None:
    given = settings(opt, word_embed_proj_dim=width)
    model = opt.describe(given, 64)
    assert model.embedding_width is None
    assert "input_projection.kernel" not in opt.sources(model, given)
