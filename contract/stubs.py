"""The official tensorflow-serving-api stubs, loaded without TensorFlow.

`import tensorflow_serving.apis...` runs `tensorflow/__init__.py`, which costs seconds and hundreds of
megabytes in every process that only calls a model server. While the stubs load, `sys.modules` holds an empty
placeholder package named `tensorflow` with the path of the installed one, so that only the protobuf modules
under it run. The real TensorFlow may be imported before or afterwards.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import meta_graph_pb2
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_pb2,
        model_service_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2,
        prediction_service_pb2_grpc,
    )
    from tensorflow_serving.config import model_server_config_pb2

_MODULES = (
    "tensorflow.core.framework.tensor_pb2",
    "tensorflow.core.framework.tensor_shape_pb2",
    "tensorflow.core.framework.types_pb2",
    "tensorflow.core.protobuf.meta_graph_pb2",
    "tensorflow_serving.apis.get_model_metadata_pb2",
    "tensorflow_serving.apis.get_model_status_pb2",
    "tensorflow_serving.apis.model_pb2",
    "tensorflow_serving.apis.model_service_pb2",
    "tensorflow_serving.apis.model_service_pb2_grpc",
    "tensorflow_serving.apis.predict_pb2",
    "tensorflow_serving.apis.prediction_service_pb2",
    "tensorflow_serving.apis.prediction_service_pb2_grpc",
    "tensorflow_serving.config.model_server_config_pb2",
)


@contextmanager
def _tensorflow_placeholder() -> Iterator[None]:
    """Puts the placeholder into `sys.modules` for the block, unless TensorFlow is imported already."""
    if "tensorflow" in sys.modules:
        yield
        return
    spec = PathFinder.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("the package tensorflow is not installed; its protobuf modules are needed")
    placeholder = ModuleType("tensorflow")
    placeholder.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = placeholder
    try:
        yield
    finally:
        _forget_placeholders(placeholder)


def _forget_placeholders(placeholder: ModuleType) -> None:
    """Removes every `tensorflow` module but the generated ones, so that a later real import runs whole."""
    for name, module in list(sys.modules.items()):
        if module is placeholder or (name.startswith("tensorflow.") and not name.endswith("_pb2")):
            del sys.modules[name]


with _tensorflow_placeholder():
    for _name in _MODULES:
        globals()[_name.rpartition(".")[2]] = importlib.import_module(_name)

__all__ = [
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "meta_graph_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_service_pb2",
    "prediction_service_pb2_grpc",
    "tensor_pb2",
    "tensor_shape_pb2",
    "types_pb2",
]
