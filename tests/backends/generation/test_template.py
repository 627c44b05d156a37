"""Chat templates: rendered as Hugging Face does, in a sandbox, with errors that help the client."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError
from tests.backends.images import about, plain

from hoonify_backends.generation.template import ChatTemplate
from hoonify_router.errors import InvalidRequest, InvalidValue, RouterError, Unsupported
from hoonify_router.types import (
    ImagePart,
    ImageURL,
    Message,
    RefusalPart,
    TextPart,
)

ROLES = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"
USER = [Message("user", "hi")]


def render(source: str, messages: list[Message] = USER, **extra: Any) -> str:
    return ChatTemplate(source, {"bos_token": {"content": "<s>"}, "eos_token": "</s>"}).render(
        messages, extra
    )


def test_messages_and_the_generation_prompt() -> None:
    """Role and content of each message, and that an answer is wanted."""
    source = ROLES + "{% if add_generation_prompt %}[assistant:{% endif %}"
    assert render(source, [Message("system", "s"), *USER]) == "[system:s][user:hi][assistant:"


def test_blocks_leave_no_blank_lines() -> None:
    """Templates are written for trimmed blocks."""
    assert render("{% if true %}\n  a\n  {% endif %}\nb") == "  a\nb"


def test_special_tokens_are_known_by_name() -> None:
    """As text, also where the tokenizer's configuration wraps them in an object."""
    assert render("{{ bos_token }}|{{ eos_token }}|{{ unk_token is defined }}") == "<s>|</s>|False"


def test_the_extras_of_hugging_face() -> None:
    """Loop controls, the date, and JSON without HTML escapes."""
    assert (
        render("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}")
        == "1"
    )
    assert re.fullmatch(r"\d{4}-\d\d", render("{{ strftime_now('%Y-%m') }}"))
    assert render("{{ {'a': '<é>'} | tojson }}") == '{"a": "<é>"}'
    assert render("{{ [1] | tojson(indent=1) }}") == "[\n 1\n]"


def test_parts_of_text_are_joined_by_lines() -> None:
    """Content may come in parts; a refusal of an earlier turn is text too."""
    parts = Message("user", [TextPart("one"), RefusalPart("no"), TextPart("two")])
    assert render(ROLES, [parts]) == "[user:one\nno\ntwo]"


def test_an_image_is_refused_by_its_place() -> None:
    """A text model says which part it cannot read."""
    message = Message("user", [TextPart("see"), ImagePart(ImageURL("https://x.test/a.png"))])
    with pytest.raises(Unsupported) as caught:
        render(ROLES, [*USER, message])
    assert caught.value.param == "messages[1].content[1]"


def test_a_message_without_content_is_empty_or_the_refusal() -> None:
    """Assistant turns that only called tools or refused have no content."""
    messages = [Message("assistant"), Message("assistant", refusal="no")]
    assert render(ROLES, messages) == "[assistant:][assistant:no]"


def test_the_developer_role_is_the_systems_newer_name() -> None:
    """Templates that do not know it get ``system``; those that do get it as it is."""
    messages = [Message("developer", "d")]
    assert render(ROLES, messages) == "[system:d]"
    assert render(ROLES + "{# developer #}", messages) == "[developer:d]"


def test_earlier_tool_calls_reach_the_template_as_objects() -> None:
    """Arguments come as JSON text and are walked by templates; text that is none stays text."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    broken = {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{x"}}
    message = Message("assistant", tool_calls=[call, broken])
    tool = Message("tool", "3", name="f", tool_call_id="1")
    source = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
        "{{ c.function.arguments }};{% endfor %}{{ m.tool_call_id or '' }}{{ m.name or '' }}"
        "{% if not m.tool_calls %}{{ m.content }}{% endif %}{% endfor %}"
    )
    assert render(source, [message, tool]) == "f{'x': 1};f{x;1f3"


def test_extra_values_reach_the_template() -> None:
    """What ``chat_template_kwargs`` says, such as whether to think."""
    assert render("{{ enable_thinking }}", enable_thinking=False) == "False"
    assert render("{{ add_generation_prompt }}", add_generation_prompt=False) == "False"


@pytest.mark.parametrize("name", ["messages", "tools", "raise_exception", "range", "eos_token"])
def test_extra_values_cannot_replace_what_the_router_gives(name: str) -> None:
    """Neither the conversation nor the template's own functions."""
    with pytest.raises(InvalidValue) as caught:
        ChatTemplate(ROLES, {"eos_token": "</s>"}).render(USER, {name: []})
    assert caught.value.param == f"chat_template_kwargs.{name}"


