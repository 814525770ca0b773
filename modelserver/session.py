"""A loaded version as a TensorFlow session.

TensorFlow Serving runs the same DirectSession. It is called below `Session.run`, which checks shapes, unlike
the real server, and takes several times as long as a small graph.
"""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session

from contract.tensors import Array
from modelserver.errors import not_found, of_tensorflow
from modelserver.servable import Signature

_NO_TIMEOUT = 0
_LONGEST_SECONDS = 1e9
"""Longer deadlines are ignored: for a call without a deadline gRPC reports one of centuries."""


@dataclass(frozen=True)
class SessionOptions:
    """Options of every session."""

    tags: tuple[str, ...]
    """The tags of the graph to load."""
    intra_op_parallelism: int
    """The most threads of one operation; 0: TensorFlow decides."""
    inter_op_parallelism: int
    """The most operations that run at the same time; 0: TensorFlow decides."""


class SessionServable:
    """A SavedModel in a session of its own: a LoadedServable. StatusError if `path` cannot be loaded."""

    def __init__(self, path: str, options: SessionOptions) -> None:
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._session = tf.compat.v1.Session(graph=self._graph, config=_config(options))
            meta_graph = _load(self._session, path, options.tags)
        self._session._extend_graph()
        self.signature_defs: Mapping[str, Any] = dict(meta_graph.signature_def)
        self.signatures = {name: Signature.of(proto) for name, proto in self.signature_defs.items()}
        self._handles: dict[str, Any] = {}

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], seconds: float | None) -> list[Array]:
        """Computes the tensors `fetches`; StatusError if the run fails or takes longer than `seconds`."""
        options = tf.compat.v1.RunOptions(timeout_in_ms=_milliseconds(seconds))
        buffer = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
        fed = {self._handle(name): array for name, array in feeds.items()}
        fetched = [self._handle(name) for name in fetches]
        try:
            values = self._session._call_tf_sessionrun(buffer, fed, fetched, [], None)
        except tf.errors.OpError as error:
            raise of_tensorflow(error.error_code, error.message) from None
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)
        # TensorFlow returns a scalar string as bytes.
        return [np.array(value, object) if isinstance(value, bytes) else value for value in values]

    def close(self) -> None:
        """Closes the session and frees its memory. No call may be running."""
        self._session.close()
        del self._session, self._graph, self._handles
        gc.collect()

    def _handle(self, name: str) -> Any:
        handle = self._handles.get(name)
        if handle is None:
            handle = self._handles[name] = self._tensor(name)._as_tf_output()
        return handle

    def _tensor(self, name: str) -> Any:
        try:
            return self._graph.as_graph_element(name, allow_operation=False)
        except (KeyError, TypeError, ValueError):
            raise not_found(f"Tensor {name} was not found in the Graph") from None


def _milliseconds(seconds: float | None) -> int:
    """Returns the timeout for RunOptions, at least 1; _NO_TIMEOUT if there is no deadline."""
    if seconds is None or seconds > _LONGEST_SECONDS:
        return _NO_TIMEOUT
    return max(1, int(seconds * 1000))


def _cause(message: str) -> str:
    """Removes the heading and the node names that `Session.run` adds to a message."""
    return message.removeprefix("Graph execution error:\n\n").partition("\n\t [[")[0]


def _config(options: SessionOptions) -> Any:
    return tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=options.intra_op_parallelism,
        inter_op_parallelism_threads=options.inter_op_parallelism,
        use_per_session_threads=False,
    )


def _load(session: Any, path: str, tags: tuple[str, ...]) -> Any:
    """Loads the SavedModel at `path` into `session` and returns its MetaGraphDef."""
    try:
        return tf.compat.v1.saved_model.loader.load(session, list(tags), path)
    except tf.errors.OpError as error:
        raise of_tensorflow(error.error_code, _cause(error.message)) from None
    except OSError:
        raise not_found(
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. "
            "Check that the directory exists and that you have the right permissions for accessing it."
        ) from None
