"""What can be wrong with a servable or a message, as one small tree.

ContractError
├── ManifestError    the manifest is not one that this version understands
└── TensorError      a TensorProto and its declaration do not fit
"""


class ContractError(ValueError):
    """A servable or a message that does not keep the contract."""


class ManifestError(ContractError):
    """A manifest that is malformed, inconsistent or of an unknown version."""


class TensorError(ContractError):
    """A TensorProto whose dtype, shape and values do not fit together."""
