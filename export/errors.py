"""What can be wrong with an export, as one small tree; each message is one line and names the culprit.

ExportError
├── SourceError           a file is missing, unreadable or contradicts another
│   ├── UnsupportedError  a model type or a setting that is not implemented
│   └── ShapeError        a tensor whose shape is not the one that the configuration asks for
├── SignatureError        a user's `step` does not keep the contract
├── VersionError          the version cannot be published: it exists, or the name is not usable
└── VerificationError     what was written does not compute what the reference computes
"""


class ExportError(Exception):
    """An export that cannot be done."""


class SourceError(ExportError):
    """The checkpoint or the user's model cannot be read as what it claims to be."""


class UnsupportedError(SourceError):
    """The result would differ from the original, because something in it is not implemented."""


class ShapeError(SourceError):
    """A tensor does not have the shape that the configuration asks for."""


class SignatureError(ExportError):
    """The `step` function does not keep the contract."""


class VersionError(ExportError):
    """The version directory cannot be published."""


class VerificationError(ExportError):
    """The written servable computes something else than the reference."""
