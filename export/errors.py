"""The errors of an export, as one small tree. Each message is one line that names the cause.

ExportError
├── OptionError           the options of the export exclude one another
├── SourceError           a file is missing, unreadable or contradicts another
│   ├── UnsupportedError  the model has a feature that is not implemented
│   └── ShapeError        a tensor does not have the shape that the configuration requires
├── SignatureError        the `step` function does not keep the contract
├── VersionError          the version cannot be published: it exists, or its name is not valid
└── VerificationError     the written servable fails, or its results differ from the reference
"""


class ExportError(Exception):
    """An export, or a look at a servable, that failed."""


class OptionError(ExportError):
    """The options of the export exclude one another."""


class SourceError(ExportError):
    """A source or a servable is missing, unreadable or inconsistent."""


class UnsupportedError(SourceError):
    """The source has a feature that is not implemented: the results would differ from the original's."""


class ShapeError(SourceError):
    """A tensor does not have the shape that the configuration requires."""


class SignatureError(ExportError):
    """The `step` function does not keep the contract: its arguments, outputs, dtypes or shapes."""


class VersionError(ExportError):
    """The version cannot be published."""


class VerificationError(ExportError):
    """The written servable fails, or its results differ from the reference's or from one another."""
