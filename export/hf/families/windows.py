"""Which layers see only the last tokens, of configurations that say so as Qwen's do."""

from collections.abc import Callable

from export.checkpoints.config_reader import SLIDING, ConfigReader
from export.errors import UnsupportedError


def windows(
    settings: ConfigReader, slides: Callable[[int], bool], absent: int | None = 4096
) -> tuple[int | None, ...]:
    """Each layer's; where no list names them, of the layers that `slides` says.

    `absent` is the window of a configuration without the key.
    """
    layers, window = settings.size("num_hidden_layers"), settings.optional_size("sliding_window", absent)
    window = window if settings.flag("use_sliding_window", False) else None
    types = settings.layer_types(layers)
    if types is None:
        return tuple(window if slides(i) else None for i in range(layers))
    if SLIDING in types and window is None:
        raise UnsupportedError(f"layer_types has {SLIDING!r}, but there is no window in use")
    return tuple(window if each == SLIDING else None for each in types)
