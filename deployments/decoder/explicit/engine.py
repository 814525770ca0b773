"""The explicit layout: state travels with every call; tokens are sampled here, or several in one call there.

A call changes nothing at the model server, so that any replica can run any step, and a replica that dies
costs a resend.
"""

import numpy as np

from contract import names
from contract.errors import TensorError
from contract.tensors import Array
from deployments.decoder.calls import decode_inputs, sampling_inputs
from deployments.decoder.calls.host_sampler import next_tokens
from deployments.decoder.engine import NOTHING, NoTokenError, Sampled, StepRejectedError
from deployments.decoder.explicit.state_store import StateStore
from deployments.decoder.pace import Pace
from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import Inputs, ModelServers, ServerLostError, Tensors
from deployments.errors import ModelServerUnavailable

ATTEMPTS = 5
"""After so many failures of one call it is taken to be what kills the servers."""


class ExplicitEngine:
    """Holds every sequence's state in this process."""

    def __init__(self, states: StateStore, servers: ModelServers, pace: Pace) -> None:
        self._states = states
        self._servers = servers
        self._pace = pace
        self._most_steps = states.manifest.decode_steps

    @property
    def parallel(self) -> int:
        return self._servers.available

    @property
    def held(self) -> int:
        return len(self._states)

    @property
    def prefill_tokens(self) -> None:
        return None

    def admit(self, sequence: TokenSequence) -> int:
        self._states.create(sequence.id, sequence.capacity)
        return 0

    async def run(self, batch: Batch, stable: bool) -> list[Sampled]:
        try:
            if stable and batch.decoding and self._most_steps:
                return await self._decode(batch)
            return await self._step(batch)
        except TensorError as error:
            raise StepRejectedError(f"its answer breaks the contract: {error}") from error

    def audit(self) -> None:
        assert not len(self._states), "state is left of sequences that have ended"

    def drop(self, sequence: TokenSequence) -> None:
        self._states.drop(sequence.id)

    async def _step(self, batch: Batch) -> list[Sampled]:
        inputs = {names.TOKENS: batch.tokens, names.LENGTHS: np.array(batch.counts, np.int32)}
        outputs = await self._call(names.STEP_SIGNATURE, batch, inputs)
        sampled = _sampled(batch, _logits(batch, outputs))
        self._states.update(batch.owners, batch.counts, batch.width, outputs)
        return sampled

    async def _decode(self, batch: Batch) -> list[Sampled]:
        """Several steps, as many as the pace allows and some row can use."""
        sequences = [row.sequence for row in batch.rows]
        ahead = [sequence.ahead for sequence in sequences]
        steps = min(self._pace.units(self._most_steps), max(ahead))
        budgets = [min(steps, most) for most in ahead]
        inputs = {
            names.HELD: np.array([sequence.computed for sequence in sequences], np.int32),
            **decode_inputs.of_rows(sequences, budgets),
            **sampling_inputs.of_rows(sequences, steps),
            **sampling_inputs.of_call(sequences),
        }
        with self._pace.timed(steps):
            outputs = await self._call(names.DECODE_SIGNATURE, batch, inputs)
        sampled = sampling_inputs.read(outputs, sequences, range(len(sequences)), (len(sequences), steps))
        # A row that gave n tokens was fed n: the one that was pending, and all but the last of its new ones.
        fed = [len(given.ids) for given in sampled]
        if not all(1 <= count <= budget for count, budget in zip(fed, budgets, strict=True)):
            raise TensorError(f"rows gave {fed} tokens, of {budgets} that they may")
        self._states.update(batch.owners, fed, steps, outputs)
        return sampled

    async def _call(self, signature: str, batch: Batch, inputs: dict[str, Array]) -> Tensors:
        """A signature with `inputs` and the rows' state; sent again where a model server is lost."""
        whole: Inputs = {**inputs, **self._states.stack(batch.owners)}
        for _ in range(ATTEMPTS):
            try:
                return await self._servers.call(signature, whole)
            except ServerLostError:
                continue
        raise ModelServerUnavailable(f"{ATTEMPTS} model servers in a row failed to answer the same step")


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
