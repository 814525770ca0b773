"""Keras models with recurrent layers of all kinds, for tests of their export."""

from typing import Any

import keras
import numpy as np
from keras import layers

from contract.manifest import Manifest
from export.signatures.servable import ExportedModel
from export.user_model.model import UserModel, recurrent

VOCABULARY = 23


class Leaky(layers.Layer):
    """A cell whose output is not its state; the state begins with ones."""

    state_size = output_size = 4

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 4))

    def call(self, x: Any, states: Any, training: bool = False) -> Any:  # noqa: ARG002
        state = states[0] * 0.5 + keras.ops.matmul(x, self.kernel)
        return keras.ops.tanh(state), [state]

    def get_initial_state(self, batch_size: int) -> Any:
        return [keras.ops.ones((batch_size, 4))]


def input_ids() -> Any:
    return keras.Input([None], dtype="int32")


def embed(**options: Any) -> keras.Layer:
    return layers.Embedding(VOCABULARY, 6, **options)


def sequential(*inner: keras.Layer, ends: list[keras.Layer] | None = None) -> keras.Model:
    return keras.Sequential([input_ids(), embed(), *inner, *(ends or [layers.Dense(VOCABULARY)])])


def deep() -> keras.Model:
    return sequential(
        layers.LSTM(5, return_sequences=True, dropout=0.5, recurrent_dropout=0.5, name="first"),
        layers.Dropout(0.5),
        layers.GRU(7, return_sequences=True, name="second"),
        layers.LayerNormalization(),
        layers.SimpleRNN(4, return_sequences=True, name="third"),
        ends=[layers.Dense(VOCABULARY, activation="softmax")],
    )


def last_position_of_windows() -> keras.Model:
    """As in tutorials: windows of one length, and the token that follows them."""
    return keras.Sequential(
        [
            keras.Input([12]),
            embed(),
            layers.LSTM(5, return_sequences=True, unroll=True, name="first"),
            layers.GRU(4, name="second"),
            layers.Dense(VOCABULARY),
            layers.Softmax(),
        ]
    )


def stateful() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(3, 4)),
            embed(),
            layers.LSTM(5, return_sequences=True, stateful=True, name="first"),
            layers.Dense(VOCABULARY),
        ]
    )
    model.predict(np.ones((3, 4), np.int32), verbose=0)
    return model


def masked_with_shortcuts() -> keras.Model:
    tokens = input_ids()
    x = embed(mask_zero=True)(tokens)
    x = layers.Add()([layers.LSTM(6, return_sequences=True, name="first")(x), x])
    x = layers.Concatenate()([layers.GRU(6, return_sequences=True, name="second")(x), x])
    logits = layers.TimeDistributed(layers.Dense(VOCABULARY, activation="softmax"))(x)
    return keras.Model(tokens, logits)


def models_in_a_model() -> keras.Model:
    body = keras.Sequential(
        [keras.Input([8, VOCABULARY]), layers.GRU(5, return_sequences=True, name="first")]
    )
    head = keras.Sequential([keras.Input([None, 5]), layers.Dense(VOCABULARY), layers.Activation("softmax")])
    tokens = keras.Input([8], dtype="int32")
    return keras.Model(tokens, head(body(keras.ops.one_hot(tokens, VOCABULARY))))


def state_that_is_given_out() -> keras.Model:
    tokens = input_ids()
    _, h, c = layers.LSTM(5, return_state=True, name="first")(embed()(tokens))
    return keras.Model(tokens, layers.Dense(VOCABULARY)(layers.Concatenate()([h, c])))


def cells() -> keras.Model:
    stacked = [layers.LSTMCell(3, name="a"), layers.GRUCell(4, name="b")]
    return sequential(
        layers.RNN(stacked, return_sequences=True, name="first"),
        layers.RNN(Leaky(), return_sequences=True, name="second"),
    )


def user_model(model: keras.Model, **options: Any) -> UserModel:
    return recurrent(model, tokenizer="", context_length=24, **options)


def servable(user: UserModel) -> ExportedModel:
    manifest = Manifest("m", "keras", user.vocabulary_size, user.context_length, user.state, decode_steps=8)
    return ExportedModel(
        manifest,
        b"",
        user.step,
        lambda sequences, last=0: [user.reference(ids)[-last:] for ids in sequences],
        user.exact,
    )  # type: ignore[misc]
