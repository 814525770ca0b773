"""What every contender is asked to generate. Pure."""

import json
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """Prompt and new tokens of every request."""

    prompt: int
    new: int


WORKLOADS = {"W1": Lengths(128, 128), "W2": Lengths(512, 64)}
"""The workloads of `bench compare`."""
MOST_AT_ONCE = 64
"""Sessions, as many as any engine decodes at a time as it is configured here, or more: further ones queue."""
_SETTLING_S = 3.0
IDLE = "idle"
"""The workload of one short request at a time."""


def settling_s(seconds: float) -> float:
    """Returns the seconds between the first text of all sessions and a window of `seconds`.

    Sessions that ended while the others' prompts were computed wait in that time: a short window would
    measure little else.
    """
    return min(_SETTLING_S, seconds / 2)


@dataclass(frozen=True)
class Workload:
    """Greedy generations of one length; all prompts differ, so that no answer can come from a cache."""

    model: str
    prompt_tokens: int
    new_tokens: int
    vocabulary: int
    first_id: int = 0
    """Prompts use token ids from here on, below `vocabulary`."""
    phrase: int | None = None
    """The number of tokens after which a prompt repeats itself; None: it does not."""

    def __post_init__(self) -> None:
        if self.prompt_tokens < 1 or self.new_tokens < 1:
            raise ValueError(
                "a workload needs at least one prompt token and one new token, "
                f"not {self.prompt_tokens} and {self.new_tokens}"
            )

    @property
    def mean_past(self) -> int:
        """Tokens in a session's state half way through its answer."""
        return self.prompt_tokens + self.new_tokens // 2

    def prompt(self, number: int) -> tuple[int, ...]:
        """Returns the token ids of request `number`, the same in every run."""
        choose = random.Random(number)
        own = min(self.phrase or self.prompt_tokens, self.prompt_tokens)
        phrase = [choose.randrange(self.first_id, self.vocabulary) for _ in range(own)]
        return tuple(phrase[i % own] for i in range(self.prompt_tokens))

    def body(self, number: int, new_tokens: int) -> bytes:
        """Returns request `number` as JSON for /v1/completions."""
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
        """Returns the new tokens of a session's first request: spread, so that sessions are out of step.

        Queued sessions begin when others end, which spreads them already.
        """
        spread = self.new_tokens * (session + 1) // min(sessions, MOST_AT_ONCE)
        return min(self.new_tokens, max(1, spread))
