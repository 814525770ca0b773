"""The report of `python -m export inspect` on a version directory."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

from contract.manifest import GenerationDefaults, Manifest, Pool
from export.saved_model.published import PublishedSignature, PublishedVersion

Lines = Iterator[tuple[str, str]]
"""Pairs (label, value)."""


def report(version: PublishedVersion) -> str:
    """Returns manifest, size, memory and signatures, each as a paragraph of aligned lines."""
    manifest = version.manifest
    parts = {
        str(version.directory): _manifest(manifest),
        "Size": _size(version),
        "Memory": _memory(manifest),
        "Signatures": _signatures(version.signatures),
    }
    return "\n\n".join("\n".join([title, *_aligned(list(lines))]) for title, lines in parts.items())


def _manifest(manifest: Manifest) -> Lines:
    yield "name", manifest.name
    yield "family", manifest.family
    yield "vocabulary", f"{manifest.vocabulary_size:,}"
    yield "context", f"{manifest.context_length:,} tokens"
    yield "state", manifest.state_layout
    tokens = manifest.special_tokens
    yield "special tokens", f"bos {tokens.bos}, eos {list(tokens.eos)}, pad {tokens.pad}"
    yield "generation", ", ".join(_generation(manifest.generation)) or "the API's own defaults"
    yield "chat template", _template(manifest.chat_template)


def _generation(defaults: GenerationDefaults) -> Iterator[str]:
    """Yields the values that differ from the API's own defaults."""
    for field in fields(defaults):
        value = getattr(defaults, field.name)
        if value != field.default:
            yield f"{field.name} {value:g}"


def _template(template: str | None) -> str:
    return "none" if template is None else f"{len(template):,} characters"


def _size(version: PublishedVersion) -> Lines:
    dtypes = (["int8"] if version.quantized else []) + list(version.dtypes)
    yield "parameters", f"{version.parameters:,} ({', '.join(dtypes) or 'no weights'})"
    for kind, size in version.files().items():
        yield kind, _bytes(size)


def _memory(manifest: Manifest) -> Lines:
    """Yields the memory that sessions' state takes."""
    full = manifest.context_length
    if manifest.pool is not None:
        yield from _pool(manifest.pool)
    else:
        yield "a token", _bytes(manifest.state_bytes(1) - manifest.state_bytes(0))
        yield "a session, before its first token", _bytes(manifest.state_bytes(0))
        for tensor in manifest.state:
            yield f"  {tensor.name}", f"{tensor.dtype} {list(tensor.shape)}" + _growth(tensor.growth_axis)
    yield f"a session of {full:,} tokens", _bytes(manifest.state_bytes(full))


def _growth(axis: int | None) -> str:
    return "" if axis is None else f", axis {axis} grows"


def _pool(pool: Pool) -> Lines:
    yield "a token", f"{_bytes(pool.bytes_per_block / pool.block_size)}, in whole blocks"
    yield "a block", f"{_bytes(pool.bytes_per_block)} for {pool.block_size} tokens"


def _signatures(signatures: Sequence[PublishedSignature]) -> Lines:
    for signature in signatures:
        yield signature.name, ""
        for label, tensors in (("in", signature.inputs), ("out", signature.outputs)):
            for tensor in tensors:
                yield f"  {label}", str(tensor)


def _aligned(lines: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(label) for label, _ in lines), default=0)
    return [f"  {label.ljust(width)}  {text}".rstrip() for label, text in lines]


def _bytes(count: float) -> str:
    """Formats a size with a unit, in three digits."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
