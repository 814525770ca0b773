"""Keras models with recurrent layers are exported as they are: weights, state of the cells, logits."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from export.signatures import step_signature
from export.verification.stepper import Stepper
from tests.export.conftest import Publish
from tests.export.keras_models import (
    VOCABULARY,
    cells,
    deep,
    embed,
    input_ids,
    last_position_of_windows,
    masked_with_shortcuts,
    models_in_a_model,
    sequential,
    servable,
    state_that_is_given_out,
    stateful,
    user_model,
)

MODELS: list[tuple[Callable[[], keras.Model], dict[str, int]]] = [
    (deep, {"first_h": 5, "first_c": 5, "second_h": 7, "third_h": 4}),
    (last_position_of_windows, {"first_h": 5, "first_c": 5, "second_h": 4}),
    (stateful, {"first_h": 5, "first_c": 5}),
    (masked_with_shortcuts, {"first_h": 6, "first_c": 6, "second_h": 6}),
    (models_in_a_model, {"first_h": 5}),
    (state_that_is_given_out, {"first_h": 5, "first_c": 5}),
    (cells, {"first_a_h": 3, "first_a_c": 3, "first_b_h": 4, "second_state_0": 4}),
]


@pytest.mark.parametrize(("make", "state"), MODELS, ids=[make.__name__ for make, _ in MODELS])
def test_a_model_is_exported_with_the_state_of_its_cells(
    make: Callable[[], keras.Model], state: dict[str, int], publish: Publish
) -> None:
    keras.utils.set_random_seed(0)
    user = user_model(make())
    assert {tensor.name: tensor.shape for tensor in user.state} == {
        name: (size,) for name, size in state.items()
    }
    # Verified there: against the model run whole, by ragged batches, and by many steps in one call.
    publish(servable(user))


def test_a_cells_state_begins_as_the_cell_says() -> None:
    assert [tensor.initial for tensor in user_model(cells()).state] == [0, 0, 0, 1]


def test_the_variables_are_the_models_own_and_nothing_else() -> None:
    """A loop of Keras's own draws dropout masks even here, and so writes to its random generator."""
    model = deep()
    step = step_signature.trace(servable(user_model(model)))
    assert {id(v) for v in step.variables} == {id(weight.value) for weight in model.trainable_weights}


# Keras's own, of numpy, as it saves.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("make", [deep, masked_with_shortcuts])
def test_the_softmax_of_the_logits_is_what_the_saved_model_predicts(
    make: Callable[[], keras.Model], tmp_path: Path
) -> None:
    make().save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    user = user_model(model)
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (1, 9)).astype(np.int32)
    expected = model.predict(ids, verbose=0)[0]
    assert user.reference is not None
    reference = keras.ops.softmax(user.reference(ids[0]))
    assert np.allclose(reference, expected, rtol=0, atol=1e-6)
    before = {tensor.name: np.zeros((1, *tensor.shape), tensor.dtype) for tensor in user.state}
    logits = user.step(tokens=ids, lengths=np.array([9], np.int32), **before)["logits"]
    assert np.allclose(keras.ops.softmax(logits)[0], expected[-1], rtol=0, atol=1e-6)


def test_masked_tokens_after_the_first_call_repeat_the_logits_before_them(publish: Publish) -> None:
    stepper = Stepper(publish(servable(user_model(_masked_last()))))
    first = stepper.run([np.array([5, 7], np.int32)])[0]
    masked = stepper.run([np.array([0], np.int32)], [first.state])[0]
    assert np.array_equal(first.logits, masked.logits)


def _masked_last() -> keras.Model:
    return keras.Sequential(
        [
            input_ids(),
            embed(mask_zero=True),
            layers.LSTM(5, return_sequences=True),
            layers.Dense(VOCABULARY),
        ]
    )


def test_a_layers_name_becomes_one_that_a_signature_keeps() -> None:
    user = user_model(
        sequential(layers.GRU(3, name="mein gru-ß", return_sequences=True), layers.GRU(4, name="1"))
    )
    assert [tensor.name for tensor in user.state] == ["mein_gru___h", "layer_1_h"]


def test_half_precision_is_reported_not_bounded() -> None:
    policy = keras.DTypePolicy("mixed_bfloat16")
    user = user_model(sequential(layers.GRU(4, return_sequences=True, dtype=policy)))
    assert not user.exact
    assert [tensor.dtype for tensor in user.state] == ["bfloat16"]
