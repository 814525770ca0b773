"""A version directory, read without loading its weights: manifest, signatures, and sizes of the weights."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import parse_saved_model

from contract import names
from contract.manifest import Manifest
from export.errors import SourceError
from export.saved_model.versions import GRAPH
from export.signatures.pool import ENTRIES

VARIABLES = "variables"
POOL = f"{ENTRIES}_0".encode()
"""The name of the first layer's variable of keys and values."""


@dataclass(frozen=True)
class SignatureTensor:
    """An input or an output of a signature."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    """A None in it: any size. None itself: any number of dimensions."""

    def __str__(self) -> str:
        sizes = "any" if self.shape is None else ", ".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.name} {self.dtype} ({sizes})"


@dataclass(frozen=True)
class PublishedSignature:
    """A signature with its inputs and outputs, sorted by name."""

    name: str
    inputs: tuple[SignatureTensor, ...]
    outputs: tuple[SignatureTensor, ...]


@dataclass(frozen=True)
class StoredWeight:
    """The dtype and shape of a variable in the version directory."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        size: int = self.size * tf.as_dtype(self.dtype).size
        return size


class PublishedVersion:
    """A version directory that holds a servable."""

    def __init__(self, directory: Path) -> None:
        """Reads the graph; raises SourceError if `directory` holds no servable."""
        self.directory = directory
        try:
            self._meta_graph = parse_saved_model(str(directory)).meta_graphs[0]
        except OSError as error:
            raise SourceError(f"{directory / GRAPH} is not a SavedModel: {error}") from error
        if names.MANIFEST_SIGNATURE not in self._meta_graph.signature_def:
            raise SourceError(f"{directory} has no signature {names.MANIFEST_SIGNATURE!r}: it is no servable")

    @cached_property
    def manifest(self) -> Manifest:
        """The parsed manifest."""
        return Manifest.from_json(self._manifest_outputs[0])

    @property
    def tokenizer(self) -> bytes:
        """The content of tokenizer.json."""
        return self._manifest_outputs[1]

    @cached_property
    def signatures(self) -> tuple[PublishedSignature, ...]:
        """The signatures sorted by name, without TensorFlow's own."""
        found = sorted(self._meta_graph.signature_def.items())
        return tuple(
            PublishedSignature(name, _tensors(proto.inputs), _tensors(proto.outputs))
            for name, proto in found
            if not name.startswith("__")
        )

    @cached_property
    def weights(self) -> tuple[StoredWeight, ...]:
        """All variables."""
        return tuple(self._weights())

    @property
    def parameters(self) -> int:
        """The number of elements in all variables."""
        return sum(weight.size for weight in self.weights)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The floating-point dtypes of the weights, the one with the most bytes first."""
        sizes: Counter[str] = Counter()
        for weight in self.weights:
            if tf.as_dtype(weight.dtype).is_floating:
                sizes[weight.dtype] += weight.bytes
        return tuple(dtype for dtype, _ in sizes.most_common())

    @property
    def quantized(self) -> bool:
        """Whether there are int8 weights."""
        return any(weight.dtype == "int8" for weight in self.weights)

    @property
    def int8_keys_values(self) -> bool:
        """Whether the pool's keys and values are int8."""
        functions = self._meta_graph.graph_def.library.function
        nodes = (node for function in functions for node in function.node_def)
        pools = (node for node in nodes if node.op == "VarHandleOp" and node.attr["shared_name"].s == POOL)
        return any(node.attr["dtype"].type == tf.int8.as_datatype_enum for node in pools)

    def files(self) -> dict[str, int]:
        """Returns the bytes of the files by kind."""
        sizes = {path: path.stat().st_size for path in self.directory.rglob("*") if path.is_file()}
        weights = sum(size for path, size in sizes.items() if path.parent.name == VARIABLES)
        graph = sizes[self.directory / GRAPH]
        rest = sum(sizes.values()) - weights - graph
        return {"weights": weights, "graph and tokenizer": graph, "other": rest}

    @cached_property
    def _manifest_outputs(self) -> tuple[bytes, bytes]:
        """The outputs of the one signature that needs no variable: manifest and tokenizer."""
        outputs = self._meta_graph.signature_def[names.MANIFEST_SIGNATURE].outputs
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(self._meta_graph.graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            manifest, tokenizer = session.run(
                [outputs[name].name for name in (names.MANIFEST, names.TOKENIZER)]
            )
        return manifest, tokenizer

    def _weights(self) -> Iterator[StoredWeight]:
        path = self.directory / VARIABLES / VARIABLES
        if not path.with_suffix(".index").exists():
            return
        reader = tf.train.load_checkpoint(str(path))
        dtypes = reader.get_variable_to_dtype_map()
        for name, shape in reader.get_variable_to_shape_map().items():
            # TensorFlow stores its object graph as a string among the variables.
            if dtypes[name] != tf.string:
                yield StoredWeight(dtypes[name].name, tuple(shape))


def _tensors(infos) -> tuple[SignatureTensor, ...]:  # type: ignore[no-untyped-def]
    return tuple(_tensor(name, info) for name, info in sorted(infos.items()))


def _tensor(name: str, info) -> SignatureTensor:  # type: ignore[no-untyped-def]
    if info.tensor_shape.unknown_rank:
        return SignatureTensor(name, tf.as_dtype(info.dtype).name, None)
    sizes = (dim.size for dim in info.tensor_shape.dim)
    return SignatureTensor(name, tf.as_dtype(info.dtype).name, tuple(None if n < 0 else n for n in sizes))
