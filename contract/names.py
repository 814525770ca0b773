"""Names of signatures and tensors in a servable.

A state tensor's input and output carry the same name, which the manifest gives.
"""

MANIFEST_SIGNATURE = "manifest"
"""No inputs; outputs `manifest` and `tokenizer`, both scalar strings."""

STEP_SIGNATURE = "step"
"""Explicit state: tokens and state in, logits and state out."""

CLAIM_SIGNATURE = "claim"
"""Resident state: makes the pool, for one owner."""

MOVE_SIGNATURE = "move"
"""Resident state: copies slots to other slots."""

PREFILL_SIGNATURE = "prefill"
"""Resident state: tokens into slots, and what follows the last of them."""

DECODE_SIGNATURE = "decode"
"""One or several steps of sequences that have only their last token pending."""

MANIFEST = "manifest"
TOKENIZER = "tokenizer"

TOKENS = "tokens"
"""int32 (batch, steps), right-padded with any valid id."""

LENGTHS = "lengths"
"""int32 (batch,): how many of a row's tokens are valid, at least 1."""

LOGITS = "logits"
"""float32 (batch, vocabulary), at each row's last valid position."""

EPOCH = "epoch"
"""int64 (): the lease that a call works under; chosen at `claim`, checked by every other call."""

SLOTS = "slots"
"""`claim`: int32 (blocks,), how many slots have each block. `prefill`: int32 (batch,), each row's own."""

STARTS = "starts"
"""`prefill`: int32 (batch,), tokens that a row's slot holds already."""

POSITIONS = "positions"
"""`decode`: int32 (rows,), tokens that slots 0, 1, ... hold already."""

BUDGET = "budget"
"""`decode`: int32 (rows,), how many tokens a row may get in this call; 0 leaves it out."""

STOP_TOKENS = "stop_tokens"
"""`decode`: int32 (rows, any), the ids that end a row, padded with -1."""

TEMPERATURE = "temperature"
"""float32 (rows,); 0 is greedy."""

TOP_K = "top_k"
"""int32 (rows,); 0 is no limit."""

TOP_P = "top_p"
"""float32 (rows,)."""

MIN_P = "min_p"
"""float32 (rows,)."""

UNIFORMS = "uniforms"
"""float64 (rows, steps) in [0, 1): one random number for each token to be sampled.

`prefill` samples after each of a row's last `steps` tokens; where it has fewer, the first answers mean
nothing.
"""

SOURCES = "sources"
"""`move`: int32 (any,), slots to copy from."""

TARGETS = "targets"
"""`move`: int32 (any,), slots to copy to; a source may be another's target."""

BLOCKS = "blocks"
"""`move`: int32 (any,), how many blocks of each source to copy."""

RESERVED = frozenset({TOKENS, LENGTHS, LOGITS})
"""Names that no state tensor may carry."""
