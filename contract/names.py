"""Names of signatures and tensors in a servable.

A state tensor's input and output carry the same name, which the manifest gives.
"""

MANIFEST_SIGNATURE = "manifest"
"""No inputs; outputs `manifest` and `tokenizer`, both scalar strings."""

STEP_SIGNATURE = "step"
"""Explicit state: tokens and state in, logits and state out."""

MANIFEST = "manifest"
TOKENIZER = "tokenizer"

TOKENS = "tokens"
"""int32 (batch, steps), right-padded with any valid id."""

LENGTHS = "lengths"
"""int32 (batch,): how many of a row's tokens are valid, at least 1."""

LOGITS = "logits"
"""float32 (batch, vocabulary), at each row's last valid position."""

RESERVED = frozenset({TOKENS, LENGTHS, LOGITS})
"""Names that no state tensor may carry."""
