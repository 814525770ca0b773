"""A decoder-only Transformer, described: what every family is read into, and what the layers compute.

Plain data. Knows neither checkpoints nor TensorFlow; which products have biases, and which norms have scales
and offsets, is told by the weights that there are.

The residual stream `x` goes through each layer as

    x = attention_sum_norm(x + attention_output_norm(attention(attention_norm(x))))
    x = feed_forward_sum_norm(x + feed_forward_output_norm(feed_forward(feed_forward_norm(x))))

where a layer has only the norms that it names. In a parallel layer both read the same `x`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from export.transformer_model.rope import Rope

Activation: TypeAlias = Literal["gelu", "gelu_tanh", "relu", "silu"]

ATTENTION_NORM = "attention_norm"
ATTENTION_OUTPUT_NORM = "attention_output_norm"
FEED_FORWARD_NORM = "feed_forward_norm"
FEED_FORWARD_OUTPUT_NORM = "feed_forward_output_norm"
ATTENTION_SUM_NORM = "attention_sum_norm"
FEED_FORWARD_SUM_NORM = "feed_forward_sum_norm"

BEFORE = (ATTENTION_NORM, FEED_FORWARD_NORM)
AFTER = (ATTENTION_OUTPUT_NORM, FEED_FORWARD_OUTPUT_NORM)
AROUND = BEFORE + AFTER
OF_SUMS = (ATTENTION_SUM_NORM, FEED_FORWARD_SUM_NORM)
SHARED = (ATTENTION_NORM,)
"""Of a parallel layer whose feed-forward reads what its attention reads."""


@dataclass(frozen=True)
class Norm:
    kind: Literal["layer", "rms"]
    epsilon: float


@dataclass(frozen=True)
class Alibi:
    """Positions as a bias of scores: head h's at key position j get `scale * slopes[h] * j`.

    Slopes, positions and their product are rounded to bfloat16, whatever the model's dtype: far positions
    share a bias.
    """

    slopes: tuple[float, ...]
    scale: float


@dataclass(frozen=True)
class Attention:
    """Query head h looks at key head h // (heads / kv_heads)."""

    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    """Of the scores."""
    rope: Rope | None = None
    alibi: Alibi | None = None
    window: int | None = None
    """How many positions a token sees, its own among them; None: all before it."""
    soft_cap: float | None = None
    """Scores become soft_cap * tanh(scores / soft_cap)."""
    query_key_norm: Norm | None = None
    """Of queries and keys before they turn: over each head, or, with `whole_norm`, over all heads."""
    whole_norm: bool = False

    @property
    def group(self) -> int:
        """How many query heads share a key head."""
        return self.heads // self.kv_heads

    @property
    def width(self) -> int:
        """Of what the heads give together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim


@dataclass(frozen=True)
class FeedForward:
    """outer(activation(inner(x))); gated, inner has twice the width: outer(activation(gate) * up)."""

    width: int
    activation: Activation
    gated: bool


@dataclass(frozen=True)
class Experts:
    """`count` gated feed-forwards, of which each token gets the `chosen` that its router likes best."""

    count: int
    chosen: int
    width: int
    activation: Activation
    renormalized: bool
    """Whether the weights of the chosen sum to 1; else they are those of a softmax over all."""


@dataclass(frozen=True)
class Layer:
    attention: Attention
    feed_forward: FeedForward | Experts
    norms: tuple[str, ...] = BEFORE
    parallel: bool = False

    def __post_init__(self) -> None:
        assert not (self.parallel and set(OF_SUMS) & set(self.norms)), "a parallel layer has one sum"


@dataclass(frozen=True)
class Transformer:
    """One model. Keys and values have the same shape in every layer."""

    vocabulary_size: int
    context_length: int
    width: int
    norm: Norm
    layers: tuple[Layer, ...]
    tied: bool
    """Whether the embedding is the head too."""
    learned_positions: bool = False
    """One vector for each position of the context, added to the embedding."""
    embedding_width: int | None = None
    """Of the embedding and the head, where projections stand between these and the layers."""
    final_norm: bool = True
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    """Of what attention and feed-forward add."""
    logit_scale: float = 1.0
    logit_soft_cap: float | None = None

    def __post_init__(self) -> None:
        shapes = {(layer.attention.kv_heads, layer.attention.head_dim) for layer in self.layers}
        assert len(shapes) == 1, "layers differ in their keys' shape"

    @property
    def kv_heads(self) -> int:
        return self.layers[0].attention.kv_heads

    @property
    def head_dim(self) -> int:
        return self.layers[0].attention.head_dim

    @cached_property
    def ropes(self) -> tuple[Rope, ...]:
        """Each once."""
        return tuple(dict.fromkeys(layer.attention.rope for layer in self.layers if layer.attention.rope))
