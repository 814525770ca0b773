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
"""One or several steps of sequences that have only their last token pending; optional with explicit state."""

MANIFEST = "manifest"
TOKENIZER = "tokenizer"

TOKENS = "tokens"
"""int32 (batch, steps), right-padded with any valid id."""

LENGTHS = "lengths"
"""int32 (batch,): how many of a row's tokens are valid, at least 1."""

LOGITS = "logits"
"""float32 (batch, vocabulary), at each row's last valid position."""

HELD = "held"
"""`decode`, explicit: int32 (batch,), how many entries of its growing tensors are a row's own."""

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

`prefill` samples after each of a row's last `steps` tokens, as if each led to the next.
"""

EDIT_IDS = "edit_ids"
"""int32 (rows, edits): each row's tokens whose logits are changed, all different; padded with NO_EDIT.

`edits` is 0 where no row changes any. A row with penalties may have padding left for the tokens that the call
itself gives it: one column for each step but the last.
"""

EDIT_COUNTS = "edit_counts"
"""int32 (rows, edits): how often the answer holds the token; 0: only the prompt does; UNSEEN: neither."""

EDIT_BIAS = "edit_bias"
"""float32 (rows, edits): added to the logit; -inf bans the token."""

PRESENCE = "presence"
"""float32 (rows,): taken from the logit of each token that the answer holds."""

FREQUENCY = "frequency"
"""float32 (rows,): taken from a token's logit once for each time that the answer holds it."""

REPETITION = "repetition"
"""float32 (rows,) above 0: divides the positive logits of tokens that prompt or answer hold, and multiplies
their other ones.
"""

MASK = "mask"
"""uint8 (rows, bytes): a bit for each token of the vocabulary, 1 where it is allowed, lowest bit first.

`bytes` is 0 where no row has a mask, else a row without one is all ones.
"""

LOGPROBS = "logprobs"
"""Input int32 (): how many of the likeliest tokens are told with every token; -1: no probabilities at all.

Output float32 (rows, steps), 0 steps for -1: of each token, log-softmax of the logits as the model gave them.
"""

TOP_IDS = "top_ids"
"""int32 (rows, steps, top): the likeliest tokens, likeliest first; of equals the lower id."""

TOP_LOGPROBS = "top_logprobs"
"""float32 (rows, steps, top): theirs."""

SOURCES = "sources"
"""`move`: int32 (any,), slots to copy from."""

TARGETS = "targets"
"""`move`: int32 (any,), slots to copy to; a source may be another's target."""

BLOCKS = "blocks"
"""`move`: int32 (any,), how many blocks of each source to copy."""

NO_TOKEN = -1
"""In `tokens` of an answer: the row gets none at this step."""

FAILED = -2
"""In `tokens` of an answer: the row's logits are no numbers, or none of them is allowed; it is out."""

NO_EDIT = -1
"""Fills up a row's edit_ids."""

UNSEEN = -1
"""In edit_counts: neither prompt nor answer is known to hold the token."""

NO_LOGPROBS = -1

SAMPLING = frozenset(
    {
        TEMPERATURE,
        TOP_K,
        TOP_P,
        MIN_P,
        UNIFORMS,
        EDIT_IDS,
        EDIT_COUNTS,
        EDIT_BIAS,
        PRESENCE,
        FREQUENCY,
        REPETITION,
        MASK,
        LOGPROBS,
        TOP_IDS,
        TOP_LOGPROBS,
    }
)
"""What signatures that sample take and answer."""

RESERVED = frozenset({TOKENS, LENGTHS, LOGITS, HELD, BUDGET, STOP_TOKENS}) | SAMPLING
"""Names that no state tensor may carry: `step` and `decode` have inputs or outputs of that name."""
