"""The manifest: a servable's description of itself, as frozen dataclasses.

The signature `manifest` returns it as JSON, whose keys are the field names below. Reading is strict: an
unknown key, a missing key, a value of another type or one that contradicts another raises ManifestError,
which names the key.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from contract import names
from contract.checks import JsonReader, require
from contract.dtypes import dtype_of_name
from contract.errors import ManifestError, TensorError
from contract.tensors import Shape

CONTRACT_VERSION = 3
"""The only supported `contract_version`."""

EXPLICIT = "explicit"
"""State layout: every call receives the state of its sessions and returns the new state."""
RESIDENT = "resident"
"""State layout: keys and values stay in the model server, in a pool of slots."""
STATE_LAYOUTS = (EXPLICIT, RESIDENT)


@dataclass(frozen=True)
class StateTensor:
    """One state tensor of the explicit layout, for one session: without the batch axis."""

    name: str
    """The name of its input and output in `step` and `decode`; not one of `names.RESERVED`."""
    dtype: str
    """The numpy name of its dtype, such as `float32` or `bfloat16`."""
    shape: Shape
    """The shape when a session begins; 0 along the growth axis, at least 1 along the others."""
    initial: float = 0.0
    """The value of every element when a session begins."""
    growth_axis: int | None = None
    """The axis of `shape` that gains one entry per token; None: the shape is constant.

    The output of a tensor that grows holds the new entries only.
    """

    def __post_init__(self) -> None:
        require(bool(self.name), "the name of a state tensor must not be empty")
        require(
            self.name not in names.RESERVED,
            f"state tensor name {self.name!r} is reserved for an input or output",
        )
        self._check_shape()
        try:
            dtype_of_name(self.dtype)
        except TensorError as error:
            raise ManifestError(f"{self.name}: {error}") from None

    def _check_shape(self) -> None:
        require(all(size >= 0 for size in self.shape), f"{self.name}: shape {self.shape} has a negative size")
        fixed = [size for axis, size in enumerate(self.shape) if axis != self.growth_axis]
        require(0 not in fixed, f"{self.name}: shape {self.shape} is 0 along an axis that does not grow")
        if self.growth_axis is None:
            return
        require(
            0 <= self.growth_axis < len(self.shape) and self.shape[self.growth_axis] == 0,
            f"{self.name}: growth_axis {self.growth_axis} must be an axis of shape {self.shape} with size 0",
        )

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """`dtype` as numpy's."""
        return dtype_of_name(self.dtype)

    @property
    def grows(self) -> bool:
        """Whether the tensor gains one entry per token."""
        return self.growth_axis is not None

    @property
    def axis(self) -> int:
        """The growth axis of a tensor that grows; AssertionError for others."""
        assert self.growth_axis is not None, f"{self.name} does not grow"
        return self.growth_axis

    @property
    def slice_bytes(self) -> int:
        """Bytes of one entry along the growth axis, or of the whole tensor where it does not grow."""
        sizes = (size for axis, size in enumerate(self.shape) if axis != self.growth_axis)
        return math.prod(sizes) * self.numpy_dtype.itemsize


