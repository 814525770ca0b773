"""matplotlib, where it is installed."""

from typing import Any, TypeAlias

Pyplot: TypeAlias = Any


class NoPictures(ValueError):
    """Nothing can be drawn here."""


def pyplot() -> Pyplot:
    """matplotlib.pyplot, which needs no screen; NoPictures where it is missing."""
    try:
        import matplotlib
    except ImportError:
        raise NoPictures("pictures need matplotlib: pip install -c constraints.txt -e '.[bench]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
