"""A fake model whose answers can be computed by hand, behind the `ModelServers` interface.

Vocabulary 16. State: `total`, the sum of all tokens fed so far; `count`, their number; and `history`, the
tokens themselves, a growing tensor. The likeliest next token is (total + count) mod 16, with logit 4; all
others have 0.

    prompt [1, 2]: total 3, 2 tokens -> 5
    then [5]:      total 8, 3 tokens -> 11
    then [11]:     total 19, 4 tokens -> 23 mod 16 = 7
    then [7]:      total 26, 5 tokens -> 31 mod 16 = 15
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contract.manifest import Manifest, SpecialTokens, StateTensor
from contract.tensors import Array
from deployments.decoder.engine import StepRejectedError
from deployments.decoder.servers.model_servers import Inputs, Tensors

VOCABULARY = 16
MANIFEST = Manifest(
    name="arithmetic",
    family="fake",
    vocabulary_size=VOCABULARY,
    context_length=512,
    state=(
        StateTensor("total", "int32", ()),
        StateTensor("count", "int32", ()),
        StateTensor("history", "int32", (0,), growth_axis=0),
    ),
    special_tokens=SpecialTokens(eos=(0,)),
    decode_steps=8,
)
STEP_BY_STEP = replace(MANIFEST, decode_steps=0)
"""Without the `decode` signature."""


def continuation(prompt: Sequence[int], count: int) -> list[int]:
    """Returns the `count` greedy tokens after `prompt`, computed without batching."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append((sum(tokens) + len(tokens)) % VOCABULARY)
    return tokens[len(prompt) :]


class ArithmeticServers:
    """Runs calls; rejects a call with the token `poison`, and holds calls back while `gate` is cleared."""

    def __init__(self, available: int = 1, poison: int | None = None) -> None:
        self.available = available
        self.poison = poison
        self.calls: list[tuple[int, int]] = []
        """(batch, width) of each call; the width of a `decode` call is its number of steps."""
        self.signatures: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def call(self, signature: str, inputs: Inputs) -> Tensors:
        batch = len(inputs["tokens"])
        width = inputs["tokens"].shape[1] if signature == "step" else inputs["uniforms"].shape[1]
        self.calls.append((batch, width))
        self.signatures.append(signature)
        await asyncio.sleep(0)
        await self.gate.wait()
        if self.poison is not None and (inputs["tokens"] == self.poison).any():
            raise StepRejectedError(f"token {self.poison} is poison")
        return {"step": step, "decode": decode}[signature](inputs)


def step(inputs: Inputs) -> dict[str, Array]:
    tokens, lengths, history = inputs["tokens"], inputs["lengths"], np.asarray(inputs["history"])
    valid = np.arange(tokens.shape[1]) < lengths[:, None]
    # The two states agree unless a row is wrong, a slice is stale, or padding has leaked.
    assert (history.sum(axis=1) == inputs["total"]).all()
    total = inputs["total"] + (tokens * valid).sum(axis=1, dtype=np.int32)
    count = inputs["count"] + lengths
    logits = np.zeros((len(tokens), VOCABULARY), np.float32)
    logits[np.arange(len(tokens)), (total + count) % VOCABULARY] = 4.0
    garbage = np.where(valid, tokens, 99).astype(np.int32)
    return {"logits": logits, "total": total, "count": count, "history": garbage}


def decode(inputs: Inputs) -> dict[str, Array]:
    """Runs the rows one by one, each step by step."""
    rows, steps = inputs["uniforms"].shape
    answer = {
        "tokens": np.full((rows, steps), -1, np.int32),
        "total": inputs["total"].copy(),
        "count": inputs["count"].copy(),
        "history": np.full((rows, steps), 99, np.int32),
    }
    for row in range(rows):
        token, held = int(inputs["tokens"][row]), int(inputs["held"][row])
        history = np.asarray(inputs["history"])[row, :held].tolist()
        for i in range(min(steps, int(inputs["budget"][row]))):
            after = step(
                {
                    "tokens": np.array([[token]], np.int32),
                    "lengths": np.array([1], np.int32),
                    "total": answer["total"][row : row + 1],
                    "count": answer["count"][row : row + 1],
                    "history": np.array([history], np.int32),
                }
            )
            history.append(token)
            answer["history"][row, i] = token
            answer["total"][row], answer["count"][row] = after["total"][0], after["count"][0]
            token = _next(after["logits"][0], inputs["temperature"][row], inputs["uniforms"][row, i])
            answer["tokens"][row, i] = token
            if token in inputs["stop_tokens"][row]:
                break
    return answer


def _next(logits: Array, temperature: float, uniform: float) -> int:
    """Samples without filters."""
    if temperature == 0:
        return int(logits.argmax())
    cumulative = np.exp((logits - logits.max()) / temperature).cumsum(dtype=np.float64)
    return int(np.argmax(cumulative > uniform * cumulative[-1]))
