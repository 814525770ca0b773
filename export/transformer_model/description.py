"""The description of a decoder-only Transformer, which every family's configuration is turned into.

Plain data, without TensorFlow. A matrix product has a bias, and a norm a scale or an offset, where the model
has a weight of that name.

The residual stream `x` goes through each layer as

    x = attention_sum_norm(x + attention_output_norm(attention(attention_norm(x))))
    x = feed_forward_sum_norm(x + feed_forward_output_norm(feed_forward(feed_forward_norm(x))))

where a layer applies only the norms that its `norms` name. In a parallel layer attention and feed-forward
read the same `x`.
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
"""The norms of a parallel layer in which one norm feeds both attention and feed-forward."""


@dataclass(frozen=True)
class Norm:
    """A normalisation over the last axis: with or without subtracting the mean."""

    kind: Literal["layer", "rms"]
    epsilon: float
    """Added to the variance, or to the mean square."""


@dataclass(frozen=True)
class Alibi:
    """Positions as biases of the scores: head h adds `scale * slopes[h] * j` at key position j.

    Slopes, positions and their products are rounded to bfloat16 in any model dtype, so distant positions
    share a bias.
    """

    slopes: tuple[float, ...]
    scale: float


@dataclass(frozen=True)
class Attention:
    """The attention of one layer. Query head h attends to key head h // group_size."""

    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    """The factor of the scores."""
    rope: Rope | None = None
    alibi: Alibi | None = None
    window: int | None = None
    """How many positions a token attends to, including its own; None: all up to its own."""
    soft_cap: float | None = None
    """Replaces scores by soft_cap * tanh(scores / soft_cap)."""
    query_key_norm: Norm | None = None
    """The norm of queries and keys before rotary positions are applied."""
    whole_norm: bool = False
    """Whether `query_key_norm` is over all heads together instead of over each head."""

    @property
    def group_size(self) -> int:
        """The number of query heads that share a key head."""
        return self.heads // self.kv_heads

    @property
    def width(self) -> int:
        """The width of all query heads together, and of the attention output before its projection."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """The width of all key heads together, and of all value heads."""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True)
class FeedForward:
    """outer(activation(inner(x))), or gated: outer(activation(gate) * up), where inner gives gate and up."""

    width: int
    """The width between `inner` and `outer`; gated, `inner` has twice as many outputs."""
    activation: Activation
    gated: bool


@dataclass(frozen=True)
class Experts:
    """`count` gated feed-forwards; a token's output is a weighted sum of the `chosen` best for its router."""

    count: int
    chosen: int
    width: int
    activation: Activation
    renormalized: bool
    """Whether the weights of the chosen experts are scaled to sum to 1; else they are a softmax over all."""


@dataclass(frozen=True)
class Layer:
    """One layer: attention, feed-forward and the norms around them."""

    attention: Attention
    feed_forward: FeedForward | Experts
    norms: tuple[str, ...] = BEFORE
    parallel: bool = False
    """Whether attention and feed-forward read the same residual stream, and are added at once."""

    def __post_init__(self) -> None:
        assert not (self.parallel and set(OF_SUMS) & set(self.norms)), "a parallel layer has one sum"


@dataclass(frozen=True)
class Transformer:
    """One model. The shape of keys and values is the same in every layer."""

    vocabulary_size: int
    context_length: int
    width: int
    norm: Norm
    layers: tuple[Layer, ...]
    tied: bool
    """Whether the head uses the embedding's weights."""
    learned_positions: bool = False
    """Whether each position of the context has a learned vector that is added to the embedding."""
    embedding_width: int | None = None
    """The width of the embedding and the head where projections connect them to the layers; None: `width`."""
    final_norm: bool = True
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    """The factor of what attention and feed-forward add to the residual stream."""
    logit_scale: float = 1.0
    logit_soft_cap: float | None = None

    def __post_init__(self) -> None:
        shapes = {(layer.attention.kv_heads, layer.attention.head_dim) for layer in self.layers}
        assert len(shapes) == 1, "layers differ in the shape of their keys"

    @property
    def kv_heads(self) -> int:
        """The number of key heads, and of value heads, in every layer."""
        return self.layers[0].attention.kv_heads

    @property
    def head_dim(self) -> int:
        """The width of a head in every layer."""
        return self.layers[0].attention.head_dim

    @cached_property
    def ropes(self) -> tuple[Rope, ...]:
        """The distinct ropes of the layers, in the order of the layers."""
        return tuple(dict.fromkeys(layer.attention.rope for layer in self.layers if layer.attention.rope))
