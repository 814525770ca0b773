"""What a `prefill` call computes, run operation by operation: real tokens alone."""

import numpy as np
import pytest
import tensorflow as tf

from contract import names
from export.signatures.pool import KINDS, PoolVariables
from export.signatures.resident import ResidentSignatures
from export.signatures.servable import ResidentModel
from export.verification.pool_stepper import GREEDY
from tests.export import residents

LENGTHS, SAMPLED = (1, 40, 7), 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ResidentModel:
    exported = residents.golden(tmp_path_factory.mktemp("golden") / "small", "small")
    assert isinstance(exported.step, ResidentModel)
    return exported.step


def prefill(model: ResidentModel) -> np.ndarray:
    """Runs a call of LENGTHS that samples after each row's last SAMPLED tokens; returns the sampled ids."""
    signatures, epoch = ResidentSignatures(model), tf.constant(1, tf.int64)
    rows = len(LENGTHS)
    signatures.claim(epoch, tf.fill([model.layout.blocks], rows))
    per_row = {names.LENGTHS: LENGTHS, names.SLOTS: range(rows), names.STARTS: [0] * rows}
    feeds = {name: tf.constant(list(value), tf.int32) for name, value in per_row.items()}
    feeds |= {name: tf.constant(value) for name, value in GREEDY.feeds(np.zeros((rows, SAMPLED))).items()}
    feeds |= {name: tf.zeros([0], tf.int32) for name in (names.LAST_TOKENS, names.POSITIONS)}
    feeds[names.TOKENS] = tf.constant([residents.ids(i, max(LENGTHS)) for i in range(rows)])
    sampled: np.ndarray = signatures.prefill(epoch, **feeds)[names.TOKENS].numpy()
    return sampled


def test_every_layer_writes_the_real_tokens_alone(
    model: ResidentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding once went through every product: short rows cost as much as the longest."""
    written: list[int] = []
    write = PoolVariables.write

    def recording(self: PoolVariables, layer: int, rows: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        written.append(len(entries))
        return write(self, layer, rows, entries)

    monkeypatch.setattr(PoolVariables, "write", recording)
    prefill(model)
    layout = model.layout
    assert written == [sum(LENGTHS) * KINDS * layout.kv_heads] * layout.layers
