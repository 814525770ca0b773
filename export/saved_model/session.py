"""A version directory loaded into a TensorFlow session of its own, as a model server loads it.

Two sessions share nothing. Of the signatures, only the manifest's is run here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from contract import names
from contract.manifest import Manifest


class ServableSession:
    """A loaded servable: its signatures can be run until `close` frees the weights' memory."""

    def __init__(self, directory: Path) -> None:
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta_graph = SavedModelLoader(str(directory)).load(self._session, ["serve"])
        self.signatures = dict(meta_graph.signature_def)
        outputs = self.call(names.MANIFEST_SIGNATURE, {})
        self.manifest = Manifest.from_json(outputs[names.MANIFEST])
        self.tokenizer: bytes = outputs[names.TOKENIZER]

    def call(
        self, signature: str, inputs: Mapping[str, Any], options: Any = None, metadata: Any = None
    ) -> dict[str, Any]:
        """Runs one signature on inputs by name; returns its outputs by name.

        `options` and `metadata` are TensorFlow's RunOptions and RunMetadata.
        """
        proto = self.signatures[signature]
        fetches = {name: info.name for name, info in proto.outputs.items()}
        feeds = {proto.inputs[name].name: value for name, value in inputs.items()}
        outputs: dict[str, Any] = self._session.run(fetches, feeds, options, metadata)
        return outputs

    def close(self) -> None:
        """Closes the session."""
        self._session.close()
        del self._session
