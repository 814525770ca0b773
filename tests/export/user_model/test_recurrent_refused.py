"""The error for a Keras model that cannot be run step by step names the layer and the reason."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

from export.errors import SourceError, UnsupportedError
from export.signatures import step_signature
from tests.export.keras_models import (
    VOCABULARY,
    Leaky,
    deep,
    embed,
    input_ids,
    sequential,
    servable,
    user_model,
)


class Doubled(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2


def test_a_layer_of_the_users_own_is_asked_about() -> None:
    model = sequential(layers.GRU(4, return_sequences=True), Doubled(name="doubled"))
    message = r"^layer 'doubled' \(Doubled\) is not known to treat each position by itself; if it does, pass "
    with pytest.raises(UnsupportedError, match=message + r"positionwise=\('doubled',\), otherwise write"):
        user_model(model)
    assert len(user_model(model, positionwise=("doubled",)).state) == 1
    with pytest.raises(
        UnsupportedError, match=r"^positionwise names 'other'; the model's layers are dense.*, doubled, "
    ):
        user_model(model, positionwise=("other",))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both"),
            r"^layer 'both' \(Bidirectional\) also reads backwards: this cannot be done step by step$",
        ),
        (
            layers.LSTM(4, return_sequences=True, go_backwards=True, name="back"),
            r"^layer 'back' \(LSTM\) reads backwards \(go_backwards\): this cannot be done step by step$",
        ),
        (
            layers.Conv1D(4, 3, padding="causal", name="conv"),
            r"^layer 'conv' \(Conv1D\) may look at other positions, so it cannot be run step by step",
        ),
        (layers.GlobalAveragePooling1D(name="mean"), r"^layer 'mean' \(GlobalAveragePooling1D\) may look at"),
        (layers.Flatten(name="flat"), r"^layer 'flat' \(Flatten\) may look at other positions"),
        (
            layers.LayerNormalization(axis=[1, 2], name="norm"),
            r"^layer 'norm' \(LayerNormalization\) has axis \[1, 2\]: only -1 stays within one position$",
        ),
        (
            layers.EinsumDense("btu,uv->btv", (None, VOCABULARY), activation="softmax", name="einsum"),
            r"^layer 'einsum' \(EinsumDense\) ",
        ),
    ],
)
def test_a_layer_without_a_step_is_named(layer: keras.Layer, message: str) -> None:
    model = keras.Sequential(
        [
            keras.Input([7]),
            embed(),
            layers.GRU(4, return_sequences=True),
            layer,
            layers.Dense(VOCABULARY, name="last"),
        ]
    )
    with pytest.raises(UnsupportedError, match=message):
        user_model(model)


def _attention() -> keras.Model:
    tokens = input_ids()
    x = layers.LSTM(4, return_sequences=True)(embed()(tokens))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True)
    return keras.Model(tokens, layers.Dense(VOCABULARY)(x))


def _called_twice() -> keras.Model:
    tokens = input_ids()
    layer = layers.LSTM(6, return_sequences=True, name="shared")
    return keras.Model(tokens, layers.Dense(VOCABULARY)(layer(layer(embed()(tokens)))))


def _begun_by_another() -> keras.Model:
    tokens = input_ids()
    x = embed()(tokens)
    _, h = layers.GRU(4, return_state=True)(x)
    return keras.Model(tokens, layers.Dense(VOCABULARY)(layers.GRU(4, name="begun")(x, initial_state=h)))


def _two_inputs() -> keras.Model:
    tokens, others = input_ids(), input_ids()
    shared = embed()
    x = layers.Add()([shared(tokens), shared(others)])
    return keras.Model([tokens, others], layers.Dense(VOCABULARY)(layers.GRU(4)(x)), name="two")


def _features() -> keras.Model:
    parts = [keras.Input([None, 5], name="features"), layers.GRU(4), layers.Dense(VOCABULARY)]
    return keras.Sequential(parts, name="from_features")


def _small_embedding() -> keras.Model:
    embedding = layers.Embedding(VOCABULARY - 1, 6, name="small")
    return keras.Sequential([input_ids(), embedding, layers.GRU(4), layers.Dense(VOCABULARY)])


def _masked_cell() -> keras.Model:
    parts = [
        input_ids(),
        embed(mask_zero=True),
        layers.RNN(Leaky(), name="cell"),
        layers.Dense(VOCABULARY),
    ]
    return keras.Sequential(parts)


class Subclass(keras.Model):
    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_attention, r"^layer 'attention' \(MultiHeadAttention\) may look at other positions"),
        (_called_twice, r"^layer 'shared' \(LSTM\) is called twice, with one state for both$"),
        (_begun_by_another, r"^layer 'begun' \(GRU\) begins with a state that another layer computes"),
        (_two_inputs, r"^model 'two' has 2 inputs and 1 outputs, not one of each$"),
        (_features, r"^input 'features' of model 'from_features' is float32 \(None, None, 5\); it must be"),
        (_small_embedding, r"^layer 'small' \(Embedding\) has 22 entries, fewer than the 23 of the model"),
        (lambda: sequential(layers.Dense(4)), r"^model '.*' has no recurrent layer$"),
        (lambda: keras.Sequential([embed()], name="new"), r"^model 'new' is not built: call it once"),
        (lambda: Subclass(name="own"), r"^model 'own' \(Subclass\) has no graph of layers: write its step"),
        (lambda: layers.Dense(3), r"^the model must be a keras.Model, not Dense$"),
    ],
)
def test_the_error_for_a_model_without_steps_says_why(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        user_model(make())


def test_a_mask_over_a_cell_that_does_not_output_its_state_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"^layer 'cell' \(RNN\) takes a mask"):
        step_signature.trace(servable(user_model(_masked_cell())))


def test_a_softmax_that_cannot_be_left_out_is_named() -> None:
    last = layers.EinsumDense("btu,uv->btv", (None, VOCABULARY), activation="softmax", name="last")
    model = sequential(layers.GRU(4, return_sequences=True), ends=[last])
    with pytest.raises(UnsupportedError, match=r"^layer 'last' \(EinsumDense\) ends in a softmax that"):
        user_model(model, positionwise=("last",))


def test_keras_on_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(SourceError, match=r"^Keras runs on jax here; set KERAS_BACKEND=tensorflow$"):
        user_model(deep())
