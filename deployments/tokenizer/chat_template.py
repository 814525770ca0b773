"""A model's chat template: renders a conversation as the text format that the model was trained on.

Renders as the transformers library does. Templates come with servables, so they run in Jinja's immutable
sandbox.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deployments.errors import RequestError
from deployments.messages import ChatMessage


class ChatTemplate:
    """One template. It is compiled at its first use, so that a broken one does not affect completions."""

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        """`tokens` maps the names that templates use, such as `eos_token`, to the texts of special tokens."""
        self._source = source
        self._tokens = tokens

    @cached_property
    def _template(self) -> Template:
        return _environment().from_string(self._source)

    def render(self, messages: Sequence[ChatMessage]) -> str:
        """Renders the prompt for the assistant's next message; raises RequestError if the template fails."""
        try:
            return self._template.render(
                messages=[_plain(message) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **self._tokens,
            )
        # A template is a program that came with the model: it can raise anything.
        except Exception as error:
            raise RequestError(f"The model's chat template refuses: {error}", param="messages") from error


class GenerationTag(Extension):
    """The block `generation`, which marks the assistant's text for training; here it has no effect."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        """Parses the block to the nodes inside it."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _plain(message: ChatMessage) -> dict[str, Any]:
    name = {} if message.name is None else {"name": message.name}
    return {"role": message.role, "content": message.content, **name}


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Replaces Jinja's own `tojson`, which escapes characters for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
