"""The errors of the contract.

ContractError
├── ManifestError    a manifest is malformed, inconsistent or of an unsupported version
└── TensorError      a tensor cannot be written to, or read from, a TensorProto
"""


class ContractError(ValueError):
    """A servable or a message that breaks the contract."""


class ManifestError(ContractError):
    """A manifest that is malformed, inconsistent or of an unsupported contract version."""


class TensorError(ContractError):
    """A TensorProto whose dtype, shape and values do not agree, or a dtype that TensorFlow does not have."""
