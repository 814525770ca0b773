"""A servable with a byte tokenizer and a decoder that echoes: every answer can be computed by hand.

The tokenizer has one token for each byte, with the byte as its id, and `<bos>` = 256, `<eos>` = 257. So the
prompt "ab" is (97, 98). The fake decoder answers with the prompt itself, one token per chunk, and then
<eos>: for "ab" the chunks are (97,), (98,) and (257,) with finish "stop"; with max_tokens = 1 the only chunk
is (97,) with finish "length". The chat template joins the contents of the messages, and rejects messages
whose author is named "nobody".

If log-probabilities are asked for, token t has -0.5, and the likeliest tokens at its position are t, t + 1,
t + 2, ... with -0.5, -1.5, -2.5, ...

Prompts that begin with an exclamation mark are scripted instead:

    !overloaded     Overloaded at once                !unavailable    ModelServerUnavailable at once
    !overflow       ContextOverflow at once           !bug            a plain RuntimeError at once
    !die            "!", then the decoder's process ends
    !break          "!", "b", then ModelServerUnavailable
    !forever        "!" again and again, until the stream is closed
    !hang           no chunk at all, until the stream is closed
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from ray import serve
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from contract.manifest import GenerationDefaults, Manifest, SpecialTokens, StateTensor
from deployments.config import ModelArgs
from deployments.decoder import intake
from deployments.errors import ContextOverflow, ModelServerUnavailable, Overloaded
from deployments.messages import (
    DecoderStatus,
    FinishReason,
    GenerateRequest,
    ServableDescription,
    ServableId,
    TokenChunk,
    TokenLogprobs,
)
from deployments.streams import remote
from deployments.streams.frames import LaneAddress
from deployments.streams.outlets import Outlets

BOS, EOS = 256, 257
CONTEXT_LENGTH = 64
TEMPLATE = (
    "{% for m in messages %}{% if m.name == 'nobody' %}{{ raise_exception('who is it?') }}{% endif %}"
    "{{ m.content }}{% endfor %}"
)


def byte_tokenizer() -> Tokenizer:
    """Builds the tokenizer with one token per byte, the byte as its id; then <bos> and <eos>."""
    vocabulary = {character: byte for byte, character in enumerate(_byte_characters())}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<bos>"), AddedToken("<eos>")])
    return tokenizer


def _byte_characters() -> list[str]:
    """Returns the characters that stand for bytes in byte-level vocabularies, in the order of the bytes."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    stands_for = {byte: byte for byte in printable} | {byte: 256 + n for n, byte in enumerate(others)}
    return [chr(stands_for[byte]) for byte in range(256)]


def servable(model: str = "echo", chat: bool = True, version: int = 1) -> ServableDescription:
    """Describes the byte model, under any name."""
    manifest = Manifest(
        name=model,
        family="fake",
        vocabulary_size=258,
        context_length=CONTEXT_LENGTH,
        state=(StateTensor("h", "float32", (1,)),),
        special_tokens=SpecialTokens(bos=BOS, eos=(EOS,)),
        generation=GenerationDefaults(temperature=0.5, max_tokens=8),
        chat_template=TEMPLATE if chat else None,
    )
    return ServableDescription(ServableId(model, version), manifest, byte_tokenizer().to_str().encode())


@dataclass
class Script:
    """The fake decoder, without Serve."""

    servable: ServableDescription
    running: int = 0
    change: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        intake.check(request, self.servable)
        await self._count(+1)
        try:
            async with aclosing(self._chunks(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            await self._count(-1)

    async def _count(self, change: int) -> None:
        self.running += change
        async with self.change:
            self.change.notify_all()

    async def until_running(self, number: int) -> None:
        """Waits until exactly `number` generations are running."""
        async with self.change:
            await self.change.wait_for(lambda: self.running == number)

    async def _chunks(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        match bytes(t for t in request.prompt_ids if t < 256).decode(errors="replace").split("!")[1:]:
            case ["overloaded"]:
                raise Overloaded("The queue is full.")
            case ["unavailable"]:
                raise ModelServerUnavailable("No model server answers.")
            case ["overflow"]:
                raise ContextOverflow("It does not fit.", "max_tokens")
            case ["die"]:
                yield TokenChunk((ord("!"),))
                os._exit(1)
            case ["bug"]:
                raise RuntimeError("a bug")
            case ["break"]:
                yield TokenChunk((ord("!"),))
                yield TokenChunk((ord("b"),))
                raise ModelServerUnavailable("The model server went away.")
            case ["forever"]:
                while True:
                    yield TokenChunk((ord("!"),))
                    await asyncio.sleep(0.001)
            case ["hang"]:
                await asyncio.Event().wait()
            case _:
                for chunk in echo(request):
                    yield chunk


def echo(request: GenerateRequest) -> list[TokenChunk]:
    ids = (*request.prompt_ids, EOS)[: request.max_tokens]
    finish = FinishReason.STOP if ids[-1] == EOS else FinishReason.LENGTH
    *before, last = [TokenChunk((token,), logprobs=_logprobs(token, request)) for token in ids]
    return [*before, replace(last, finish=finish)]


def _logprobs(token: int, request: GenerateRequest) -> tuple[TokenLogprobs, ...] | None:
    if (count := request.sampling.logprobs) is None:
        return None
    top = tuple((token + n, -0.5 - n) for n in range(count))
    return (TokenLogprobs(-0.5, top),)


def _wide(servable: ServableDescription) -> bytes:
    """Returns the tokenizer followed by 6 MB of white space, which JSON allows."""
    return servable.tokenizer + b" " * 6_000_000


@serve.deployment
class FakeDecoder:
    """The fake as a deployment. The model "mute" has no chat template, and "wide" has a large tokenizer."""

    def __init__(self, args: ModelArgs) -> None:
        self._script = Script(servable(args.name, chat=args.name != "mute"))
        self._outlets = Outlets()
        if args.name == "wide":
            self._script.servable = replace(self._script.servable, tokenizer=_wide(self._script.servable))

    async def servable(self) -> ServableDescription:
        return self._script.servable

    async def status(self) -> DecoderStatus:
        return DecoderStatus(
            self._script.servable.id.version,
            servers=1,
            waiting=0,
            running=self._script.running,
            states=0,
            state_bytes=0,
        )

    async def generate(self, request: GenerateRequest, reader: LaneAddress) -> None:
        await remote.write_stream(reader, self._outlets, self._script.generate(request))

    async def replace(self) -> None:
        """Replaces the servable by the next version of the model."""
        version = self._script.servable.id.version + 1
        self._script.servable = servable(self._script.servable.id.model, version=version)

    async def until_running(self, number: int) -> None:
        await self._script.until_running(number)
