"""All sampling parameters of a request, in the graph: the tokens of the decode loop's own sampler."""

from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

from contract import names
from contract.tensors import Array
from deployments.decoder.calls import sampling_inputs
from deployments.decoder.calls.host_sampler import next_tokens
from deployments.decoder.engine import NoTokenError, SampledTokens
from deployments.decoder.sampling import token_mask
from deployments.decoder.sequence import Event, TokenSequence
from deployments.messages import SamplingParams
from export.sampling.sampler import INPUTS, Sampler, outputs

VOCABULARY = 300
EOS = frozenset({7, 11})
FIRST = tf.TensorSpec([None, None], tf.float32, "first")
MATRIX = tf.TensorSpec([None, None], tf.float32, "matrix")


@tf.function(autograph=False, input_signature=[FIRST, MATRIX, dict(INPUTS)])
def loop(first: tf.Tensor, matrix: tf.Tensor, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Samples from a model: row `i` of `matrix` (vocabulary, vocabulary) is the logits after token `i`."""
    sampler = Sampler.from_inputs(inputs)
    active = tf.fill([tf.shape(first)[0]], True)

    def body(i, logits, progress):  # type: ignore[no-untyped-def]
        tokens, progress = sampler.sample_step(logits, i, active, progress)
        return i + 1, tf.gather(matrix, tf.maximum(tokens, 0)), progress

    return outputs(tf.while_loop(lambda i, *_: i < sampler.steps, body, (0, first, sampler.begin()))[2])


def in_graph(
    sequences: Sequence[TokenSequence], first: Array, matrix: Array, steps: int
) -> tuple[list[SampledTokens], dict[str, Array]]:
    inputs = sampling_inputs.row_inputs(sequences, steps) | sampling_inputs.call_inputs(sequences)
    assert inputs.keys() == INPUTS.keys()
    feeds = {name: tf.constant(value) for name, value in inputs.items()}
    answer = loop(tf.constant(first), tf.constant(matrix), feeds)
    arrays = {name: value.numpy() for name, value in answer.items()}
    return sampling_inputs.parse_outputs(
        arrays, sequences, range(len(sequences)), (len(sequences), steps)
    ), arrays


def by_hand(
    sequences: Sequence[TokenSequence], first: Array, matrix: Array, steps: int
) -> list[SampledTokens]:
    """Samples step by step with the decode loop's own sampler."""
    logits, sampled = first, [SampledTokens((), ()) for _ in sequences]
    for _ in range(steps):
        new = next_tokens(sequences, logits)
        for i, (sequence, row) in enumerate(zip(sequences, new, strict=True)):
            append(sequence, row.ids[0])
            logprobs = None if row.logprobs is None else (*(sampled[i].logprobs or ()), *row.logprobs)
            sampled[i] = SampledTokens(sampled[i].ids + row.ids, logprobs)
        logits = matrix[[row.ids[0] for row in new]]
    return sampled


def append(sequence: TokenSequence, token: int) -> None:
    sequence.feed(sequence.pending)
    sequence.append(token)


def sequences_of(params: Sequence[SamplingParams], seed: int, steps: int) -> list[TokenSequence]:
    """Returns sequences in the middle of decoding, with room for `steps` tokens and more."""
    rng = np.random.default_rng(seed)
    made = []
    for i, each in enumerate(params):
        prompt = tuple(rng.integers(0, VOCABULARY, rng.integers(1, 20)).tolist())
        mask = None
        if each.allowed_token_ids is not None:
            mask = token_mask.pack(each.allowed_token_ids, VOCABULARY)
        # No token ends the sequence: these tests compare tokens only.
        ends = EOS if each.min_tokens else frozenset[int]()
        sequence = TokenSequence(str(i), prompt, 4 * steps + 20, each, ends, mask)
        sequence.move(Event.ADMIT)
        if not each.min_tokens:
            for token in rng.integers(0, VOCABULARY, rng.integers(0, 20)).tolist():
                append(sequence, token)
        made.append(sequence)
    return made


def assert_same(
    params: Sequence[SamplingParams], seed: int, steps: int = 1, spread: float = 2.0
) -> list[SampledTokens]:
    """Compares the graph's tokens of one call with the loop's own, one by one; returns them."""
    rng = np.random.default_rng(seed)
    first = rng.normal(0, spread, (len(params), VOCABULARY)).astype(np.float32)
    matrix = rng.normal(0, spread, (VOCABULARY, VOCABULARY)).astype(np.float32)
    sampled, _ = in_graph(sequences_of(params, seed, steps), first, matrix, steps)
    expected = by_hand(sequences_of(params, seed, steps), first, matrix, steps)
    assert [row.ids for row in sampled] == [row.ids for row in expected]
    for one, other in zip(sampled, expected, strict=True):
        assert (one.logprobs is None) == (other.logprobs is None)
        for ours, theirs in zip(one.logprobs or (), other.logprobs or (), strict=True):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-5)
            assert [token for token, _ in ours.top] == [token for token, _ in theirs.top]
            assert np.allclose([p for _, p in ours.top], [p for _, p in theirs.top], atol=1e-5)
    return sampled


