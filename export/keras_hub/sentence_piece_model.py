"""The file format of a SentencePiece model, as far as tokenizing depends on it.

Declared here rather than compiled, since few of its fields matter: protobuf passes over the others.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from export.errors import SourceError

UNIGRAM, BPE = 1, 2
"""Kinds of models."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Kinds of pieces."""

_PACKAGE = "tensorloom.sentence_piece"
_FIELDS = {
    "Piece": {"piece": (1, "string", ""), "score": (2, "float", "0"), "type": (3, "int32", "1")},
    "Trainer": {
        "model_type": (3, "int32", "1"),
        "treat_whitespace_as_suffix": (24, "bool", "false"),
        "byte_fallback": (35, "bool", "false"),
    },
    "Normalizer": {
        "precompiled_charsmap": (2, "bytes", ""),
        "add_dummy_prefix": (3, "bool", "true"),
        "remove_extra_whitespaces": (4, "bool", "true"),
        "escape_whitespaces": (5, "bool", "true"),
    },
}
"""By message: number, type and default of each field."""
_MODEL = {"pieces": (1, "Piece"), "trainer_spec": (2, "Trainer"), "normalizer_spec": (3, "Normalizer")}


def parse(data: bytes, path: object) -> Any:
    """A message with `pieces`, `trainer_spec` and `normalizer_spec`."""
    message = _message()()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise SourceError(f"{path} is not a SentencePiece model: {error}") from error
    if not message.pieces:
        raise SourceError(f"{path} is not a SentencePiece model: it has no pieces")
    return message


def _message() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for own, (number, kind, default) in fields.items():
            kind_number = getattr(field, f"TYPE_{kind.upper()}")
            message.field.add(
                name=own, number=number, type=kind_number, label=field.LABEL_OPTIONAL, default_value=default
            )
    model = file.message_type.add(name="Model")
    for own, (number, kind) in _MODEL.items():
        label = field.LABEL_REPEATED if own == "pieces" else field.LABEL_OPTIONAL
        kind_name = f".{_PACKAGE}.{kind}"
        model.field.add(name=own, number=number, type=field.TYPE_MESSAGE, label=label, type_name=kind_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))
