"""The options of an export as one value: what a user chooses in addition to the source."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from contract.manifest import EXPLICIT
from export.errors import OptionError

FLOAT = "float"
INT8 = "int8"


@dataclass(frozen=True)
class ExportOptions:
    """The options for a Transformer that is read from a configuration and weights."""

    dtype: str = "float32"
    """The dtype of weights, keys and values: float32 or bfloat16."""
    layout: str = EXPLICIT
    """The state layout: explicit or resident."""
    context: int | None = None
    """The context length in tokens; None: the source's own."""
    ignored: Collection[str] = ()
    """Keys of the configuration that are unknown and do not change the logits."""
    block_size: int | None = None
    """Positions in a block of the pool (resident layout only); None: chosen by the context length."""
    tokenizer: Path | None = None
    """A tokenizer.json that replaces the preset's own tokenizer (KerasHub presets only)."""
    revision: str | None = None
    """The revision of a repository on the hub; None: its main branch."""
    weights: str = FLOAT
    """FLOAT: as `dtype` says. INT8: the matrices are 8-bit integers, and `dtype` is that of all else."""
    keys_values: str = FLOAT
    """FLOAT: as `dtype` says. INT8: the pool's keys and values are 8-bit integers (resident layout only)."""

    def __post_init__(self) -> None:
        """Raises OptionError for options that exclude one another."""
        if self.keys_values == INT8 and self.layout == EXPLICIT:
            raise OptionError(
                "only a pool can hold keys and values in int8: --keys-values int8 needs --state resident"
            )

    @property
    def pool_dtype(self) -> str:
        """The dtype of the pool's keys and values."""
        return INT8 if self.keys_values == INT8 else self.dtype