ASKED = {
    "nothing": SamplingParams(seed=1),
    "greedy": SamplingParams(temperature=0),
    "presence": SamplingParams(temperature=0, presence_penalty=1.5),
    "frequency": SamplingParams(seed=2, frequency_penalty=0.75),
    "negative frequency": SamplingParams(temperature=0, frequency_penalty=-1.5),
    "repetition": SamplingParams(temperature=0.5, seed=3, repetition_penalty=1.3),
    "bias": SamplingParams(seed=4, logit_bias=((3, 5.5), (250, -100.0), (299, 2.25))),
    "end tokens banned": SamplingParams(seed=5, min_tokens=200, logit_bias=((7, 50.0),)),
    "mask": SamplingParams(seed=6, allowed_token_ids=(0, 9, 17, 298, 299)),
    "probabilities": SamplingParams(seed=7, logprobs=5),
    "the token's own probability": SamplingParams(temperature=0, logprobs=0),
    "everything": SamplingParams(
        0.75, 100, 0.875, 0.015625, 8, 0.5, 0.25, 1.125, ((1, 1.5), (7, 3.0)), 150, (), tuple(range(200)), 3
    ),
}


@pytest.mark.parametrize("steps", [1, 12])
@pytest.mark.parametrize("asked", ASKED)
def test_each_sampling_parameter_gives_the_loops_own_tokens_in_one_call_of_any_steps(
    asked: str, steps: int
) -> None:
    for seed in range(4):
        assert_same([ASKED[asked]] * 3, seed, steps)


