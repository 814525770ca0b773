"""The ingress deployment: gives the HTTP application its backends.

Does not know routes or schemas.
"""

from fastapi import FastAPI
from ray import serve

from deployments.ingress.backends import ServeBackends
from deployments.ingress.routes import create_app
from deployments.ingress.service import Service
from deployments.streams import remote


@serve.deployment
@serve.ingress()
class Ingress:
    """Answers HTTP; `decoders` maps a model's name to its decoder."""

    def __init__(
        self, tokenizer: remote.Handle, detokenizer: remote.Handle, decoders: remote.Handles
    ) -> None:
        self._service = Service(ServeBackends(tokenizer, detokenizer, decoders))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._service)
