"""The application that `serve_config.yaml` names: the graph, with the decoder that calls model servers."""

from ray.serve import Application

from deployments.config import AppArgs
from deployments.decoder.deployment import Decoder
from deployments.graph import bind


def build_app(args: AppArgs) -> Application:
    """Serve checks the `args` of `serve_config.yaml` against AppArgs and calls this."""
    return bind(args, Decoder)