@pytest.mark.parametrize("seed", range(6))
def test_rows_with_different_parameters_do_not_change_one_another(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params = [ASKED[name] for name in rng.permutation(list(ASKED))]
    assert_same(params, seed, steps=9)


def test_random_parameters_give_the_loops_own_tokens() -> None:
    rng = np.random.default_rng(0)
    for seed in range(40):
        params = [
            SamplingParams(
                temperature=float(rng.choice([0.0, 0.5, 1.0])),
                seed=int(rng.integers(2**63)),
                presence_penalty=float(rng.choice([0, rng.uniform(-2, 2)])),
                frequency_penalty=float(rng.choice([0, rng.uniform(-2, 2)])),
                repetition_penalty=float(rng.choice([1, rng.uniform(0.5, 2)])),
                logit_bias=tuple((int(i), float(rng.uniform(-9, 9))) for i in rng.permutation(300)[:5]),
            )
            for _ in range(4)
        ]
        assert_same(params, seed, steps=int(rng.integers(1, 8)), spread=1.0)


def test_a_frequency_penalty_is_felt_by_tokens_of_the_same_call() -> None:
    """Of 10 and 5, with 3 less each time: 10, 7, then 5 before 4, 4 before 2, 2 before 1, 1 before -1."""
    logits = np.zeros((1, VOCABULARY), np.float32)
    logits[0, [40, 50]] = 10, 5
    matrix = np.tile(logits, (VOCABULARY, 1))
    sequence = TokenSequence("a", (1,), 20, SamplingParams(temperature=0, frequency_penalty=3))
    sampled, _ = in_graph([sequence], logits, matrix, 6)
    assert sampled[0].ids == (40, 40, 50, 40, 50, 40)


def test_probabilities_are_those_of_the_logits_before_everything_else() -> None:
    logits = np.random.default_rng(3).normal(0, 3, (2, VOCABULARY)).astype(np.float32)
    params = SamplingParams(
        temperature=0, logit_bias=((5, 100.0),), repetition_penalty=2, allowed_token_ids=(5, 6), logprobs=3
    )
    mask = token_mask.pack((5, 6), VOCABULARY)
    sequences = [TokenSequence(str(i), (1, 5), 9, params, mask=mask) for i in range(2)]
    sampled, _ = in_graph(sequences, logits, np.zeros((VOCABULARY, VOCABULARY), np.float32), 1)
    exact = logits.astype(np.float64)
    exact -= np.log(np.exp(exact).sum(axis=1, keepdims=True))
    for row, (ids, logprobs) in zip(exact, [(row.ids, row.logprobs) for row in sampled], strict=True):
        assert ids == (5,)
        assert logprobs is not None
        assert logprobs[0].logprob == pytest.approx(row[5], abs=1e-5)
        assert [token for token, _ in logprobs[0].top] == np.argsort(-row)[:3].tolist()


def test_inputs_and_outputs_have_no_width_where_no_row_uses_them() -> None:
    sequences = [TokenSequence(str(i), (1,), 9) for i in range(3)]
    inputs = sampling_inputs.row_inputs(sequences, 4)
    _, answer = in_graph(sequences, np.zeros((3, 300), np.float32), np.zeros((300, 300), np.float32), 4)
    assert inputs[names.EDIT_IDS].shape == inputs[names.MASK].shape == (3, 0)
    assert answer[names.LOGPROBS].shape == (3, 0)
    assert answer[names.TOP_IDS].shape == answer[names.TOP_LOGPROBS].shape == (3, 0, 0)


@pytest.mark.parametrize(
    ("number", "place"), [(np.nan, slice(None)), (np.nan, 77), (np.inf, 77), (-np.inf, slice(None))]
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_whose_logits_are_nan_or_infinite_fails_and_the_others_do_not(
    number: float, place: int | slice, temperature: float
) -> None:
    logits = np.random.default_rng(0).normal(0, 2, (3, VOCABULARY)).astype(np.float32)
    params = SamplingParams(temperature, seed=1, presence_penalty=1, logit_bias=((3, 1.0),))
    sequences = [TokenSequence(str(i), (1,), 9, params) for i in range(3)]
    whole, _ = in_graph([sequences[0], sequences[2]], logits[[0, 2]], np.zeros((300, 300), np.float32), 1)
    logits[1, place] = number
    inputs = sampling_inputs.row_inputs(sequences, 1) | sampling_inputs.call_inputs(sequences)
    feeds = {name: tf.constant(value) for name, value in inputs.items()}
    tokens = loop(tf.constant(logits), tf.zeros([300, 300]), feeds)[names.TOKENS].numpy()
    assert tokens[:, 0].tolist() == [whole[0].ids[0], names.FAILED, whole[1].ids[0]]
    with pytest.raises(NoTokenError):
        sampling_inputs.parse_outputs({names.TOKENS: tokens}, sequences, range(3), (3, 1))


def test_a_row_that_allows_no_token_fails() -> None:
    params = SamplingParams(min_tokens=2, allowed_token_ids=(7, 11))
    sequences = [TokenSequence("a", (1,), 9, params, EOS, token_mask.pack((7, 11), VOCABULARY))]
    logits = np.zeros((1, VOCABULARY), np.float32)
    for sampler in (
        lambda: next_tokens(sequences, logits),
        lambda: in_graph(sequences, logits, np.zeros((300, 300), np.float32), 1),
    ):
        with pytest.raises(NoTokenError):
            sampler()
