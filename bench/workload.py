"""What every way of running the model is asked to do. Pure."""

import json
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """Of every request, in tokens."""

    prompt: int
    new: int


WORKLOADS = {"W1": Lengths(128, 128), "W2": Lengths(512, 64)}
"""What engines are compared with."""


@dataclass(frozen=True)
class Workload:
    """Greedy generations of one length; all prompts differ, so that none can be answered from memory."""

    model: str
    prompt_tokens: int
    new_tokens: int
    vocabulary: int
    first_id: int = 0
    """Prompts are of ids from here on, below `vocabulary`."""
    phrase: int | None = None
    """Tokens after which a prompt repeats itself."""

    def __post_init__(self) -> None:
        if self.prompt_tokens < 1 or self.new_tokens < 1:
            raise ValueError("a workload has at least one prompt token and one new token")

    @property
    def mean_past(self) -> int:
        """Tokens in a session's state half way through its answer."""
        return self.prompt_tokens + self.new_tokens // 2

    def prompt(self, number: int) -> tuple[int, ...]:
        """The ids of request `number`."""
        choose = random.Random(number)
        own = min(self.phrase or self.prompt_tokens, self.prompt_tokens)
        phrase = [choose.randrange(self.first_id, self.vocabulary) for _ in range(own)]
        return tuple(phrase[i % own] for i in range(self.prompt_tokens))

    def body(self, number: int, new_tokens: int) -> bytes:
        """Request `number` as JSON for /v1/completions."""
        request = {
            "model": self.model,
            "prompt": self.prompt(number),
            "max_tokens": new_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
        return json.dumps(request).encode()

    def first_length(self, session: int, sessions: int) -> int:
        """New tokens of a session's first request: spread out, so that sessions do not run in lockstep."""
        return max(1, self.new_tokens * (session + 1) // sessions)
