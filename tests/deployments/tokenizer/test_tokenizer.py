"""Prompts are encoded as token ids by the servable's own tokenizer and template."""

import json
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, models, processors

from contract.manifest import SpecialTokens
from deployments.errors import ContextOverflow, RequestError
from deployments.messages import ChatMessage, ChatPrompt, ServableDescription, TextPrompt, TokenPrompt
from deployments.tokenizer.chat_template import ChatTemplate
from deployments.tokenizer.prompt_encoder import PromptEncoder
from tests.deployments.fakes import BOS, CONTEXT_LENGTH, EOS, servable

HELLO = ChatMessage("user", "hi")


def with_special_tokens(special: SpecialTokens) -> ServableDescription:
    fake = servable()
    return replace(fake, manifest=replace(fake.manifest, special_tokens=special))


def with_beginning_prepended() -> ServableDescription:
    """The byte model with a post-processor that puts <bos> before every text."""
    fake = servable()
    tokenizer = Tokenizer.from_buffer(fake.tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", BOS)]
    )
    return replace(fake, tokenizer=tokenizer.to_str().encode())


def test_a_text_gets_the_special_tokens_of_the_tokenizer_and_a_chat_those_of_its_template() -> None:
    encoder = PromptEncoder(with_beginning_prepended())
    assert encoder.encode(TextPrompt("echo", "hi")).ids == (BOS, 104, 105)
    assert encoder.encode(ChatPrompt("echo", (HELLO,))).ids == (104, 105)


def test_an_encoded_prompt_says_what_the_model_allows() -> None:
    encoded = PromptEncoder(servable()).encode(TokenPrompt("echo", (1, 2)))
    assert encoded.servable == servable().id
    assert encoded.context_length == CONTEXT_LENGTH
    assert encoded.defaults == servable().manifest.generation


@pytest.mark.parametrize(
    ("special", "ids"),
    [
        (SpecialTokens(bos=BOS, eos=(EOS,)), (BOS,)),
        (SpecialTokens(eos=(EOS,)), (EOS,)),
    ],
)
def test_an_empty_prompt_is_the_token_that_begins_texts(special: SpecialTokens, ids: tuple[int, ...]) -> None:
    assert PromptEncoder(with_special_tokens(special)).encode(TextPrompt("echo", "")).ids == ids


def test_an_empty_prompt_without_such_a_token_is_refused() -> None:
    with pytest.raises(RequestError, match="no beginning- or end-of-sequence token"):
        PromptEncoder(with_special_tokens(SpecialTokens())).encode(TextPrompt("echo", ""))


def test_the_prompt_may_fill_the_context_but_for_one_token() -> None:
    encoder = PromptEncoder(servable())
    assert len(encoder.encode(TextPrompt("echo", "a" * (CONTEXT_LENGTH - 1))).ids) == CONTEXT_LENGTH - 1
    with pytest.raises(ContextOverflow, match=f"holds {CONTEXT_LENGTH} tokens, and the prompt alone has 70"):
        encoder.encode(TextPrompt("echo", "a" * 70))


def test_a_text_that_the_tokenizer_cannot_encode_is_the_requests_error() -> None:
    fake = servable()
    strict = Tokenizer(models.Unigram([("a", -1.0)]))
    encoder = PromptEncoder(replace(fake, tokenizer=strict.to_str().encode()))
    with pytest.raises(RequestError, match="cannot encode this text") as refusal:
        encoder.encode(TextPrompt("echo", "ab"))
    assert refusal.value.param == "prompt"


def test_a_token_of_the_tokenizer_that_the_model_lacks_is_refused_by_its_text() -> None:
    fake = servable()
    wider = Tokenizer.from_buffer(fake.tokenizer)
    wider.add_special_tokens(["<image>"])
    encoder = PromptEncoder(replace(fake, tokenizer=wider.to_str().encode()))
    with pytest.raises(RequestError, match="does not have the token '<image>'") as refusal:
        encoder.encode(ChatPrompt("echo", (ChatMessage("user", "a<image>"),)))
    assert refusal.value.param == "messages"


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, {"bos_token": "<b>", "eos_token": "<e>"})


def test_a_template_has_the_variables_and_functions_that_templates_use() -> None:
    source = (
        "{{ bos_token }}\n"
        "{% for message in messages %}\n"
        "    {% if loop.index > 1 %}{% break %}{% endif %}\n"
        "{{ message.role }}: {{ message['content'] }}{{ eos_token }}\n"
        "{% endfor %}\n"
        "{% if add_generation_prompt %}assistant:{% endif %}"
        "{{ strftime_now('%%') }}"
    )
    assert template(source).render([HELLO, HELLO]) == "<b>\nuser: hi<e>\nassistant:%"


def test_a_message_has_a_name_only_where_one_was_given() -> None:
    source = "{% for m in messages %}{{ m | tojson }};{% endfor %}"
    first, second, _ = template(source).render([HELLO, replace(HELLO, name="ada")]).split(";")
    assert json.loads(first) == {"role": "user", "content": "hi"}
    assert json.loads(second)["name"] == "ada"


def test_json_in_a_template_is_not_escaped_for_html() -> None:
    text = ChatMessage("user", "<'é'>")
    assert template("{{ messages[0].content | tojson }}").render([text]) == "\"<'é'>\""
    assert template("{{ 'é' | tojson(ensure_ascii=true) }}").render([HELLO]) == '"\\u00e9"'


def test_a_template_has_no_tools_no_documents_and_no_token_without_a_text() -> None:
    source = (
        "{{ tools is none }} {{ documents is none }} {{ pad_token is defined }} {{ bos_token is defined }}"
    )
    assert template(source).render([HELLO]) == "True True False True"


def test_a_template_may_mark_what_the_assistant_says() -> None:
    source = "{% for m in messages %}{%- generation -%}\n {{ m.content }}\n{% endgeneration %}{% endfor %}."
    assert template(source).render([HELLO, HELLO]) == "hi\nhi\n."


@pytest.mark.parametrize(
    "source",
    [
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages.append(1) }}",
        "{{ messages.__class__.__mro__ }}",
        "{{ messages[3].content }}",
        "{{ 1 / 0 }}",
        "{{ unknown() }}",
        "{% for %}",
    ],
)
def test_a_template_that_refuses_or_oversteps_is_the_requests_error(source: str) -> None:
    with pytest.raises(RequestError) as refusal:
        template(source).render([HELLO])
    assert refusal.value.param == "messages"


def test_the_reason_of_a_template_reaches_the_client() -> None:
    with pytest.raises(RequestError, match="roles must alternate"):
        template("{{ raise_exception('roles must alternate') }}").render([HELLO])
