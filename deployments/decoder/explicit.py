"""The explicit layout: state travels with every call, and tokens are sampled here.

A call changes nothing at the model server, so that any replica can run any step, and a replica that dies
costs a resend.
"""

import numpy as np

from contract import names
from contract.errors import TensorError
from contract.tensors import Array
from deployments.decoder.engine import NOTHING, NoTokenError, Sampled, StepRejectedError
from deployments.decoder.model_servers import Inputs, ModelServers, ServerLostError, Tensors
from deployments.decoder.sampler import next_tokens
from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import Sequence
from deployments.decoder.state_store import StateStore
from deployments.errors import ModelServerUnavailable

ATTEMPTS = 5
"""After so many failures of one call it is taken to be what kills the servers."""


class ExplicitEngine:
    """Holds every sequence's state in this process."""

    def __init__(self, states: StateStore, servers: ModelServers) -> None:
        self._states = states
        self._servers = servers

    @property
    def parallel(self) -> int:
        return self._servers.available

    @property
    def held(self) -> int:
        return len(self._states)

    @property
    def prefill_tokens(self) -> None:
        return None

    def admit(self, sequence: Sequence) -> int:
        self._states.create(sequence.id, sequence.capacity)
        return 0

    async def run(self, batch: Batch, stable: bool) -> list[Sampled]:  # noqa: ARG002  # one step a call
        outputs = await self._call(self._inputs(batch))
        try:
            sampled = _sampled(batch, _logits(batch, outputs))
            self._states.update(batch.owners, batch.counts, batch.width, outputs)
        except TensorError as error:
            raise StepRejectedError(f"its answer breaks the contract: {error}") from error
        return sampled

    def audit(self) -> None:
        assert not len(self._states), "state is left of sequences that have ended"

    def drop(self, sequence: Sequence) -> None:
        self._states.drop(sequence.id)

    async def _call(self, inputs: Inputs) -> Tensors:
        for _ in range(ATTEMPTS):
            try:
                return await self._servers.call(names.STEP_SIGNATURE, inputs)
            except ServerLostError:
                continue
        raise ModelServerUnavailable(f"{ATTEMPTS} model servers in a row failed to answer the same step")

    def _inputs(self, batch: Batch) -> Inputs:
        lengths = np.array(batch.counts, np.int32)
        return {names.TOKENS: batch.tokens, names.LENGTHS: lengths, **self._states.stack(batch.owners)}


def _logits(batch: Batch, outputs: Tensors) -> Array:
    """Logits (batch, vocabulary); TensorError where they are missing or misshapen."""
    logits = outputs.get(names.LOGITS)
    if logits is None or logits.ndim != 2 or len(logits) != len(batch.rows):
        raise TensorError(f"{names.LOGITS} must be (batch={len(batch.rows)}, vocabulary)")
    if np.isnan(logits.max(axis=1)).any():  # max hands a NaN on
        raise NoTokenError()
    return logits


def _sampled(batch: Batch, logits: Array) -> list[Sampled]:
    sampled = [NOTHING] * len(batch.rows)
    due = [i for i, row in enumerate(batch.rows) if row.due]
    if due:
        given = next_tokens([batch.rows[i].sequence for i in due], logits[due])
        for i, row in zip(due, given, strict=True):
            sampled[i] = row
    return sampled
