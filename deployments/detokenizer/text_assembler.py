"""The text of one generation out of its tokens: incremental decoding, then stop strings. Pure.

Does not know where tokens come from, nor where text goes.
"""

from collections.abc import Collection, Sequence

from deployments.detokenizer.incremental_text import IncrementalText
from deployments.detokenizer.stop_strings import StopStrings
from deployments.detokenizer.token_decoder import TokenDecoder
from deployments.detokenizer.token_texts import TokenTexts
from deployments.messages import FinishReason, TextChunk, TextLogprobs, TokenChunk, TokenLogprobs


class TextAssembler:
    """Turns token chunks into text chunks; `eos` are the ids that end a generation without a text.

    The text goes on from that of `prompt`. With `texts`, chunks bring log-probabilities, which are told with
    the tokens that they belong to.
    """

    def __init__(
        self,
        decoder: TokenDecoder,
        prompt: Sequence[int],
        stops: Sequence[str],
        eos: Collection[int],
        texts: TokenTexts | None = None,
    ) -> None:
        self._text = IncrementalText(decoder, prompt)
        self._stops = StopStrings(stops)
        self._eos = eos
        self._texts = texts
        self._tokens = 0
        self._cached = 0
        self._told: list[TextLogprobs] = []

    def push(self, chunk: TokenChunk) -> TextChunk | None:
        """What can be shown now; None where nothing can. The chunk with `finish` is the last."""
        self._cached += chunk.cached
        shown: list[str] = []
        for i, token in enumerate(self._spoken(chunk)):
            self._tokens += 1
            if chunk.logprobs is not None:
                self._tell(token, chunk.logprobs[i])
            released = self._stops.push(self._text.push(token))
            shown.append(released.text)
            if released.stopped:
                return self._chunk(shown, FinishReason.STOP)
        self._tokens += len(chunk.ids) - len(self._spoken(chunk))
        return self._last(shown, chunk.finish) if chunk.finish else self._some(shown)

    def _tell(self, token: int, logprobs: TokenLogprobs) -> None:
        if self._texts is not None:
            text = self._texts.of(token, logprobs.logprob)
            self._told.append(TextLogprobs(text, self._text.length, self._texts.top(logprobs)))

    def _spoken(self, chunk: TokenChunk) -> tuple[int, ...]:
        ended = chunk.finish is FinishReason.STOP and chunk.ids and chunk.ids[-1] in self._eos
        return chunk.ids[:-1] if ended else chunk.ids

    def _some(self, shown: list[str]) -> TextChunk | None:
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
        told, self._told = tuple(self._told), []
        return TextChunk("".join(shown), tokens, finish, None if self._texts is None else told, cached)