def test_a_templates_own_refusal_reaches_the_client() -> None:
    """With its words: they say which order of roles it wants."""
    with pytest.raises(InvalidRequest, match="roles must alternate") as caught:
        render("{{ raise_exception('roles must alternate') }}")
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages[7].content }}",
        "{{ messages[0].content + 1 }}",
        "{{ 1 // 0 }}",
        "{{ nothing.thing }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ range(10000000) }}",
    ],
)
def test_what_a_template_cannot_render_is_the_requests_fault(source: str) -> None:
    """Missing fields, forbidden attributes and wrong types are 400s without any inner word."""
    with pytest.raises(InvalidRequest) as caught:
        render(source)
    assert caught.value.status == 400
    assert "__" not in caught.value.message


def test_a_broken_template_fails_at_once() -> None:
    """It is found when the model is loaded, not with the first request."""
    with pytest.raises(TemplateSyntaxError):
        ChatTemplate("{% if %}", {})


def test_the_shipped_template(model_path: Path) -> None:
    """It takes every role and asks for an answer."""
    source = (model_path / "chat_template.jinja").read_text()
    config = json.loads((model_path / "tokenizer_config.json").read_text())
    template = ChatTemplate(source, config)
    text = template.render([Message("developer", "Be brief."), *USER])
    assert "Be brief." in text
    assert text.index("hi") < text.rindex("assistant")


def test_errors_are_ours() -> None:
    """Whatever is raised can cross to the client."""
    with pytest.raises(RouterError):
        render("{{ raise_exception(1) }}")


TOOL = {"type": "function", "function": {"name": "look_up", "strict": True}}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"x": 1}'},
}
CALLED = [
    Message("user", "q"),
    Message("assistant", tool_calls=[CALL, {**CALL, "id": "call_2"}]),
    Message("tool", "forty-two", tool_call_id="call_1"),
    Message("tool", "forty-three", tool_call_id="call_2"),
    Message("user", "and?"),
]
TAKES_TURNS = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns') }}{% endif %}"
    "[{{ m.role }}:{{ m.content }}]{% endfor %}"
)


def told(source: str, messages: list[Message], parser: str | None = None) -> str:
    return ChatTemplate(source, {}, parser).render(messages, None, [TOOL])


def test_a_template_that_knows_tools_gets_them() -> None:
    """With what such templates rely on, and without what is for the engine only."""
    source = "{{ tools | tojson }}" + ROLES
    assert told(source, USER) == (
        '[{"type": "function", "function": {"name": "look_up", "description": "", "parameters":'
        ' {"type": "object", "properties": {}}}}][user:hi]'
    )
    assert render("{{ tools is none }}") == "True"


@pytest.mark.parametrize(
    ("parser", "call"),
    [
        (None, '{"name": "function_name", "arguments": {"argument_name": "value"}}'),
        ("hermes", '<tool_call>\n{"name": "function_name", "arguments"'),
        ("mistral", '[TOOL_CALLS][{"name": "function_name", "arguments"'),
        ("llama3_json", '{"name": "function_name", "parameters"'),
        ("pythonic", "[function_name(argument_name='value')]"),
    ],
)
def test_a_template_that_knows_none_has_them_told(parser: str | None, call: str) -> None:
    """As a system message, in the words of the format in which the model is to call."""
    text = told(ROLES, USER, parser)
    assert text.startswith("[system:")
    assert '{"name": "look_up"' in text
    assert call in text
    assert text.endswith("[user:hi]")


def test_the_description_joins_the_systems_own_words() -> None:
    """A second system message is more than many templates take."""
    text = told(ROLES, [Message("system", "Be brief."), *USER])
    assert text.startswith("[system:Be brief.\n\nYou can call")
    assert text.count("[system:") == 1


def test_the_description_reaches_a_model_without_a_system_role() -> None:
    """The user tells it then, before anything else."""
    text = told(TAKES_TURNS, USER)
    assert text.startswith("[user:You can call")
    assert text.endswith("\n\nhi]")


