"""Assembles the text of one generation from its tokens: incremental decoding, then stop strings. Pure."""

from collections.abc import Collection, Sequence

from deployments.detokenizer.incremental_text import IncrementalText
from deployments.detokenizer.stop_strings import StopStrings
from deployments.detokenizer.token_decoder import TokenDecoder
from deployments.detokenizer.token_texts import TokenTexts
from deployments.messages import FinishReason, TextChunk, TextLogprobs, TokenChunk, TokenLogprobs


class TextAssembler:
    """Converts the token chunks of one generation to text chunks.

    `prompt` holds the token ids that the text continues, `end_ids` those that end a generation and are not
    shown. With `texts`, the token chunks must have log-probabilities, and the text chunks get them.
    """

    def __init__(
        self,
        decoder: TokenDecoder,
        prompt: Sequence[int],
        stops: Sequence[str],
        end_ids: Collection[int],
        texts: TokenTexts | None = None,
    ) -> None:
        self._text = IncrementalText(decoder, prompt)
        self._stops = StopStrings(stops)
        self._end_ids = end_ids
        self._texts = texts
        self._tokens = 0
        self._cached = 0
        self._logprobs: list[TextLogprobs] = []

    def push(self, chunk: TokenChunk) -> TextChunk | None:
        """Adds `chunk` and returns the new text; None if there is none yet and the generation goes on.

        No chunk may follow a result whose `finish` is set.
        """
        self._cached += chunk.cached
        shown: list[str] = []
        for i, token in enumerate(self._shown_ids(chunk)):
            self._tokens += 1
            if chunk.logprobs is not None:
                self._add_logprobs(token, chunk.logprobs[i])
            released = self._stops.push(self._text.push(token))
            shown.append(released.text)
            if released.stopped:
                return self._chunk(shown, FinishReason.STOP)
        self._tokens += len(chunk.ids) - len(self._shown_ids(chunk))
        return self._last(shown, chunk.finish) if chunk.finish else self._delta(shown)

    def _add_logprobs(self, token: int, logprobs: TokenLogprobs) -> None:
        if self._texts is not None:
            text = self._texts.of(token, logprobs.logprob)
            self._logprobs.append(TextLogprobs(text, self._text.length, self._texts.top(logprobs)))

    def _shown_ids(self, chunk: TokenChunk) -> tuple[int, ...]:
        """Returns the ids of `chunk` without the one that ended the generation."""
        ended = chunk.finish is FinishReason.STOP and chunk.ids and chunk.ids[-1] in self._end_ids
        return chunk.ids[:-1] if ended else chunk.ids

    def _delta(self, shown: list[str]) -> TextChunk | None:
        return self._chunk(shown, None) if any(shown) else None

    def _last(self, shown: list[str], finish: FinishReason) -> TextChunk:
        released = self._stops.push(self._text.flush())
        shown.append(released.text)
        if released.stopped:
            return self._chunk(shown, FinishReason.STOP)
        return self._chunk([*shown, self._stops.flush()], finish)

    def _chunk(self, shown: list[str], finish: FinishReason | None) -> TextChunk:
        tokens, self._tokens = self._tokens, 0
        cached, self._cached = self._cached, 0
        logprobs, self._logprobs = tuple(self._logprobs), []
        return TextChunk("".join(shown), tokens, finish, None if self._texts is None else logprobs, cached)
