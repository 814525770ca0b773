"""The signatures of the resident layout, in a session as a model server has one. Greedy, one step a call."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from contract import names
from contract.manifest import Manifest

_PREFILLED_AT_ONCE = 4
"""Rows: attention over whole prompts takes memory."""


class ResidentSteps:
    """A loaded servable with resident state, and the lease on its pool."""

    def __init__(self, servable: str, intra: int, inter: int) -> None:
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=intra, inter_op_parallelism_threads=inter
        )
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        with graph.as_default():
            loaded = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], servable)
        self._signatures = dict(loaded.signature_def)
        manifest = Manifest.from_json(self._call(names.MANIFEST_SIGNATURE, {})()[names.MANIFEST])
        assert manifest.pool is not None
        self._blocks = manifest.pool.blocks
        self._epoch = 0
        self._slots = 0

    def decode(self, batch: int, past: int, slots: int) -> Callable[[], object]:
        self._claim(slots)
        for first in range(0, batch, _PREFILLED_AT_ONCE):
            self._prefill(range(first, min(batch, first + _PREFILLED_AT_ONCE)), past)()
        return self._call(
            names.DECODE_SIGNATURE,
            self._sampling(batch)
            | {
                names.TOKENS: np.ones(batch, np.int32),
                names.POSITIONS: np.full(batch, past, np.int32),
                names.BUDGET: np.ones(batch, np.int32),
                names.STOP_TOKENS: np.full((batch, 1), -1, np.int32),
            },
        )

    def prefill(self, batch: int, tokens: int, slots: int) -> Callable[[], object]:
        self._claim(slots)
        return self._prefill(range(batch), tokens)

    def _prefill(self, rows: range, tokens: int) -> Callable[[], object]:
        return self._call(
            names.PREFILL_SIGNATURE,
            self._sampling(len(rows))
            | {
                names.TOKENS: np.ones((len(rows), tokens), np.int32),
                names.LENGTHS: np.full(len(rows), tokens, np.int32),
                names.SLOTS: np.array(rows, np.int32),
                names.STARTS: np.zeros(len(rows), np.int32),
            },
        )

    def _claim(self, slots: int) -> None:
        """A pool whose every slot can hold the whole context."""
        if slots != self._slots:
            self._epoch += 1
            self._slots = slots
            feeds = {names.EPOCH: np.int64(self._epoch), names.SLOTS: np.full(self._blocks, slots, np.int32)}
            self._call(names.CLAIM_SIGNATURE, feeds)()

    def _sampling(self, rows: int) -> dict[str, Any]:
        """The likeliest token, and nothing else that sampling could do."""
        return {
            names.EPOCH: np.int64(self._epoch),
            names.TEMPERATURE: np.zeros(rows, np.float32),
            names.TOP_K: np.zeros(rows, np.int32),
            names.TOP_P: np.ones(rows, np.float32),
            names.MIN_P: np.zeros(rows, np.float32),
            names.UNIFORMS: np.zeros((rows, 1), np.float64),
            names.EDIT_IDS: np.zeros((rows, 0), np.int32),
            names.EDIT_COUNTS: np.zeros((rows, 0), np.int32),
            names.EDIT_BIAS: np.zeros((rows, 0), np.float32),
            names.PRESENCE: np.zeros(rows, np.float32),
            names.FREQUENCY: np.zeros(rows, np.float32),
            names.REPETITION: np.ones(rows, np.float32),
            names.MASK: np.zeros((rows, 0), np.uint8),
            names.LOGPROBS: np.int32(names.NO_LOGPROBS),
        }

    def _call(self, signature: str, feeds: dict[str, Any]) -> Callable[[], Any]:
        """The signature with these inputs, to be run any number of times."""
        tensors = self._signatures[signature]
        fetches = {name: info.name for name, info in tensors.outputs.items()}
        run = self._session.make_callable(fetches, [tensors.inputs[name].name for name in feeds])
        return lambda: run(*feeds.values())
