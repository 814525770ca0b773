"""The manifest: what a servable says of itself, as checked, frozen values.

It travels as JSON in the `manifest` signature. Reading is strict: an unknown key, a missing one or a value
that contradicts another is a ManifestError that names it, so that a loop never starts on a guess.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from contract import names
from contract.checks import Reader, require
from contract.dtypes import dtype_of_name
from contract.errors import ManifestError, TensorError

CONTRACT_VERSION = 1

EXPLICIT = "explicit"
RESIDENT = "resident"
STATE_LAYOUTS = (EXPLICIT, RESIDENT)


@dataclass(frozen=True)
class StateTensor:
    """One tensor of a session's state, as it is for a single session, without the batch axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    """As a session begins; 0 along the growth axis."""
    initial: float = 0.0
    """Every element at the beginning."""
    growth_axis: int | None = None
    """The axis that gains one entry per token; the step's output is then only the new entries."""

    def __post_init__(self) -> None:
        require(bool(self.name), "a state tensor needs a name")
        require(self.name not in names.RESERVED, f"state tensor name {self.name!r} is reserved")
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
            f"{self.name}: growth_axis {self.growth_axis} must be an axis of {self.shape} whose size is 0",
        )

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return dtype_of_name(self.dtype)

    @property
    def grows(self) -> bool:
        return self.growth_axis is not None

    @property
    def axis(self) -> int:
        """The growth axis of a tensor that grows."""
        assert self.growth_axis is not None, f"{self.name} does not grow"
        return self.growth_axis

    @property
    def slice_bytes(self) -> int:
        """Bytes of one entry along the growth axis, or of the whole tensor where it does not grow."""
        sizes = (size for axis, size in enumerate(self.shape) if axis != self.growth_axis)
        return math.prod(sizes) * self.numpy_dtype.itemsize


@dataclass(frozen=True)
class Pool:
    """State that stays in the model server: one slot for each session, in blocks of positions."""

    bytes_per_block: int
    """Of one slot."""
    block_size: int
    """Positions in a block; a call reads whole blocks."""
    blocks: int
    """Of a slot that can hold the whole context."""
    max_steps: int
    """Most steps of one decode call."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            require(value >= 1, f"pool.{name} {value} must be at least 1")

    @property
    def positions(self) -> int:
        """Tokens that a slot with all its blocks can hold."""
        return self.blocks * self.block_size

    def blocks_for(self, tokens: int) -> int:
        """How many blocks hold `tokens` tokens."""
        return -(-tokens // self.block_size)


@dataclass(frozen=True)
class SpecialTokens:
    """Token ids with a meaning of their own."""

    bos: int | None = None
    """Stands in for an empty prompt; prepended only by the tokenizer's own post-processor or the template."""
    eos: tuple[int, ...] = ()
    """Each ends a generation and is not part of its text."""
    pad: int | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    """By the names that chat templates use, such as `eos_token`; one without an entry is undefined there."""

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(t for t in (self.bos, *self.eos, self.pad) if t is not None)


@dataclass(frozen=True)
class GenerationDefaults:
    """What a request gets where it does not say."""

    temperature: float = 1.0
    top_k: int = 0
    """0 is no limit."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    """1 is none."""
    max_tokens: int = 256

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
    """A servable's description of itself."""

    name: str
    family: str
    vocabulary_size: int
    context_length: int
    """Most tokens, prompt and answer together, that one sequence may hold."""
    state: tuple[StateTensor, ...]
    special_tokens: SpecialTokens = field(default_factory=SpecialTokens)
    generation: GenerationDefaults = field(default_factory=GenerationDefaults)
    chat_template: str | None = None
    """Jinja, with the variables that Hugging Face templates use; None: the model does not chat."""
    state_layout: str = EXPLICIT
    pool: Pool | None = None
    """Of the resident layout, which has no state tensors."""
    decode_steps: int = 0
    """Most steps of one call of `decode`, with explicit state; 0: there is no such signature."""
    contract_version: int = CONTRACT_VERSION

    def __post_init__(self) -> None:
        require(bool(self.name), "name must not be empty")
        require(
            self.contract_version == CONTRACT_VERSION,
            f"contract_version {self.contract_version} is not {CONTRACT_VERSION}, the one understood here",
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
            require(len(same) == 1, f"two state tensors have the same name, {tensor.name!r}")
        for token in self.special_tokens.all:
            require(
                0 <= token < self.vocabulary_size,
                f"special token id {token} is outside the vocabulary of {self.vocabulary_size}",
            )

    def _check_layout(self) -> None:
        require(self.decode_steps >= 0, f"decode_steps {self.decode_steps} must be at least 0")
        if self.state_layout == EXPLICIT:
            require(self.pool is None, "pool must be null where the state is explicit")
            return
        require(self.pool is not None, "pool must be given where the state is resident")
        require(not self.state, "state must be empty where the state is resident")
        require(self.decode_steps == 0, "decode_steps must be 0 where the state is resident")
        assert self.pool is not None
        require(
            self.pool.positions >= self.context_length,
            f"the pool's slots hold {self.pool.positions} tokens, the context {self.context_length}",
        )

    @property
    def growing(self) -> tuple[StateTensor, ...]:
        return tuple(tensor for tensor in self.state if tensor.grows)

    @property
    def fixed(self) -> tuple[StateTensor, ...]:
        return tuple(tensor for tensor in self.state if not tensor.grows)

    def state_bytes(self, tokens: int) -> int:
        """Bytes of one session's state once it holds `tokens` tokens."""
        if self.pool is not None:
            return self.pool.blocks_for(tokens) * self.pool.bytes_per_block
        growing = sum(tensor.slice_bytes for tensor in self.growing)
        return tokens * growing + sum(tensor.slice_bytes for tensor in self.fixed)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @staticmethod
    def from_json(text: str | bytes) -> "Manifest":
        """The manifest that `text` holds; ManifestError where it is not one."""
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ManifestError(f"the manifest is not JSON: {error}") from None
        return _manifest(Reader("manifest", value))


def _manifest(reader: Reader) -> Manifest:
    # The version first: a manifest of another version may differ in every other key.
    version = reader.integer("contract_version")
    require(
        version == CONTRACT_VERSION,
        f"contract_version {version} is not {CONTRACT_VERSION}, the one understood here",
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


def _state_tensor(reader: Reader) -> StateTensor:
    tensor = StateTensor(
        name=reader.string("name"),
        dtype=reader.string("dtype"),
        shape=reader.integers("shape"),
        initial=reader.number("initial"),
        growth_axis=reader.optional_integer("growth_axis"),
    )
    reader.finish()
    return tensor


def _pool(reader: Reader | None) -> Pool | None:
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


def _special_tokens(reader: Reader) -> SpecialTokens:
    tokens = SpecialTokens(
        bos=reader.optional_integer("bos"),
        eos=reader.integers("eos"),
        pad=reader.optional_integer("pad"),
        texts=reader.strings("texts"),
    )
    reader.finish()
    return tokens


def _generation(reader: Reader) -> GenerationDefaults:
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
