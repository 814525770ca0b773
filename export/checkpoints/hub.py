"""Locates a checkpoint: a directory, or a repository on the Hugging Face hub, which is downloaded once."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from export.errors import SourceError

FILES = ("*.json", "*.safetensors", "*.jinja")
"""The files that an export reads; repositories hold the same weights in other formats too."""


def directory(source: str, revision: str | None = None) -> Path:
    """Returns the checkpoint's directory, after downloading it when `source` is an id on the hub.

    The hub's own cache and environment variables apply (HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE).
    Raises SourceError when the download fails.
    """
    path = Path(source)
    if path.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        return path
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(
            f"{source} is not a directory, and cannot be downloaded from the hub: {reason}"
        ) from error
