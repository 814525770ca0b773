"""`python -m bench.workers.keras_hub THREADS`: KerasHub's `generate` on TensorFlow, in float32.

With random weights of its own. It reports nothing before an answer is complete.
"""

import os
import sys
from collections.abc import Sequence

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras_hub
import numpy as np
import tensorflow as tf

from bench.workers.answers import Arrived, measure_batches, own_output, serve_load

_SHAPE = {
    "vocabulary_size": 50257,
    "num_layers": 12,
    "num_heads": 12,
    "hidden_dim": 768,
    "intermediate_dim": 3072,
    "max_sequence_length": 1024,
}


def main(threads: str) -> None:
    """Builds the model and answers questions."""
    out = own_output()
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    model = keras_hub.models.GPT2CausalLM(keras_hub.models.GPT2Backbone(**_SHAPE), preprocessor=None)
    model.compile(sampler="greedy")

    def generate(prompts: Sequence[Sequence[int]], count: int, _arrived: Arrived) -> None:
        given = np.array(prompts, np.int32)
        room = ((0, 0), (0, count))
        inputs = {"token_ids": np.pad(given, room), "padding_mask": np.pad(np.ones_like(given), room)}
        model.generate(inputs, stop_token_ids=None)

    serve_load(lambda question: measure_batches(generate, question), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
