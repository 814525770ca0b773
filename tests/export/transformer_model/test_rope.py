"""Rotary positions against the transformers library (golden file), and the refused configurations."""

import json
from typing import Any

import numpy as np
import pytest

from export.errors import SourceError, UnsupportedError
from export.transformer_model import rope
from tests.export import samples

CASES: dict[str, dict[str, Any]] = json.loads((samples.GOLDEN / "rope.json").read_text())
EVERY_EIGHTH = slice(None, None, 8)  # of the frequencies, those with a cosine and a sine in the file

LLAMA = {"model_type": "llama", "max_position_embeddings": 4096, "rope_theta": 10000.0}
NESTED = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": None}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CASES[request.param]


def read(case: dict[str, Any], form: str) -> rope.Rope:
    return rope.read(case[form], case["head_dim"], case["context"], case["layer_type"])


def units_apart(computed: Any, expected: Any) -> np.ndarray:
    """How many float32 steps two positive values are apart."""
    bits = [np.array(values, np.float32).view(np.int32) for values in (computed, expected)]
    return np.abs(bits[0] - bits[1])


@pytest.mark.parametrize("form", ["settings", "saved"])
def test_frequencies_and_scale_are_the_librarys_for_published_and_newly_saved_settings(
    case: dict[str, Any], form: str
) -> None:
    found = read(case, form)
    assert found.scale == pytest.approx(case["scale"], rel=1e-15)
    assert len(found.frequencies) == len(case["frequencies"])
    # The library's float32 powers are not all rounded to nearest, and a quotient may double the difference.
    assert units_apart(found.frequencies, case["frequencies"]).max() <= 2


def test_99_of_100_frequencies_are_the_librarys_to_the_last_bit() -> None:
    apart = np.concatenate(
        [units_apart(read(case, "settings").frequencies, case["frequencies"]) for case in CASES.values()]
    )
    assert np.mean(apart == 0) >= 0.99


def test_frequencies_are_float32_values(case: dict[str, Any]) -> None:
    found = read(case, "settings").frequencies
    assert found == tuple(np.array(found, np.float32).tolist())


def test_angles_give_the_librarys_cosines_and_sines_at_the_last_position(case: dict[str, Any]) -> None:
    library = rope.Rope(tuple(case["frequencies"]), case["scale"])
    cos, sin = rope.angles(library, [0, case["context"] - 1])
    assert cos.shape == sin.shape == (2, len(case["frequencies"]))
    assert cos.dtype == sin.dtype == np.float32
    np.testing.assert_allclose(cos[1, EVERY_EIGHTH], case["cos"], rtol=0, atol=3e-7)
    np.testing.assert_allclose(sin[1, EVERY_EIGHTH], case["sin"], rtol=0, atol=3e-7)


def test_phi3s_old_name_su_takes_the_trained_length_from_outside_rope_scaling() -> None:
    """The library reads `su` only with that length inside, which no published configuration has."""
    case = CASES["phi-3-mini-128k su"]
    scaling = dict(case["settings"]["rope_scaling"])
    del scaling["original_max_position_embeddings"]
    settings = case["settings"] | {"rope_scaling": scaling}
    assert rope.read(settings, 96, case["context"]) == read(case, "settings")


def test_a_flat_rope_is_that_of_every_layer_type() -> None:
    assert rope.read(LLAMA, 64, 4096, "sliding_attention") == rope.read(LLAMA, 64, 4096)


def test_gemma3s_layer_types_have_their_own_bases_where_the_configuration_is_silent() -> None:
    full, sliding = (
        rope.read({"model_type": "gemma3_text"}, 4, 8, layer)
        for layer in ("full_attention", "sliding_attention")
    )
    assert full.frequencies == pytest.approx((1, 1e-3))
    assert sliding.frequencies == pytest.approx((1, 1e-2))


def test_each_layer_type_has_the_partial_factor_stated_outside() -> None:
    settings = {"partial_rotary_factor": 0.5, "rope_parameters": NESTED}
    assert len(rope.read(settings, 64, 8, "full_attention").frequencies) == 16


