"""What the raw step is asked, as a line of JSON. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """How long a step of `batch` rows takes."""

    batch: int
    past: int
    """Tokens that each row's state holds."""
    seconds: float
    prompt: int = 0
    """Where it is not 0: also how long the prefill of so many tokens takes, all rows in one call."""
    slots: int = 0
    """Resident state: of the pool; 0 for as many as rows."""
