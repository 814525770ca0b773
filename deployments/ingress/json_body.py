"""Values as JSON bytes.

Unpaired surrogates, which JSON can bring in but UTF-8 cannot carry, go out as question marks.
"""

import json
from typing import Any

from starlette.responses import Response


def encode(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class Json(Response):
    """A JSON body."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return encode(content)