def refused(
    error: type[Exception], *words: str, head_dim: int = 64, layer: str | None = None, **settings: Any
) -> None:
    with pytest.raises(error) as caught:
        rope.read(LLAMA | settings, head_dim, 4096, layer)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_an_unknown_rope_type_is_refused_with_those_that_are_known() -> None:
    scaling = {"rope_type": "mrope", "mrope_section": [1]}
    refused(UnsupportedError, "'mrope'", *rope.TYPES, rope_scaling=scaling)
    refused(UnsupportedError, "['yarn']", rope_scaling={"type": ["yarn"]})


def test_an_unknown_key_is_refused_unless_it_is_null() -> None:
    scaling = {"rope_type": "dynamic", "factor": 2.0, "alpha": 1000.0}
    refused(UnsupportedError, "alpha = 1000.0", rope_scaling=scaling)
    assert rope.read(LLAMA | {"rope_scaling": scaling | {"alpha": None}}, 64, 4096)


@pytest.mark.parametrize(("rope_type", "keys"), rope.REQUIRED.items())
def test_each_key_that_a_rope_type_needs_is_missed_by_name(rope_type: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        rest = {other: 2.0 for other in keys if other != key}
        refused(SourceError, rope_type, f"{key} is missing", rope_scaling={"rope_type": rope_type, **rest})


def test_scaling_without_a_type_is_refused() -> None:
    """The library would ignore the factor."""
    refused(SourceError, "rope_type is missing", rope_scaling={"factor": 4.0})


def test_dynamic_is_refused_beyond_the_length_within_which_it_is_unscaled() -> None:
    refused(
        UnsupportedError,
        "context = 4096",
        "max_position_embeddings = 4095",
        rope_scaling={"type": "dynamic", "factor": 2.0},
        max_position_embeddings=4095,
    )


def test_a_needed_length_that_is_nowhere_is_missed_by_name() -> None:
    with pytest.raises(SourceError, match="max_position_embeddings is missing"):
        rope.read({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, 64, 8)


@pytest.mark.parametrize("value", [0, -1.0, "2", True, None, float("inf")])
def test_a_factor_that_is_no_positive_number_is_refused(value: Any) -> None:
    refused(SourceError, "factor", repr(value), rope_scaling={"type": "linear", "factor": value})


def test_llama3s_short_waves_are_shorter_than_its_long_ones() -> None:
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 4.0}
    refused(SourceError, "high_freq_factor = 4.0", "low_freq_factor = 4.0", rope_scaling=scaling)


@pytest.mark.parametrize("value", [2.0, [1.0] * 31, [1.0] * 31 + ["1"]])
def test_long_factors_are_as_many_numbers_as_frequencies(value: Any) -> None:
    scaling = {"type": "longrope", "short_factor": value, "long_factor": value}
    refused(SourceError, "short_factor", rope_scaling=scaling)


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_settings_that_are_no_object_are_refused(key: str) -> None:
    refused(SourceError, key, "'linear'", **{key: "linear"})


def test_a_partial_head_is_refused_where_the_librarys_model_turns_all_of_it() -> None:
    refused(UnsupportedError, "partial_rotary_factor = 0.5", "'llama'", partial_rotary_factor=0.5)


@pytest.mark.parametrize("part", [0.4, 1.5, 0.001])
def test_an_odd_or_impossible_number_of_turned_dimensions_is_refused(part: float) -> None:
    refused(SourceError, f"{part}", "64", "even", model_type="phi", partial_rotary_factor=part)
    refused(SourceError, "63", head_dim=63)


def test_ropes_by_layer_type_are_refused_for_a_model_that_has_one() -> None:
    refused(UnsupportedError, "full_attention, sliding_attention", rope_parameters=NESTED)


def test_a_layer_type_without_a_rope_is_missed_by_name() -> None:
    refused(SourceError, "sliding_attention is missing", layer="sliding_attention", rope_parameters=NESTED)
