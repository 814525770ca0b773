"""A model's chat template: a conversation as the text that the model was trained on.

Templates come with servables, so they run in Jinja's immutable sandbox. Does not know tokens, except for the
texts of the special ones that templates name.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deployments.errors import RequestError
from deployments.messages import ChatMessage


class ChatTemplate:
    """One template, compiled when it is first used: a broken one leaves plain completions alone."""

    def __init__(self, source: str, bos_token: str, eos_token: str) -> None:
        self._source = source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}

    @cached_property
    def _template(self) -> Template:
        return _environment().from_string(self._source)

    def render(self, messages: Sequence[ChatMessage]) -> str:
        """The prompt for the assistant's next message; RequestError where the template refuses."""
        try:
            return self._template.render(
                messages=[_plain(message) for message in messages], add_generation_prompt=True, **self._tokens
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise RequestError(f"The model's chat template refuses: {error}", param="messages") from error


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _plain(message: ChatMessage) -> dict[str, Any]:
    name = {} if message.name is None else {"name": message.name}
    return {"role": message.role, "content": message.content, **name}


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
