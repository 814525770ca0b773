"""The attention windows of configurations that state them as Qwen's do."""

from collections.abc import Callable

from export.checkpoints.config_reader import SLIDING, ConfigReader
from export.errors import UnsupportedError


def windows(
    config: ConfigReader, slides: Callable[[int], bool], default: int | None = 4096
) -> tuple[int | None, ...]:
    """Returns each layer's window in tokens, or None for a layer that attends to all positions.

    Without `layer_types`, the layers for which `slides(layer)` is true have the window. `default` is the
    window of a configuration without the key.
    """
    layers, window = config.size("num_hidden_layers"), config.optional_size("sliding_window", default)
    window = window if config.flag("use_sliding_window", False) else None
    types = config.layer_types(layers)
    if types is None:
        return tuple(window if slides(i) else None for i in range(layers))
    if SLIDING in types and window is None:
        raise UnsupportedError(f"layer_types has {SLIDING!r}, but no sliding window is in use")
    return tuple(window if each == SLIDING else None for each in types)
