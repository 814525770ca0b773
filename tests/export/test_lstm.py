"""The LSTM export gives the logits of plain numpy, and padding never changes a row's state."""

from pathlib import Path

import numpy as np
import pytest

from export import lstm
from export.checkpoints.checkpoint import Checkpoint
from export.reference import lstm as plain
from export.reference.lstm import LstmConfig
from export.verification.stepper import Stepper
from tests.export import samples


def _ids(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 260, length).astype(np.int32)


def test_logits_are_those_of_plain_numpy(lstm_stepper: Stepper, lstm_checkpoint: Path) -> None:
    checkpoint = Checkpoint(lstm_checkpoint)
    weights = lstm.read_weights(checkpoint, samples.LSTM_CONFIG)
    ids = _ids(40)
    expected = plain.logits(samples.LSTM_CONFIG, weights, ids)
    for length in (1, 7, 40):
        result = lstm_stepper.run([ids[:length]])[0]
        assert np.abs(result.logits - expected[length - 1]).max() <= 1e-4


def test_each_row_of_a_padded_batch_ends_in_the_state_of_its_own_length(lstm_stepper: Stepper) -> None:
    rows = [_ids(length, seed=length) for length in (5, 1, 17, 8)]
    for row, together in zip(rows, lstm_stepper.run(rows), strict=True):
        alone = lstm_stepper.run([row])[0]
        for name in alone.state:
            assert np.allclose(together.state[name], alone.state[name], rtol=0, atol=1e-6), name
        assert np.allclose(together.logits, alone.logits, rtol=0, atol=1e-5)


def test_what_lies_in_the_padding_changes_nothing(lstm_stepper: Stepper) -> None:
    tokens = np.stack([_ids(6), np.concatenate([_ids(2), _ids(4, seed=9)])])
    other = tokens.copy()
    other[1, 2:] = 0
    first, second = (_step(lstm_stepper, padded, [6, 2]) for padded in (tokens, other))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_decoding_token_by_token_is_one_forward(lstm_stepper: Stepper) -> None:
    ids, state = _ids(12), lstm_stepper.fresh()
    for token in ids:
        result = lstm_stepper.run([np.array([token], np.int32)], [state])[0]
        state = result.state
    assert np.allclose(result.logits, lstm_stepper.run([ids])[0].logits, rtol=0, atol=1e-5)


def test_the_state_is_h_and_c_of_each_layer(lstm_stepper: Stepper) -> None:
    assert [tensor.name for tensor in lstm_stepper.manifest.state] == ["h_0", "c_0", "h_1", "c_1"]
    assert not lstm_stepper.manifest.growing


@pytest.mark.parametrize("layers", [1, 3])
def test_any_number_of_layers_is_exported(layers: int, tmp_path: Path, publish) -> None:  # type: ignore[no-untyped-def]
    config = LstmConfig(vocab_size=257, embedding_size=8, hidden_size=9, n_layer=layers, context_length=32)
    raw = {**samples.LSTM, **config.__dict__}
    directory = samples.write(tmp_path / "source", raw, lstm.shapes(config))
    stepper = Stepper(publish(lstm.load(directory, "lstm")))
    assert len(stepper.manifest.state) == 2 * layers


def _step(stepper: Stepper, tokens: np.ndarray, lengths: list[int]) -> dict[str, np.ndarray]:
    states = {name: np.stack([value] * len(lengths)) for name, value in stepper.fresh().items()}
    return stepper.call("step", {"tokens": tokens, "lengths": np.array(lengths, np.int32), **states})
