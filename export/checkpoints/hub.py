"""Where a checkpoint lies: a directory, or a repository on the Hugging Face hub, which is fetched once."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from export.errors import SourceError

FILES = ("*.json", "*.safetensors", "*.jinja")
"""What an export reads; repositories hold the same weights in other forms too."""


def directory(source: str, revision: str | None = None) -> Path:
    """The checkpoint's directory; SourceError where `source` is none and cannot be fetched.

    The hub's own cache and settings hold (HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE).
    """
    path = Path(source)
    if path.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        return path
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{source} is neither a directory nor to be had from the hub: {reason}") from error
