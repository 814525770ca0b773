"""Names of the signatures of a servable, and of their inputs and outputs.

Each tensor is given as dtype (shape): meaning. The sizes in a shape:

rows        sequences in the call; of `step`, `prefill` and the explicit `decode` also called the batch
length      of `step` and `prefill`: the most new tokens of any row
decoded     slots, from the first on, for which `prefill` also does a decode step; it may be 0
steps       tokens to sample for each row in the call: the second axis of `uniforms`
edits, top, bytes, any   sizes that the caller chooses
vocabulary  the manifest's `vocabulary_size`
blocks      the manifest's `pool.blocks`
()          a scalar

A state tensor's input and output have the name that the manifest gives it.
"""

MANIFEST_SIGNATURE = "manifest"
"""No inputs. Outputs: `manifest` and `tokenizer`."""

STEP_SIGNATURE = "step"
"""Explicit layout. Processes new tokens of each row.

Inputs: `tokens`, `lengths`, state tensors. Outputs: `logits`, state tensors.
"""

CLAIM_SIGNATURE = "claim"
"""Resident layout. Creates the pool, filled with zeros, and gives the lease to an epoch.

Inputs: `epoch`, `slots`. Output: `epoch`.
"""

MOVE_SIGNATURE = "move"
"""Resident layout. Copies blocks of slots to other slots, all at once.

Inputs: `epoch`, `sources`, `targets`, `blocks`. Output: `epoch`.
"""

PREFILL_SIGNATURE = "prefill"
"""Resident layout. Writes new tokens into slots and samples after the last ones.

The same call can do a decode step of slots 0, 1, ...: its rows come first, in the sampling inputs and in the
outputs, and then those of `tokens`. Without it `last_tokens` and `positions` are empty.
Inputs: `epoch`, `last_tokens`, `positions`, `tokens`, `lengths`, `slots`, `starts`, the sampling inputs.
Outputs: `tokens`, `logprobs`, `top_ids`, `top_logprobs`.
"""

DECODE_SIGNATURE = "decode"
"""One or several decode steps in one call; optional in the explicit layout.

Explicit layout: inputs `tokens`, `held`, `budget`, `stop_tokens`, the sampling inputs, state tensors.
Resident layout: inputs `epoch`, `tokens`, `positions`, `budget`, `stop_tokens`, the sampling inputs; row i is
slot i. Outputs: `tokens`, `logprobs`, `top_ids`, `top_logprobs`, and in the explicit layout state tensors.
"""

MANIFEST = "manifest"
"""Output, string (): the manifest as JSON (`contract.manifest.Manifest`)."""

TOKENIZER = "tokenizer"
"""Output, string (): the bytes of a `tokenizer.json` of the tokenizers library."""

TOKENS = "tokens"
"""Token ids, int32.

Input of `step` and `prefill`, (rows, length): each row's new tokens, padded on the right with any valid id.
Input of `decode`, (rows,): each row's last token, which is not in the state yet; in the resident layout also
CONTINUE.
Output of `prefill`, (rows, steps): the token sampled after each of the row's last `steps` tokens; if the row
has fewer new tokens, its remaining columns hold NO_TOKEN. The rows of `last_tokens` come first.
Output of `decode`, (rows, steps): the sampled tokens, NO_TOKEN once the row has stopped.
An output is FAILED where no token can be sampled.
"""

LENGTHS = "lengths"
"""`step`, `prefill`: int32 (rows,): the number of a row's tokens without padding, at least 1."""

LOGITS = "logits"
"""`step`: float32 (rows, vocabulary): the logits after each row's last token."""

LAST_TOKENS = "last_tokens"
"""`prefill`: int32 (decoded,): the token after those in slot 0, 1, ...; NO_TOKEN leaves a slot out."""

HELD = "held"
"""`decode`, explicit layout: int32 (rows,): the length of a row's growing state, without padding."""

EPOCH = "epoch"
"""int64 (): the number of a lease. `claim` sets it; a later call with another one fails: `stale lease`."""

SLOTS = "slots"
"""`claim`: int32 (blocks,): the number of slots that have block 0, 1, ...; it never rises.

`prefill`: int32 (rows,): the index of each row's slot.
"""

STARTS = "starts"
"""`prefill`: int32 (rows,): the number of tokens in a row's slot before the call."""

POSITIONS = "positions"
"""Resident layout: the number of tokens in slot 0, 1, ... before the call.

`decode`: int32 (rows,). `prefill`: int32 (decoded,), like `last_tokens`.
"""

BUDGET = "budget"
"""`decode`: int32 (rows,): the most tokens to sample for a row in this call; 0 leaves the row out."""

