"""The file format of a SentencePiece model: the protobuf fields that tokenization depends on.

The message is declared here rather than compiled, since it needs few fields: protobuf skips the others.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from export.errors import SourceError

UNIGRAM, BPE = 1, 2
"""Types of models."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of pieces."""

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
"""For each message, the number, type and default of each field."""
_MODEL = {"pieces": (1, "Piece"), "trainer_spec": (2, "Trainer"), "normalizer_spec": (3, "Normalizer")}


def parse(data: bytes, path: object) -> Any:
    """Returns a message with `pieces`, `trainer_spec` and `normalizer_spec`.

    Raises SourceError when `data` is not such a model; `path` is for the message.
    """
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
        for field_name, (number, kind, default) in fields.items():
            kind_number = getattr(field, f"TYPE_{kind.upper()}")
            message.field.add(
                name=field_name,
                number=number,
                type=kind_number,
                label=field.LABEL_OPTIONAL,
                default_value=default,
            )
    model = file.message_type.add(name="Model")
    for field_name, (number, kind) in _MODEL.items():
        label = field.LABEL_REPEATED if field_name == "pieces" else field.LABEL_OPTIONAL
        type_name = f".{_PACKAGE}.{kind}"
        model.field.add(
            name=field_name, number=number, type=field.TYPE_MESSAGE, label=label, type_name=type_name
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))