@dataclass(frozen=True)
class Pool:
    """The size of the resident layout's pool, in which each session has a slot of one or more blocks.

    A position holds the keys and values of one token, a block those of `block_size` consecutive tokens.
    """

    bytes_per_block: int
    """Bytes of one block of one slot, in all layers."""
    block_size: int
    """Positions in one block. Attention reads whole blocks."""
    blocks: int
    """Blocks of a slot that holds `context_length` tokens."""
    max_steps: int
    """The most steps in one call of `decode`."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            require(value >= 1, f"pool.{name} {value} must be at least 1")

    @property
    def positions(self) -> int:
        """The most tokens that one slot can hold."""
        return self.blocks * self.block_size

    def blocks_for(self, tokens: int) -> int:
        """Returns the number of blocks that `tokens` tokens need."""
        return -(-tokens // self.block_size)


@dataclass(frozen=True)
class SpecialTokens:
    """Ids and texts of special tokens."""

    bos: int | None = None
    """The id that replaces an empty prompt; None: the first of `eos`. With neither the prompt is refused.

    Other prompts begin with it only if the tokenizer or the chat template puts it there.
    """
    eos: tuple[int, ...] = ()
    """Ids that end a generation. They are not part of the generated text."""
    pad: int | None = None
    """The id that the checkpoint uses as padding. Calls may pad with any valid id."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Name of a special token in chat templates, such as `eos_token`, -> its text.

    In the template a name without an entry is undefined.
    """

    @property
    def all(self) -> tuple[int, ...]:
        """All ids above that are not None."""
        return tuple(t for t in (self.bos, *self.eos, self.pad) if t is not None)


@dataclass(frozen=True)
class GenerationDefaults:
    """Values of the sampling parameters that a request leaves out."""

    temperature: float = 1.0
    """At least 0; 0 is greedy."""
    top_k: int = 0
    """At least 0; 0: no limit."""
    top_p: float = 1.0
    """In (0, 1]; 1: no limit."""
    min_p: float = 0.0
    """In [0, 1]; 0: no limit."""
    repetition_penalty: float = 1.0
    """Above 0; 1: no penalty."""
    max_tokens: int = 256
    """The most tokens to generate, at least 1."""

    def __post_init__(self) -> None:
        require(self.temperature >= 0, f"generation.temperature {self.temperature} must be at least 0")
        require(self.top_k >= 0, f"generation.top_k {self.top_k} must be at least 0")
        require(0 < self.top_p <= 1, f"generation.top_p {self.top_p} must lie in (0, 1]")
        require(0 <= self.min_p <= 1, f"generation.min_p {self.min_p} must lie in [0, 1]")
        require(
            self.repetition_penalty > 0,
            f"generation.repetition_penalty {self.repetition_penalty} must be above 0",
        )
        require(self.max_tokens >= 1, f"generation.max_tokens {self.max_tokens} must be at least 1")


@dataclass(frozen=True)
class Manifest:
    """A servable's description of itself. ManifestError if its values contradict one another."""

    name: str
    """The model's name, not empty. For people: requests use the name in the serving configuration."""
    family: str
    """The model's architecture, such as `llama`. For people: serving does not depend on it."""
    vocabulary_size: int
    """The number of logits of a token, at least 1. Valid token ids are 0 to `vocabulary_size` - 1."""
    context_length: int
    """The most tokens of one sequence, prompt and generated tokens together; at least 2."""
    state: tuple[StateTensor, ...]
    """Explicit layout: the state tensors of one session. Resident layout: empty."""
    special_tokens: SpecialTokens = field(default_factory=SpecialTokens)
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)
    chat_template: str | None = None
    """A Jinja template with the variables of Hugging Face templates; None: chat requests are refused."""
    state_layout: str = EXPLICIT
    """One of STATE_LAYOUTS."""
    pool: Pool | None = None
    """Resident layout: the pool's size. Explicit layout: None."""
    decode_steps: int = 0
    """Explicit layout: the most steps in one call of `decode`; 0: the servable has no `decode`.

    Resident layout: 0; `pool.max_steps` holds instead.
    """
    contract_version: int = CONTRACT_VERSION

    def __post_init__(self) -> None:
        require(bool(self.name), "name must not be empty")
        require(
            self.contract_version == CONTRACT_VERSION,
            _unsupported(self.contract_version),
        )
        require(
            self.state_layout in STATE_LAYOUTS,
            f"state_layout {self.state_layout!r} is not one of {', '.join(STATE_LAYOUTS)}",
        )
        require(self.vocabulary_size >= 1, f"vocabulary_size {self.vocabulary_size} must be at least 1")
        require(self.context_length >= 2, f"context_length {self.context_length} must be at least 2")
        self._check_layout()
        for tensor in self.state:
            same = [other for other in self.state if other.name == tensor.name]
            require(len(same) == 1, f"two state tensors have the same name {tensor.name!r}")
        for token in self.special_tokens.all:
            require(
                0 <= token < self.vocabulary_size,
                f"special token id {token} is outside the vocabulary of {self.vocabulary_size}",
            )

    def _check_layout(self) -> None:
        require(self.decode_steps >= 0, f"decode_steps {self.decode_steps} must be at least 0")
        if self.state_layout == EXPLICIT:
            require(self.pool is None, "pool must be null if state_layout is explicit")
            return
        require(self.pool is not None, "pool must be given if state_layout is resident")
        require(not self.state, "state must be empty if state_layout is resident")
        require(
            self.decode_steps == 0, f"decode_steps {self.decode_steps} must be 0 if state_layout is resident"
        )
        assert self.pool is not None
        require(
            self.pool.positions >= self.context_length,
            f"pool: a slot has {self.pool.positions} positions, context_length is {self.context_length}",
        )

    @property
    def growing(self) -> tuple[StateTensor, ...]:
        """The state tensors that gain one entry per token."""
        return tuple(tensor for tensor in self.state if tensor.grows)

    @property
    def fixed(self) -> tuple[StateTensor, ...]:
        """The state tensors of constant shape."""
        return tuple(tensor for tensor in self.state if not tensor.grows)

    def state_bytes(self, tokens: int) -> int:
        """Returns the bytes of a session's state that holds `tokens` tokens."""
        if self.pool is not None:
            return self.pool.blocks_for(tokens) * self.pool.bytes_per_block
        growing = sum(tensor.slice_bytes for tensor in self.growing)
        return tokens * growing + sum(tensor.slice_bytes for tensor in self.fixed)

    def to_json(self) -> str:
        """Returns the manifest as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @staticmethod
    def from_json(text: str | bytes) -> "Manifest":
        """Parses a manifest; ManifestError if it is malformed, inconsistent or of an unsupported version."""
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ManifestError(f"the manifest is not JSON: {error}") from None
        return _manifest(JsonReader("manifest", value))


def _unsupported(version: int) -> str:
    return f"contract_version {version} is not {CONTRACT_VERSION}, the supported one"


def _manifest(reader: JsonReader) -> Manifest:
    # The version is read first: in another version every other key may differ.
    version = reader.integer("contract_version")
    require(
        version == CONTRACT_VERSION,
        _unsupported(version),
    )
    manifest = Manifest(
        contract_version=version,
        name=reader.string("name"),
        family=reader.string("family"),
        vocabulary_size=reader.integer("vocabulary_size"),
        context_length=reader.integer("context_length"),
        state_layout=reader.string("state_layout"),
        state=tuple(_state_tensor(item) for item in reader.objects("state")),
        pool=_pool(reader.optional_object("pool")),
        decode_steps=reader.integer("decode_steps"),
        special_tokens=_special_tokens(reader.object("special_tokens")),
        generation=_generation(reader.object("generation")),
        chat_template=reader.optional_string("chat_template"),
    )
    reader.finish()
    return manifest


def _state_tensor(reader: JsonReader) -> StateTensor:
    tensor = StateTensor(
        name=reader.string("name"),
        dtype=reader.string("dtype"),
        shape=reader.integers("shape"),
        initial=reader.number("initial"),
        growth_axis=reader.optional_integer("growth_axis"),
    )
    reader.finish()
    return tensor


def _pool(reader: JsonReader | None) -> Pool | None:
    if reader is None:
        return None
    pool = Pool(
        bytes_per_block=reader.integer("bytes_per_block"),
        block_size=reader.integer("block_size"),
        blocks=reader.integer("blocks"),
        max_steps=reader.integer("max_steps"),
    )
    reader.finish()
    return pool


def _special_tokens(reader: JsonReader) -> SpecialTokens:
    tokens = SpecialTokens(
        bos=reader.optional_integer("bos"),
        eos=reader.integers("eos"),
        pad=reader.optional_integer("pad"),
        texts=reader.strings("texts"),
    )
    reader.finish()
    return tokens


def _generation(reader: JsonReader) -> GenerationDefaults:
    defaults = GenerationDefaults(
        temperature=reader.number("temperature"),
        top_k=reader.integer("top_k"),
        top_p=reader.number("top_p"),
        min_p=reader.number("min_p"),
        repetition_penalty=reader.number("repetition_penalty"),
        max_tokens=reader.integer("max_tokens"),
    )
    reader.finish()
    return defaults
