"""The masks that are added to attention scores."""

import numpy as np
import pytest
import tensorflow as tf

from export.transformer_model.attention import MASKED_SCORE, AttentionMasks
from export.transformer_model.description import Alibi, Attention

NOWHERE = tf.int32.max


def mask(attention: Attention, queries: list[list[int]], keys: list[int]) -> np.ndarray:
    made: np.ndarray = AttentionMasks(tf.constant(queries), tf.constant(keys)).mask_for(attention).numpy()
    return made


def alibi(heads: int, kv_heads: int) -> Attention:
    slopes = tuple(2.0**-head for head in range(heads))
    return Attention(heads, kv_heads, 4, scale=1.0, alibi=Alibi(slopes, scale=0.5))


def test_alibi_is_by_the_keys_position_and_rounded_so_that_far_positions_share_a_bias() -> None:
    biases = mask(alibi(2, 2), [[5000]], [0, 3, 1024, 1028, 1029, 1032])
    near = [0.0, 1.5, 512.0, 512.0, 516.0, 516.0]
    assert biases.shape == (1, 2, 1, 6)
    assert biases[0, :, 0].tolist() == [near, [bias / 2 for bias in near]]


@pytest.mark.parametrize("steps", [1, 2])
def test_query_heads_that_share_a_key_head_keep_their_own_slopes(steps: int) -> None:
    biases = mask(alibi(4, 2), [list(range(1, 1 + steps))], [0, 1])
    assert biases.shape == (1, 2, 2 * steps, 2)
    assert biases[0, :, ::steps, 1].tolist() == [[0.5, 0.25], [0.125, 0.0625]]


def test_no_bias_lifts_a_position_that_a_token_may_not_attend_to() -> None:
    biases = mask(alibi(1, 1), [[1]], [0, 1, 2, NOWHERE])
    assert biases.ravel().tolist() == [0.0, 0.5, MASKED_SCORE, MASKED_SCORE]
