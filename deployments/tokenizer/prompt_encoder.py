"""Encodes prompts as token ids with the tokenizer and the chat template of one servable. Pure."""

from functools import singledispatchmethod

from tokenizers import Tokenizer

from deployments.errors import ContextOverflow, RequestError
from deployments.messages import (
    ChatPrompt,
    EncodedPrompt,
    Prompt,
    ServableDescription,
    TextPrompt,
    TokenPrompt,
)
from deployments.tokenizer.chat_template import ChatTemplate


class PromptEncoder:
    """The prompt encoder of one servable."""

    def __init__(self, servable: ServableDescription) -> None:
        self._servable = servable.id
        self._manifest = servable.manifest
        self._tokenizer = Tokenizer.from_buffer(servable.tokenizer)
        source = servable.manifest.chat_template
        texts = servable.manifest.special_tokens.texts
        self._template = None if source is None else ChatTemplate(source, texts)

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """Encodes a prompt; an empty one becomes the model's beginning-of-sequence token.

        Raises RequestError if the model cannot take the prompt, ContextOverflow if it fills the context.
        """
        ids = self._ids(prompt) or self._beginning()
        if len(ids) >= self._manifest.context_length:
            raise ContextOverflow(
                f"The model's context holds {self._manifest.context_length} tokens, and the prompt alone has "
                f"{len(ids)}; at least one must be left for the answer.",
                "messages" if isinstance(prompt, ChatPrompt) else "prompt",
            )
        return EncodedPrompt(
            servable=self._servable,
            ids=ids,
            context_length=self._manifest.context_length,
            defaults=self._manifest.generation,
        )

    @singledispatchmethod
    def _ids(self, prompt: Prompt) -> tuple[int, ...]:
        raise AssertionError(f"{type(prompt).__name__} is not a type of prompt")

    @_ids.register
    def _(self, prompt: TextPrompt) -> tuple[int, ...]:
        return self._text_ids(prompt.text, "prompt", add_special_tokens=True)

    @_ids.register
    def _(self, prompt: TokenPrompt) -> tuple[int, ...]:
        size = self._manifest.vocabulary_size
        for token in prompt.ids:
            if not 0 <= token < size:
                raise RequestError(
                    f"Token id {token} is outside the vocabulary; ids 0 to {size - 1} are allowed.", "prompt"
                )
        return prompt.ids

    @_ids.register
    def _(self, prompt: ChatPrompt) -> tuple[int, ...]:
        if self._template is None:
            raise RequestError(
                f"The model {prompt.model!r} has no chat template; use /v1/completions.", "messages"
            )
        return self._text_ids(self._template.render(prompt.messages), "messages", add_special_tokens=False)

    def _text_ids(self, text: str, param: str, add_special_tokens: bool) -> tuple[int, ...]:
        try:
            ids = self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        # The library raises plain Exception if the vocabulary has no token for a part of the text.
        except Exception as error:
            raise RequestError(f"The model's tokenizer cannot encode this text: {error}", param) from error
        if (highest := max(ids, default=-1)) >= self._manifest.vocabulary_size:
            token = self._tokenizer.id_to_token(highest)
            raise RequestError(f"The model does not have the token {token!r} that this text contains.", param)
        return tuple(ids)

    def _beginning(self) -> tuple[int, ...]:
        """Returns the id that an empty prompt stands for: beginning of sequence, else end of sequence."""
        special = self._manifest.special_tokens
        for token in (special.bos, *special.eos):
            if token is not None:
                return (token,)
        raise RequestError(
            "The prompt is empty, and the model has no beginning- or end-of-sequence token to start from.",
            "prompt",
        )
