"""What the application gives its model servers besides the model, for whatever runs the same graph."""

from collections.abc import Mapping
from functools import cache

from bench.application import model_server_environment
from bench.engines.engine import Setup
from bench.engines.tensorloom import serving
from bench.small.servables import BF16


@cache
def environment(setup: Setup) -> Mapping[str, str]:
    """The environment variables of the application's model server, which is started once to see them."""
    with serving(setup, BF16) as served:
        return model_server_environment(served.child)
