"""Reads a preset's SentencePiece tokenizer, vocabulary.spm, as a `tokenizer.json`."""

from collections.abc import Iterator
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers

from export.checkpoints.checkpoint import Checkpoint
from export.errors import UnsupportedError
from export.keras_hub import sentence_piece_model as proto

VOCABULARY = "assets/tokenizer/vocabulary.spm"
SPACE = "▁"


def read(preset: Checkpoint) -> Tokenizer:
    """Builds the tokenizer; raises UnsupportedError when its ids would differ from SentencePiece's."""
    path = preset.directory / VOCABULARY
    model = proto.parse(preset.read(VOCABULARY), path)
    _check(model, path)
    tokenizer = Tokenizer(_MODELS[model.trainer_spec.model_type](model))
    tokenizer.normalizer = _normalizer(model.normalizer_spec)
    tokenizer.decoder = _decoder(model.normalizer_spec)
    tokenizer.add_tokens(_added(model))
    return tokenizer


def _check(model: Any, path: object) -> None:
    kinds = {piece.type for piece in model.pieces}
    # tokenizers would also put the prefix before the text that follows such a piece.
    prefixed = proto.USER_DEFINED in kinds and model.normalizer_spec.add_dummy_prefix
    for present, feature in (
        (model.trainer_spec.model_type not in _MODELS, "a model of words or characters"),
        (model.trainer_spec.treat_whitespace_as_suffix, "treat_whitespace_as_suffix"),
        (not model.normalizer_spec.escape_whitespaces, "escape_whitespaces = false"),
        (proto.UNUSED in kinds, "a piece of type UNUSED"),
        (prefixed, "user-defined pieces together with add_dummy_prefix"),
    ):
        if present:
            raise UnsupportedError(
                f"{path}: {feature} is not implemented; --tokenizer takes a tokenizer.json instead"
            )


def _unknown(model: Any) -> int:
    return next(i for i, piece in enumerate(model.pieces) if piece.type == proto.UNKNOWN)


def _unigram(model: Any) -> Any:
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    return models.Unigram(pieces, _unknown(model), model.trainer_spec.byte_fallback)


def _bpe(model: Any) -> Any:
    return models.BPE(
        vocab={piece.piece: i for i, piece in enumerate(model.pieces)},
        merges=_merges(model),
        unk_token=model.pieces[_unknown(model)].piece,
        fuse_unk=True,
        byte_fallback=model.trainer_spec.byte_fallback,
    )


_MODELS = {proto.UNIGRAM: _unigram, proto.BPE: _bpe}


def _merges(model: Any) -> list[tuple[str, str]]:
    """Returns all pairs of pieces that join to a piece, those of the piece with the highest score first."""
    places = {piece.piece: i for i, piece in enumerate(model.pieces) if piece.type == proto.NORMAL}
    scores = {piece: model.pieces[place].score for piece, place in places.items()}
    best = sorted(places, key=lambda piece: (-scores[piece], places[piece]))
    return [pair for piece in best for pair in _pairs(piece, places)]


def _pairs(piece: str, places: dict[str, int]) -> Iterator[tuple[str, str]]:
    pairs = ((piece[:i], piece[i:]) for i in range(1, len(piece)))
    known = [pair for pair in pairs if pair[0] in places and pair[1] in places]
    yield from sorted(known, key=lambda pair: (places[pair[0]], places[pair[1]]))


def _normalizer(spec: Any) -> Any:
    steps: list[Any] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    return normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])


def _decoder(spec: Any) -> Any:
    steps: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if spec.add_dummy_prefix else steps)


def _added(model: Any) -> list[AddedToken]:
    """Returns the tokens that are matched before a text is split.

    SentencePiece matches only the user-defined ones, in the normalized text. The others are added as special
    tokens, because chat templates contain them.
    """
    return [
        AddedToken(
            piece.piece, normalized=piece.type == proto.USER_DEFINED, special=piece.type != proto.USER_DEFINED
        )
        for piece in model.pieces
        if piece.type in (proto.UNKNOWN, proto.CONTROL, proto.USER_DEFINED)
    ]
