"""Exports the model of arithmetic.py as a servable: run as a module with BASE [VERSION]."""

import sys

import tensorflow as tf
from tokenizers import Tokenizer, models

from export.signatures import explicit_decode
from tests.deployments.decoder.arithmetic import MANIFEST, VOCABULARY


def int32(shape: list[int | None], name: str) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.int32, name)


@tf.function(
    input_signature=[
        int32([None, None], "tokens"),
        int32([None], "lengths"),
        int32([None], "total"),
        int32([None], "count"),
        int32([None, None], "history"),
    ]
)
def step(tokens, lengths, total, count, history):
    agree = tf.debugging.assert_equal(tf.reduce_sum(history, axis=1), total)
    with tf.control_dependencies([agree]):
        valid = tf.sequence_mask(lengths, tf.shape(tokens)[1])
    total += tf.reduce_sum(tf.where(valid, tokens, 0), axis=1)
    count += lengths
    return {
        "logits": tf.one_hot((total + count) % VOCABULARY, VOCABULARY, on_value=4.0),
        "total": total,
        "count": count,
        "history": tf.where(valid, tokens, 99),
    }


@tf.function(input_signature=[])
def manifest():
    vocabulary = {f"<{i}>": i for i in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<0>"))
    return {"manifest": tf.constant(MANIFEST.to_json()), "tokenizer": tf.constant(tokenizer.to_str())}


if __name__ == "__main__":
    module = tf.Module()
    module.step, module.manifest = step, manifest
    version = sys.argv[2] if len(sys.argv) > 2 else "1"
    traced = step.get_concrete_function()
    signatures = {"step": traced, "decode": explicit_decode.trace(traced, MANIFEST), "manifest": manifest}
    tf.saved_model.save(module, f"{sys.argv[1]}/{version}", signatures=signatures)
