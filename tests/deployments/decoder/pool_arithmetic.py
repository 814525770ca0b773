"""The model of arithmetic.py with resident state: a slot holds its session's tokens.

The next token is (sum of the slot's tokens + their number) mod 16, so any wrong token in a slot changes the
answer. With a temperature, the random number times 16 is added to that greedy token, mod 16.
"""

import asyncio

import numpy as np

from contract.manifest import Manifest, Pool, SpecialTokens
from contract.names import CONTINUE, NO_TOKEN
from deployments.decoder.engine import StepRejectedError
from deployments.decoder.servers.model_servers import ServerLostError, Tensors
from tests.deployments.decoder.arithmetic import VOCABULARY

POOL = Pool(bytes_per_block=64, block_size=32, blocks=4, max_steps=8)
MANIFEST = Manifest(
    name="pool-arithmetic",
    family="fake",
    vocabulary_size=VOCABULARY,
    context_length=128,
    state=(),
    special_tokens=SpecialTokens(eos=(0,)),
    state_layout="resident",
    pool=POOL,
)
GARBAGE = 7


class PoolServer:
    """One model server with a pool of token rows; `lose` and `steal` act like a restart and another loop."""

    def __init__(self) -> None:
        self.available = 1
        self.running = 0
        """Calls that have begun and not ended."""
        self.calls: list[tuple[str, int]] = []
        """(signature, rows of the input `tokens`) of each call."""
        self.decoded: list[int] = []
        """How many rows each `prefill` decoded."""
        self.fed = 0
        """How many tokens were computed."""
        self.fail_next: list[Exception] = []
        self._refuses = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._epoch: int | None = None
        self._pool = np.zeros((0, POOL.positions), np.int64)
        self._progress: dict[int, tuple[int, int]] = {}
        """By slot: the last token of its last decode call (NO_TOKEN: it was stopped), and the tokens held."""

    def lose(self) -> None:
        """As after a restart."""
        self._epoch = None

    def refuse(self) -> None:
        """As if the next call that goes on with another's tokens had overtaken that one."""
        self._refuses = True

    def steal(self) -> None:
        """As after another loop's claim."""
        self._epoch = -1
        self._pool[:] = GARBAGE

    async def call(self, signature: str, inputs: Tensors) -> Tensors:
        self.calls.append((signature, len(inputs.get("tokens", ()))))
        if signature == "prefill":
            self.decoded.append(int(np.count_nonzero(inputs["last_tokens"] != NO_TOKEN)))
        self.running += 1
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            return self._run(signature, inputs)
        finally:
            self.running -= 1

    def _run(self, signature: str, inputs: Tensors) -> Tensors:
        if self.fail_next:
            error = self.fail_next.pop()
            if isinstance(error, ServerLostError):
                self._pool[:] = GARBAGE  # the call may have run in part
            raise error
        if signature == "claim":
            return self._claim(inputs)
        if self._epoch is None:
            raise StepRejectedError("FAILED_PRECONDITION: Could not find variable lease_epoch.")
        if inputs["epoch"] != self._epoch:
            raise StepRejectedError("INVALID_ARGUMENT: assertion failed: [stale lease]")
        return getattr(self, f"_{signature}")(inputs)

    def _claim(self, inputs: Tensors) -> Tensors:
        self._epoch = int(inputs["epoch"])
        counts = inputs["slots"]
        assert counts.shape == (POOL.blocks,)
        self._pool = np.full((counts[0], POOL.positions), GARBAGE, np.int64)
        self._progress = {}
        self._positions = (np.arange(counts[0])[:, None] < counts).sum(axis=1) * POOL.block_size
        return {"epoch": inputs["epoch"]}

    def _prefill(self, inputs: Tensors) -> Tensors:
        assert len(set(inputs["slots"].tolist())) == len(inputs["slots"])
        steps, decoded = inputs["uniforms"].shape[1], len(inputs["last_tokens"])
        answer = np.full((decoded + len(inputs["slots"]), steps), NO_TOKEN, np.int32)
        assert inputs["positions"].shape == (decoded,)
        assert inputs["uniforms"].shape == answer.shape
        for slot, token in enumerate(inputs["last_tokens"]):
            if token == NO_TOKEN:
                continue
            assert slot not in inputs["slots"], "a slot is both decoded and prefilled"
            held = int(inputs["positions"][slot])
            assert held < self._positions[slot], "the slot's blocks do not hold the row"
            self._pool[slot, held] = token
            self.fed += 1
            answer[slot, 0] = self._next(slot, held + 1, inputs, slot, 0)
        for row, slot in enumerate(inputs["slots"]):
            start, length = int(inputs["starts"][row]), int(inputs["lengths"][row])
            assert start + length <= self._positions[slot], "the slot's blocks do not hold the row"
            self._pool[slot, start : start + length] = inputs["tokens"][row, :length]
            self.fed += length
            sampled = min(steps, length)
            for step in range(sampled):
                held = start + length - sampled + step + 1
                answer[decoded + row, step] = self._next(slot, held, inputs, decoded + row, step)
        return {"tokens": answer}

    def _decode(self, inputs: Tensors) -> Tensors:
        steps = inputs["uniforms"].shape[1]
        assert steps <= POOL.max_steps
        answer = np.full((len(inputs["tokens"]), steps), -1, np.int32)
        rows = [row for row in range(len(answer)) if inputs["budget"][row]]
        continued = {row: self._continue(row, inputs) for row in rows if inputs["tokens"][row] == CONTINUE}
        for row in rows:
            token, held = continued.get(row, int(inputs["tokens"][row])), int(inputs["positions"][row])
            if token == NO_TOKEN:
                continue
            for step in range(min(steps, int(inputs["budget"][row]))):
                assert held < self._positions[row], "the slot's blocks do not hold the row"
                self._pool[row, held] = token
                held += 1
                self.fed += 1
                token = answer[row, step] = self._next(row, held, inputs, row, step)
                if token in inputs["stop_tokens"][row]:
                    token = NO_TOKEN
                    break
            self._progress[row] = (int(token), held)
        return {"tokens": answer}

    def _continue(self, row: int, inputs: Tensors) -> int:
        token, held = self._progress.get(row, (NO_TOKEN, -1))
        refused, self._refuses = self._refuses, False
        if refused or ((token != NO_TOKEN or held < 0) and held != inputs["positions"][row]):
            raise StepRejectedError("INVALID_ARGUMENT: assertion failed: [out of turn]")
        return token

    def _move(self, inputs: Tensors) -> Tensors:
        before = self._pool.copy()
        for source, target, blocks in zip(
            *(inputs[n] for n in ("sources", "targets", "blocks")), strict=True
        ):
            end = min(blocks * POOL.block_size, self._positions[source], self._positions[target])
            self._pool[target] = GARBAGE
            self._pool[target, :end] = before[source, :end]
        return {"epoch": inputs["epoch"]}

    def _next(self, slot: int, held: int, inputs: Tensors, row: int, step: int) -> int:
        greedy = int(self._pool[slot, :held].sum() + held) % VOCABULARY
        if inputs["temperature"][row] == 0:
            return greedy
        return (greedy + int(inputs["uniforms"][row, step] * VOCABULARY)) % VOCABULARY


def lost() -> ServerLostError:
    return ServerLostError("UNAVAILABLE: gone")
