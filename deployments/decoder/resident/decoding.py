"""The `decode` calls of a pool. The next call is sent before the last one has ended, wherever that is safe.

So the model server goes from one call to the next without waiting for the loop. The call that was sent ahead
does not know its rows' last tokens: it says CONTINUE, and the graph takes them from the pool. What it returns
is used only for rows that stand where the call assumed; all other rows are computed again by a call with
their tokens, which overwrites what the first one wrote. So the loop's own record decides, as always.
"""

import asyncio
import time
from dataclasses import dataclass

from contract import names
from deployments.decoder.calls import sampling_inputs
from deployments.decoder.engine import SampledTokens, StepRejectedError
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.placement import Placement
from deployments.decoder.resident.pool_calls import DecodeCall, DecodeRow
from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import SequenceState
from deployments.decoder.servers.model_servers import Tensors


@dataclass(frozen=True)
class _Sent:
    """A call on its way."""

    call: DecodeCall
    outputs: asyncio.Task[tuple[Tensors, float]]
    """Also when it ended."""
    sent_s: float


class Decoding:
    """Runs decode calls, at most two at a time, of which the second continues the first."""

    def __init__(self, placement: Placement, lease: Lease) -> None:
        self._placement = placement
        self._lease = lease
        self._ahead: _Sent | None = None
        """A call whose results nobody has asked for yet."""
        self._ended_s = 0.0
        """When the last call ended."""
        self.last_call_s = 0.0
        """How long the last call ran."""

    @property
    def ahead(self) -> bool:
        """Whether a call was sent ahead, so that the last tokens of its rows are not known."""
        return self._ahead is not None

    async def run(self, batch: Batch, steps: int, follow: bool) -> dict[str, SampledTokens]:
        """Runs up to `steps` steps; returns the new tokens by sequence id. If `follow`, sends the next call.

        A row that joined after the call was sent has no result. Raises as `Engine.run`.
        """
        sent = await self._take_ahead(batch) or await self._send_first(batch, steps)
        if sent is None:
            return {}
        if follow and sent.call.covers(batch):
            self._ahead = self._send_following(sent.call, steps)
        try:
            outputs, ended_s = await sent.outputs
        except StepRejectedError:
            await self.discard()
            if not sent.call.continues:
                raise
            # It was refused, and nothing has changed.
            return await self.run(batch, steps, follow)
        except Exception:
            await self.discard()
            raise
        # A call that was sent ahead began when the one before it ended.
        self.last_call_s = ended_s - max(sent.sent_s, self._ended_s)
        self._ended_s = ended_s
        return self._results(sent.call, outputs)

    async def wait(self) -> None:
        """Waits until no call is on its way. The results of one that was sent ahead are kept."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead.outputs])

    async def discard(self) -> None:
        """Waits until no call is on its way, and forgets the results of one that was sent ahead."""
        await self.wait()
        self._ahead = None

    async def _take_ahead(self, batch: Batch) -> _Sent | None:
        """Returns the call that was sent ahead, if it is of use for any row of `batch`."""
        ids = set(batch.sequence_ids)
        if self._ahead is None:
            return None
        if not any(row.sequence.id in ids and _as_assumed(row) for row in self._ahead.call.rows):
            await self.discard()
            return None
        sent, self._ahead = self._ahead, None
        return sent

    async def _send_first(self, batch: Batch, steps: int) -> _Sent | None:
        """Sends a call that knows its rows' last tokens; None if all were cancelled meanwhile."""
        # Sequences may have been dropped while a call that was sent ahead was waited for.
        if not (batch := batch.running).rows:
            return None
        while steps > 1 and not self._placement.blocks_suffice(batch, steps):
            steps //= 2
        batch = await self._placement.reserve_blocks(batch, steps)
        if not batch.rows:
            return None
        sequences = batch.sequences
        slots = self._placement.slots_of(sequences)
        rows = [
            DecodeRow(sequence, slot, sequence.computed, min(steps, sequence.token_budget))
            for sequence, slot in zip(sequences, slots, strict=True)
        ]
        return self._send(DecodeCall(tuple(rows), steps))

    def _send_following(self, call: DecodeCall, steps: int) -> _Sent | None:
        """Sends the call after `call`; None if no row goes on, or slots should be moved first."""
        following = call.following([row for row in call.rows if _as_assumed(row)], steps)
        if following is None or following.count > len(following.rows) or not self._lease.held:
            return None
        for row in following.rows:
            if not self._placement.reserve_in_place(row.sequence, row.computed + row.budget):
                return None
        return self._send(following)

    def _send(self, call: DecodeCall) -> _Sent:
        outputs = asyncio.create_task(self._timed(call.inputs()))
        # Also if nobody asks for its results: an error is handled with the next call.
        outputs.add_done_callback(lambda task: task.cancelled() or task.exception())
        return _Sent(call, outputs, time.perf_counter())

    async def _timed(self, inputs: Tensors) -> tuple[Tensors, float]:
        outputs = await self._lease.call(names.DECODE_SIGNATURE, inputs)
        return outputs, time.perf_counter()

    def _results(self, call: DecodeCall, outputs: Tensors) -> dict[str, SampledTokens]:
        rows = [row for row in call.rows if _as_assumed(row)]
        if not rows:
            return {}
        sequences, slots = [row.sequence for row in rows], [row.slot for row in rows]
        sampled = sampling_inputs.parse_outputs(outputs, sequences, slots, (call.count, call.steps))
        # Without a token the row was left out: it will be computed by a call that knows its last one.
        return {
            sequence.id: tokens
            for sequence, tokens in zip(sequences, sampled, strict=True)
            if tokens.ids or not call.continues
        }


def _as_assumed(row: DecodeRow) -> bool:
    """Whether the sequence stands where the call assumes it to be."""
    sequence = row.sequence
    return sequence.state is SequenceState.DECODING and sequence.computed == row.computed
