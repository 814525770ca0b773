"""JSON responses, and the objects of the routes for models and health."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from deployments.ingress.service import ModelCard
from deployments.messages import DecoderStatus

_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode_json(value: Any) -> bytes:
    """Encodes `value` as compact JSON in UTF-8.

    Unpaired surrogates, which JSON input can contain and UTF-8 cannot, become question marks.
    """
    return _JSON.encode(value).encode("utf-8", "replace")


class JsonResponse(Response):
    """A response with a JSON body."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encodes the body; called by Starlette."""
        return encode_json(content)


def model_list(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Builds the answer of GET /v1/models from the objects of the models."""
    return {"object": "list", "data": models}


def model_object(card: ModelCard) -> dict[str, Any]:
    """Builds the answer of GET /v1/models/{model}; `max_model_len` is a common extension."""
    return {
        "id": card.name,
        "object": "model",
        "created": card.created,
        "owned_by": "tensorloom",
        "max_model_len": card.context_length,
    }


def health_object(ready: bool, statuses: Mapping[str, DecoderStatus | None]) -> dict[str, Any]:
    """Builds the answer of GET /health: each decoder's status, null for a decoder that does not answer."""
    return {
        "status": "ok" if ready else "unavailable",
        "models": {model: status and asdict(status) for model, status in statuses.items()},
    }
