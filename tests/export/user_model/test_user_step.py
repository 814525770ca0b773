"""A wrong step with the right signature fails when it runs: the error names the claim and the tensor.

The sound step sums the token ids so far (`h`), counts them (`position`), and keeps their squares (`past`);
its logits depend on all three.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from contract.manifest import Manifest, StateTensor
from export.errors import VerificationError
from export.saved_model import write
from export.signatures.servable import ExportedModel
from export.verification import verify

Tensors = dict[str, tf.Tensor]
STATE = (
    StateTensor("h", "float32", (1,)),
    StateTensor("position", "int32", ()),
    StateTensor("past", "float32", (0, 1), growth_axis=0),
)
MANIFEST = Manifest("m", "keras", vocabulary_size=5, context_length=24, state=STATE, decode_steps=8)


def _sound(
    tokens: tf.Tensor, lengths: tf.Tensor, h: tf.Tensor, position: tf.Tensor, past: tf.Tensor
) -> Tensors:
    valid = tf.sequence_mask(lengths, tf.shape(tokens)[1], tf.float32)
    ids = tf.cast(tokens, tf.float32) / 10
    h = h + tf.reduce_sum(ids * valid, axis=1)[:, None]
    own = tf.sequence_mask(position, tf.shape(past)[1], tf.float32)[:, :, None]
    squares = tf.reduce_sum(past * own, axis=1) + tf.reduce_sum(ids**2 * valid, axis=1)[:, None]
    position = position + lengths
    seen = tf.concat([h, squares, tf.cast(position, tf.float32)[:, None] / 10], axis=1)
    return {"logits": seen @ tf.eye(3, 5), "h": h, "position": position, "past": (ids**2)[:, :, None]}


def _verify(base: Path, step: Callable[..., Tensors]) -> None:
    servable = ExportedModel(MANIFEST, b"", step)
    write.write(servable, base, None, lambda path: verify.verify(path, servable))


def _padding_in_h(given: Tensors, answer: Tensors) -> Tensors:
    past_the_end = ~tf.sequence_mask(given["lengths"], tf.shape(given["tokens"])[1])
    leaked = tf.where(past_the_end, tf.cast(given["tokens"], tf.float32), 0)
    return answer | {"h": answer["h"] + tf.reduce_sum(leaked, axis=1)[:, None]}


def _padding_in_logits(given: Tensors, answer: Tensors) -> Tensors:
    spare = tf.shape(given["tokens"])[1] - given["lengths"]
    return answer | {"logits": answer["logits"] + tf.cast(spare, tf.float32)[:, None]}


def _counts_calls(given: Tensors, answer: Tensors) -> Tensors:
    return answer | {"position": given["position"] + 1}


def _is_nan_after_many(given: Tensors, answer: Tensors) -> Tensors:  # noqa: ARG001
    return answer | {"h": tf.where(answer["position"][:, None] > 20, np.nan, answer["h"])}


def _is_infinite(given: Tensors, answer: Tensors) -> Tensors:  # noqa: ARG001
    return answer | {"logits": answer["logits"] - [0, 0, 0, 0, np.inf]}


def _gives_probabilities(given: Tensors, answer: Tensors) -> Tensors:  # noqa: ARG001
    return answer | {"logits": tf.nn.softmax(answer["logits"])}


def _gives_the_whole_past(given: Tensors, answer: Tensors) -> Tensors:
    return answer | {"past": tf.concat([given["past"], answer["past"]], axis=1)}


def _fails_without_a_past(given: Tensors, answer: Tensors) -> Tensors:
    return answer | {"h": answer["h"] + 0 * tf.gather(given["past"], 0, axis=1)}


def test_the_sound_step_passes(tmp_path: Path) -> None:
    _verify(tmp_path, _sound)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _padding_in_h,
            r"^state of a ragged batch: max abs error .* of 'h' is above .*: a row's padding, or another",
        ),
        (_padding_in_logits, r"^ragged batch: max abs error .* of 'logits' is above .*: a row's padding, or"),
        (
            _counts_calls,
            r"^prefill and decode: .* must give the same; of the states, 'position' differs most, by 1.6",
        ),
        (_is_nan_after_many, r"^'h' is nan or infinite after a prompt of 7 tokens and 16 single ones$"),
        (_is_infinite, r"^'logits' is nan or infinite after a prompt of 1 tokens"),
        (_gives_probabilities, r"^'logits' are probabilities, which sum to 1: return the input of"),
        (
            _gives_the_whole_past,
            r"^output 'past' of step has shape \(1, 2, 1\), not \(1, 1, 1\), for 1 rows of 1 tokens: a "
            r"growing tensor must contain only the new entries$",
        ),
        (
            _fails_without_a_past,
            r"^step fails for tokens \(1, 1\), lengths \(1,\), h \(1, 1\), position \(1,\): ",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_error_for_a_wrong_step_names_claim_and_tensor(
    change: Callable[[Tensors, Tensors], Tensors], message: str, tmp_path: Path
) -> None:
    def step(**given: tf.Tensor) -> Any:
        return change(given, _sound(**given))

    with pytest.raises(VerificationError, match=message):
        _verify(tmp_path, step)
    assert not list(tmp_path.iterdir())
