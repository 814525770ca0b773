"""A version directory, loaded into a session of its own as a model server does it: two never share anything.

Knows the manifest signature and no other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from contract import names
from contract.manifest import Manifest


class ServableSession:
    """Signatures that can be run until `close`, which gives the weights' memory back."""

    def __init__(self, directory: Path) -> None:
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta_graph = SavedModelLoader(str(directory)).load(self._session, ["serve"])
        self.signatures = dict(meta_graph.signature_def)
        answer = self.call(names.MANIFEST_SIGNATURE, {})
        self.manifest = Manifest.from_json(answer[names.MANIFEST])
        self.tokenizer: bytes = answer[names.TOKENIZER]

    def call(
        self, signature: str, inputs: Mapping[str, Any], options: Any = None, metadata: Any = None
    ) -> dict[str, Any]:
        """One signature by the names of its inputs."""
        proto = self.signatures[signature]
        fetches = {name: info.name for name, info in proto.outputs.items()}
        feeds = {proto.inputs[name].name: value for name, value in inputs.items()}
        answer: dict[str, Any] = self._session.run(fetches, feeds, options, metadata)
        return answer

    def close(self) -> None:
        self._session.close()
        del self._session