def test_a_template_that_only_names_tools_does_not_count() -> None:
    """What it shows is found by trying, not by its words."""
    assert "look_up" in told("{% if tools %}tools!{% endif %}" + ROLES, USER)


def test_earlier_calls_do_not_vanish() -> None:
    """A template that shows content only has them told as the model would write them."""
    text = ChatTemplate(ROLES, {}, "hermes").render(CALLED)
    assert text.count('<tool_call>\n{"name": "look_up", "arguments": {"x": 1}}\n</tool_call>') == 2
    assert "[tool:forty-two][tool:forty-three][user:and?]" in text


def test_results_do_not_vanish() -> None:
    """Where the template refuses the role, the user tells them, and turns are still taken."""
    text = ChatTemplate(TAKES_TURNS, {}).render(CALLED)
    assert "[user:Result of look_up:\nforty-two\n\nResult of look_up:\nforty-three\n\nand?]" in text
    assert '[assistant:{"name": "look_up", "arguments": {"x": 1}}\n{"name"' in text


def test_calls_of_the_older_kind_do_not_vanish() -> None:
    """A ``function_call`` and a message of the role ``function`` say the same with other words."""
    function_call = {"name": "look_up", "arguments": '{"x": 1}'}
    messages = [
        Message("user", "q"),
        Message("assistant", "Hm.", function_call=function_call),
        Message("function", "forty-two", name="look_up"),
    ]
    assert ChatTemplate(ROLES, {}).render(messages) == (
        '[user:q][assistant:Hm.\n{"name": "look_up", "arguments": {"x": 1}}][tool:forty-two]'
    )


def test_a_template_that_knows_calls_gets_them() -> None:
    """Then nothing is written into the text."""
    source = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}<{{ c.function.name }}"
        " {{ c.function.arguments | tojson }}>{% endfor %}{{ m.content }}|{% endfor %}"
    )
    assert ChatTemplate(source, {}).render(CALLED) == (
        'q|<look_up {"x": 1}><look_up {"x": 1}>|forty-two|forty-three|and?|'
    )


def test_ids_are_as_mistrals_templates_want_them() -> None:
    """Nine letters and digits, or they refuse the conversation; a result keeps to its call."""
    source = (
        "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.id | length != 9 %}"
        "{{ raise_exception('nine!') }}{% endif %}<{{ c.id }} {{ c.function }}>{% endfor %}"
        "{{ m.tool_call_id or '' }}{{ m.content }}{% endfor %}"
    )
    text = ChatTemplate(source, {}).render(CALLED)
    assert "<0000call1 " in text
    assert "0000call1forty-two" in text


def test_the_shipped_template_loses_nothing(model_path: Path) -> None:
    """It knows the role ``tool``; calls and tools are told in text."""
    source = (model_path / "chat_template.jinja").read_text()
    config = json.loads((model_path / "tokenizer_config.json").read_text())
    text = ChatTemplate(source, config).render(CALLED, None, [TOOL])
    assert text.startswith("<|system|>You can call")
    assert text.count('{"name": "look_up", "arguments": {"x": 1}}') == 2
    assert "<|tool|>forty-two<|end|><|tool|>forty-three<|end|>" in text


# ------------------------------------------------------------------ images

LISTS_ONLY = (
    "{% for m in messages %}[{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}"
    "{% endfor %}]{% endfor %}"
)


@pytest.mark.parametrize(("source", "shown"), [(ROLES, "[user:{}]"), (LISTS_ONLY, "[{}]")])
def test_images_leave_a_mark_where_they_stand(source: str, shown: str) -> None:
    """Between texts nothing but it; texts beside each other are on lines of their own."""
    image = plain("red")
    messages = about("one", image, image, "two", "three")
    template = ChatTemplate(source, {}, image_mark="<*>")
    assert template.render(messages) == shown.format("one<*><*>two\nthree")


def test_images_are_no_text_for_a_model_that_does_not_see() -> None:
    """The part is named."""
    with pytest.raises(Unsupported, match="reads text only") as refused:
        render(ROLES, about("one", plain("red")))
    assert refused.value.param == "messages[0].content[1]"


def test_templates_that_read_lists_only_get_lists() -> None:
    """Some of models that see are so; a text would be left out without a word."""
    assert render(LISTS_ONLY, [*USER, Message("assistant", "ho")]) == "[hi][ho]"
