"""The engine for explicit state: the state is sent with every call and comes back with its outputs.

A stable batch of decoding rows runs `decode`, several steps in the graph, if the servable has it. All other
batches run `step`, and are sampled on the host. A call changes nothing in the model server, so any replica
can run any call, and a call that is lost with its replica is sent again.
"""

import time

import numpy as np

from contract import names
from contract.errors import TensorError
from contract.tensors import Array
from deployments.decoder.calls import decode_inputs, sampling_inputs
from deployments.decoder.calls.host_sampler import next_tokens
from deployments.decoder.engine import NO_TOKENS, DraftCounts, NoTokenError, SampledTokens, StepRejectedError
from deployments.decoder.explicit.state_store import StateStore
from deployments.decoder.pace import CallCost, chunk_interval_s
from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import Inputs, ModelServers, ServerLostError, Tensors
from deployments.errors import ModelServerUnavailable

MAX_ATTEMPTS = 5
"""After so many lost attempts, the call itself is assumed to kill the servers."""


class ExplicitEngine:
    """Holds the state of all sequences in this process."""

    def __init__(self, states: StateStore, servers: ModelServers, interval_s: float) -> None:
        """`interval_s`: how long a call with several steps may take."""
        self._states = states
        self._servers = servers
        self._interval_s = interval_s
        self._step_cost = CallCost(interval_s)
        self._max_steps = states.manifest.decode_steps

    @property
    def parallel_calls(self) -> int:
        """One call for each model server that is available."""
        return self._servers.available

    @property
    def held(self) -> int:
        """Sequences whose state is in the store."""
        return len(self._states)

    @property
    def draft_counts(self) -> DraftCounts:
        """Zeros: a model with explicit state has no draft model."""
        return DraftCounts()

    def prefill_tokens(self, prefilling: int, decoding: int) -> None:
        """Returns None: only the token budget of a step limits the prompts."""

    def admit(self, sequence: TokenSequence) -> int:
        """Allocates the state of `sequence` in the store; nothing of it is computed yet."""
        self._states.create(sequence.id, sequence.capacity)
        return 0

    async def run(self, batch: Batch, stable: bool) -> list[SampledTokens]:
        """Runs several steps in one call where the batch is stable and decodes, else one step."""
        try:
            if stable and batch.decoding and self._max_steps:
                return await self._decode(batch)
            return await self._step(batch)
        except TensorError as error:
            raise StepRejectedError(f"the output breaks the contract: {error}") from error

    def audit(self) -> None:
        """Asserts that no state is left."""
        assert not len(self._states), "the state of sequences that have ended is still held"

    def drop(self, sequence: TokenSequence) -> None:
        """Frees the state of `sequence`."""
        self._states.drop(sequence.id)

    async def _step(self, batch: Batch) -> list[SampledTokens]:
        inputs = {names.TOKENS: batch.tokens, names.LENGTHS: np.array(batch.counts, np.int32)}
        outputs = await self._call(names.STEP_SIGNATURE, batch, inputs)
        sampled = _sampled(batch, _logits(batch, outputs))
        self._states.update(batch.sequence_ids, batch.counts, batch.width, outputs)
        return sampled

    async def _decode(self, batch: Batch) -> list[SampledTokens]:
        """Runs as many steps in one call as the pace allows and the row with the largest budget can use."""
        sequences = batch.sequences
        limits = [sequence.token_budget for sequence in sequences]
        steps = min(self._steps(len(sequences)), max(limits))
        budgets = [min(steps, limit) for limit in limits]
        inputs = {
            names.HELD: np.array([sequence.computed for sequence in sequences], np.int32),
            **decode_inputs.row_inputs(sequences, budgets),
            **sampling_inputs.row_inputs(sequences, steps),
            **sampling_inputs.call_inputs(sequences),
        }
        start = time.perf_counter()
        outputs = await self._call(names.DECODE_SIGNATURE, batch, inputs)
        self._step_cost.record(steps, time.perf_counter() - start)
        sampled = sampling_inputs.parse_outputs(
            outputs, sequences, range(len(sequences)), (len(sequences), steps)
        )
        # A row with n new tokens has computed n: the pending one, and all new ones but the last.
        computed = [len(row.ids) for row in sampled]
        if not all(1 <= count <= budget for count, budget in zip(computed, budgets, strict=True)):
            raise TensorError(f"the rows returned {computed} tokens; they must return 1 to {budgets}")
        self._states.update(batch.sequence_ids, computed, steps, outputs)
        return sampled

    def _steps(self, rows: int) -> int:
        """How many steps of `rows` rows fill the time between two chunks of their streams."""
        steps = self._step_cost.units_within(chunk_interval_s(self._interval_s, rows))
        return max(1, min(steps, self._max_steps))

    async def _call(self, signature: str, batch: Batch, inputs: dict[str, Array]) -> Tensors:
        """Calls `signature` with `inputs` and the state of the rows, again if the model server is lost."""
        with_state: Inputs = {**inputs, **self._states.stack(batch.sequence_ids)}
        for _ in range(MAX_ATTEMPTS):
            try:
                return await self._servers.call(signature, with_state)
            except ServerLostError:
                continue
        raise ModelServerUnavailable(f"{MAX_ATTEMPTS} model servers in a row failed to answer the same step")


def _logits(batch: Batch, outputs: Tensors) -> Array:
    """The logits (batch, vocabulary) of `outputs`; raises TensorError if missing or of another shape."""
    logits = outputs.get(names.LOGITS)
    if logits is None or logits.ndim != 2 or len(logits) != len(batch.rows):
        raise TensorError(f"{names.LOGITS} must be (batch={len(batch.rows)}, vocabulary)")
    if np.isnan(logits.max(axis=1)).any():  # The maximum of a row with a NaN is NaN.
        raise NoTokenError()
    return logits


def _sampled(batch: Batch, logits: Array) -> list[SampledTokens]:
    """The new tokens of all rows: one for each row that has no pending tokens left."""
    sampled = [NO_TOKENS] * len(batch.rows)
    rows = [i for i, row in enumerate(batch.rows) if row.samples]
    if rows:
        tokens = next_tokens([batch.rows[i].sequence for i in rows], logits[rows])
        for i, row_tokens in zip(rows, tokens, strict=True):
            sampled[i] = row_tokens
    return sampled