STOP_TOKENS = "stop_tokens"
"""`decode`: int32 (rows, any): ids that stop a row once sampled, which are output too; padded with -1."""

TEMPERATURE = "temperature"
"""Sampling input, float32 (rows,), at least 0: divides the logits; 0 is greedy."""

TOP_K = "top_k"
"""Sampling input, int32 (rows,): keeps the `top_k` likeliest tokens; 0: no limit."""

TOP_P = "top_p"
"""Sampling input, float32 (rows,), in (0, 1]: keeps the likeliest tokens up to this total probability."""

MIN_P = "min_p"
"""Sampling input, float32 (rows,), in [0, 1]: drops tokens below `min_p` times the highest probability."""

UNIFORMS = "uniforms"
"""Sampling input, float64 (rows, steps), in [0, 1): the random number for each token to sample."""

EDIT_IDS = "edit_ids"
"""Sampling input, int32 (rows, edits): ids of tokens whose logits are changed, each at most once in a row.

Padded on the right with NO_EDIT; `edits` is 0 if no row changes any. The graph counts the tokens that it
samples: one that is not listed takes the first padded column, and is not counted if there is none. So a row
with penalties needs steps - 1 padded columns. `prefill` counts as if each sampled token were followed by the
next, which is so as long as the row's tokens are a draft that is accepted.
"""

EDIT_COUNTS = "edit_counts"
"""Sampling input, int32 (rows, edits): how often the token occurs among the generated tokens.

0: only the prompt has it; UNSEEN: neither has it.
"""

EDIT_BIAS = "edit_bias"
"""Sampling input, float32 (rows, edits): added to the token's logit; -inf bans the token."""

PRESENCE = "presence"
"""Sampling input, float32 (rows,): subtracted from the logit of an edited token with a count above 0."""

FREQUENCY = "frequency"
"""Sampling input, float32 (rows,): times its count, subtracted from the logit of an edited token."""

REPETITION = "repetition"
"""Sampling input, float32 (rows,), above 0: divides a positive logit and multiplies another.

It changes edited tokens with a count of at least 0; 1 changes none.
"""

MASK = "mask"
"""Sampling input, uint8 (rows, bytes): one bit per token id, lowest bit first; 1: allowed.

`bytes` is 0 if no row has a mask, else at least vocabulary / 8, and a row without a mask has all bits set.
"""

LOGPROBS = "logprobs"
"""Log-probabilities: the log-softmax of the model's logits, before any change of them.

Sampling input, int32 (): `top`, the number of likeliest tokens to return with each sampled token; 0: only the
sampled token's own log-probability; NO_LOGPROBS: none.
Output, float32 (rows, steps): of the sampled token; (rows, 0) for NO_LOGPROBS.
"""

TOP_IDS = "top_ids"
"""Output, int32 (rows, steps, top): the likeliest tokens, likeliest first; of equals the lower id first."""

TOP_LOGPROBS = "top_logprobs"
"""Output, float32 (rows, steps, top): the log-probabilities of `top_ids`."""

SOURCES = "sources"
"""`move`: int32 (any,): the slots to copy from."""

TARGETS = "targets"
"""`move`: int32 (any,): the slots to copy to. A slot may be both source and target."""

BLOCKS = "blocks"
"""`move`: int32 (any,): the number of blocks to copy, from block 0 on."""

NO_TOKEN = -1
"""In the output `tokens`: no token was sampled for the row at this step. In `last_tokens`: no row."""

FAILED = -2
"""In the output `tokens`: logits are NaN or +inf, or every token is masked; the row stops."""

CONTINUE = -1
"""In the input `tokens` of `decode`, resident layout: the token that the slot's last `decode` sampled last.

So a call can be sent before the one before it has ended. Calls of `decode` run one after the other. If that
call stopped the row before its budget was used up, this one leaves the row out. If the slot does not hold
`positions` tokens after it, this call fails: `out of turn`, and nothing has changed.
"""

NO_EDIT = -1
"""In `edit_ids`: padding."""

UNSEEN = -1
"""In `edit_counts`: the token occurs neither in the prompt nor among the generated tokens."""

NO_LOGPROBS = -1
"""In the input `logprobs`: no log-probabilities are computed."""

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
"""The sampling inputs, and the outputs beside `tokens`, of signatures that sample."""

RESERVED = frozenset({TOKENS, LENGTHS, LOGITS, HELD, BUDGET, STOP_TOKENS}) | SAMPLING
"""Names that a state tensor must not have, since `step` or `decode` has inputs or outputs of these names."""
