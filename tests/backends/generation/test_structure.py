"""What requests ask of their answers' structure: honoured, or refused by name."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer

from hoonify_backends.generation.structure import HONOURED, Structure, Structures
from hoonify_backends.generation.tools.formats import FORMATS
from hoonify_router.errors import InvalidRequest, InvalidValue, RouterError, Unsupported
from hoonify_router.types import ChatRequest, Message, ToolCall

END = 1  # <|end|> of the shipped tokenizer
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 9},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"$ref": "#/$defs/unit"},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"unit": {"enum": ["c", "f"]}},
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "get_weather": WEATHER,
    "now": {"type": "object", "properties": {}, "additionalProperties": False},
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "now"}},
]
STRICT = [{"type": "function", "function": {**tool["function"], "strict": True}} for tool in TOOLS]
MARKERS = {
    "hermes": ["<tool_call>", "</tool_call>", "<think>"],
    "mistral": ["[TOOL_CALLS]"],
    "mistral, newer": ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"],
    "llama3_json": ["<|python_tag|>"],
}
BEGINNINGS = {
    "hermes": "Hm. <tool_call>",
    "mistral": "Hm. [TOOL_CALLS]",
    "llama3_json": "{",
    "json": "{",
    "pythonic": "[",
}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [named(name) for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def ask(**fields: Any) -> ChatRequest:
    return ChatRequest("m", [Message("user", "hi")], **fields)


def form(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def speak(
    tokenizer: Any, structure: Structure, seed: int, *, begin: str = "", limit: int = 500
) -> tuple[str, str, list[tuple[str, str]], str]:
    """Return what a model with random scores says: all of it, its text, its calls, how it ended."""
    random = np.random.default_rng(seed)
    constraint, output = structure.constraint(), structure.output()
    assert constraint is not None
    tokens = tokenizer.encode(begin, add_special_tokens=False).ids
    for token in tokens:
        constraint.saw(token)
    ended = False
    while not ended and len(tokens) < limit:
        logits = random.standard_normal(tokenizer.get_vocab_size()).astype(np.float32)
        logits[END] += 1
        constraint.apply(logits)
        token = int(logits.argmax())
        assert np.isfinite(logits[token])
        constraint.saw(token)
        ended = token == END
        tokens += [] if ended else [token]
    text = tokenizer.decode(tokens, skip_special_tokens=False)
    if output is None:
        return text, text, [], "stop" if ended else "length"
    pieces = output.push(text)
    rest, reason = output.finish("stop" if ended else "length")
    said, calls = "", []
    for piece in pieces + rest:
        if isinstance(piece, str):
            said += piece
        elif piece.name:
            calls.append((piece.name, ""))
        else:
            calls[-1] = (piece.name or calls[-1][0], calls[-1][1] + piece.arguments)
    return text, said, calls, reason


def check(calls: list[tuple[str, str]]) -> None:
    for name, arguments in calls:
        jsonschema.validate(json.loads(arguments), SCHEMAS[name])


@pytest.fixture(scope="module")
def plain(tokenizer: Any) -> Structures:
    """A model that was never taught to call anything."""
    return Structures(tokenizer, tokenizer.get_vocab_size(), frozenset({END}))


@pytest.fixture(scope="module", params=[*FORMATS, *MARKERS])
def taught(request: pytest.FixtureRequest, model_path: Path) -> tuple[Any, Structures, str]:
    """A model of each format, without and with tokens of its own for what begins a call."""
    tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
    name = request.param.partition(",")[0]
    if request.param_index >= len(FORMATS):
        for marker in MARKERS[request.param]:
            special = marker.startswith("[") or "|" in marker
            tokenizer.add_tokens([AddedToken(marker, normalized=False, special=special)])
    size = tokenizer.get_vocab_size()
    return tokenizer, Structures(tokenizer, size, frozenset({END}), name), name


def test_most_requests_have_no_structure(plain: Structures) -> None:
    """Then nothing is constrained, parsed or told."""
    for request in (
        ask(),
        ask(response_format={"type": "text"}),
        ask(tools=TOOLS, tool_choice="none"),
        ask(tools=[], tool_choice="auto", parallel_tool_calls=False),
    ):
        structure = plain.read(request)
        assert structure.tools is None
        assert structure.constraint() is None
        assert structure.output() is None


def test_the_library_is_not_needed_before_it_is_used(tokenizer: Any) -> None:
    """A model is loaded without it; the first structured request builds what it needs."""
    structures = Structures(tokenizer, 1280, frozenset({END}))
    structures.read(ask())
    assert structures._grammars._library is None
    structures.read(ask(response_format={"type": "json_object"}))
    assert structures._grammars._library is not None


@pytest.mark.parametrize(
    ("response_format", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        (form(WEATHER), WEATHER),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, {"type": "object"}),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": WEATHER},
            },
            WEATHER,
        ),
    ],
)
def test_an_answer_in_json(
    response_format: Any, schema: Any, plain: Structures, tokenizer: Any
) -> None:
    """Always constrained, strict or not; where no schema is given, any object will do."""
    structure = plain.read(ask(response_format=response_format))
    assert structure.output() is None
    for seed in range(4):
        text, _, _, reason = speak(tokenizer, structure, seed)
        if reason == "stop":
            jsonschema.validate(json.loads(text), schema)
        assert text.startswith("{")


@pytest.mark.parametrize("choice", ["required", named("get_weather"), allowed("required", "now")])
@pytest.mark.parametrize("several", [None, False])
def test_forced_calls(taught: Any, choice: Any, several: bool | None) -> None:
    """At least one, with arguments that follow the schema; one alone where it is named or wished."""
    tokenizer, structures, _ = taught
    structure = structures.read(ask(tools=TOOLS, tool_choice=choice, parallel_tool_calls=several))
    seen: set[str] = set()
    for seed in range(6):
        _, said, calls, reason = speak(tokenizer, structure, seed)
        if reason == "length":
            continue
        assert (said, reason) == ("", "tool_calls")
        check(calls)
        seen |= {name for name, _ in calls}
        assert len(calls) == 1 or not (
            several is False or (isinstance(choice, dict) and "function" in choice)
        )
    expected = {"required": {"get_weather", "now"}}.get(str(choice)) or {
        "now" if "allowed_tools" in choice else "get_weather"
    }
    assert seen <= expected
    assert seen


def test_forced_calls_need_nothing_of_the_model(plain: Structures, tokenizer: Any) -> None:
    """Without a parser the calls are made in a plain format of ours."""
    structure = plain.read(ask(tools=TOOLS, tool_choice="required"))
    assert structure.tools == TOOLS
    _, said, calls, reason = speak(tokenizer, structure, 1)
    assert (said, reason) == ("", "tool_calls")
    assert calls
    check(calls)


def test_a_free_choice_needs_a_parser(plain: Structures, taught: Any) -> None:
    """Otherwise it is refused, and the message says what to do."""
    for choice in (None, "auto", allowed("auto", "now")):
        with pytest.raises(Unsupported, match="tool_parser") as caught:
            plain.read(ask(tools=TOOLS, tool_choice=choice))
        assert caught.value.param == "tools"
        structure = taught[1].read(ask(tools=TOOLS, tool_choice=choice))
        assert structure.constraint() is None
        assert structure.output() is not None


def test_strict_functions_are_constrained_where_the_model_chooses(taught: Any) -> None:
    """The text is free; once a call begins, it follows the schema."""
    tokenizer, structures, name = taught
    structure = structures.read(ask(tools=STRICT))
    called = 0
    for seed in range(8):
        _, said, calls, reason = speak(tokenizer, structure, seed, begin=BEGINNINGS[name])
        assert said in ("", "Hm. ")
        if reason == "length":
            continue
        assert reason == "tool_calls"
        check(calls)
        called += len(calls)
    assert called


def test_one_call_at_most(taught: Any) -> None:
    """``parallel_tool_calls: false`` lets the answer end behind its first call."""
    tokenizer, structures, name = taught
    structure = structures.read(ask(tools=TOOLS[:1], parallel_tool_calls=False))
    for seed in range(4):
        begin = BEGINNINGS[name]
        _, _, calls, _ = speak(tokenizer, structure, seed, begin=begin)
        assert len(calls) <= 1


def test_an_answer_in_json_or_calls(taught: Any) -> None:
    """With a response format, what is no call follows its schema."""
    tokenizer, structures, _ = taught
    answer = {"type": "object", "properties": {"x": {"enum": [1]}}, "required": ["x"]}
    answer["additionalProperties"] = False
    structure = structures.read(ask(tools=STRICT, response_format=form(answer)))
    kinds = set()
    for seed in range(12):
        _, said, calls, reason = speak(tokenizer, structure, seed)
        if reason == "length":
            continue
        kinds.add(reason)
        if calls:
            check(calls)
            assert said == ""
        else:
            assert json.loads(said) == {"x": 1}
    assert kinds <= {"stop", "tool_calls"}
    assert kinds


def test_what_the_template_is_told(taught: Any) -> None:
    """What may be called, and nothing else."""
    _, structures, _ = taught
    assert structures.read(ask(tools=TOOLS)).tools == TOOLS
    assert structures.read(ask(tools=TOOLS, tool_choice=named("now"))).tools == TOOLS[1:]
    assert structures.read(ask(tools=TOOLS, tool_choice=allowed("auto", "now"))).tools == TOOLS[1:]


def test_a_function_that_is_not_offered_is_not_called(tokenizer: Any) -> None:
    """A model may still write its name: that is text."""
    structures = Structures(tokenizer, 1280, frozenset({END}), "hermes")
    output = structures.read(ask(tools=TOOLS, tool_choice=allowed("auto", "now"))).output()
    assert output is not None
    written = '<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>'
    pieces = output.push(written)
    rest, reason = output.finish("stop")
    assert "".join(piece for piece in pieces + rest if isinstance(piece, str)) == written
    assert reason == "stop"


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_how_an_answer_with_calls_ends(reason: Any, tokenizer: Any) -> None:
    """With ``tool_calls``; one that was cut short stays so."""
    structures = Structures(tokenizer, 1280, frozenset({END}), "hermes")
    output = structures.read(ask(tools=TOOLS)).output()
    assert output is not None
    assert output.push('<tool_call>{"name": "now"')[0] == ToolCall(0, "now")
    assert output.finish(reason)[1] == {"stop": "tool_calls", "length": "length"}[reason]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "stop"),
        ('{"name": "now", "arguments": {"a": "', "stop"),
        ('{"name": "now"', "stop"),
        ('{"name": "now", "arguments": {"a": 1}', "tool_calls"),
        ('{"name": "now", "arguments": {}}</tool_call> And', "tool_calls"),
        ('{"name": "now", "arguments": {}}</tool_call><tool_call>{"name": "now"', "stop"),
    ],
)
def test_how_an_answer_ends_that_a_stop_text_cuts(
    written: str, reason: str, tokenizer: Any
) -> None:
    """Half a call is none that a client should make."""
    structures = Structures(tokenizer, 1280, frozenset({END}), "hermes")
    output = structures.read(ask(tools=TOOLS)).output()
    assert output is not None
    output.push("<tool_call>" + written)
    assert output.finish("stop", cut=True)[1] == reason


def test_which_tokens_are_to_be_seen(model_path: Path) -> None:
    """Markers that are tokens of their own, where a parser looks for them."""
    tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
    for marker in MARKERS["mistral, newer"]:
        tokenizer.add_tokens([AddedToken(marker, normalized=False, special=True)])
    assert Structures(tokenizer, 1283, frozenset({END}), "mistral").visible == {1280, 1281, 1282}
    assert Structures(tokenizer, 1283, frozenset({END}), "hermes").visible == frozenset()
    assert Structures(tokenizer, 1283, frozenset({END})).visible == frozenset()


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        (
            {"response_format": form({"not": {}})},
            InvalidRequest,
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": form({"type": "x"})},
            InvalidRequest,
            "response_format.json_schema.schema",
        ),
        ({"response_format": form(True)}, InvalidRequest, "response_format.json_schema.schema"),
        ({"response_format": {"type": "xml"}}, InvalidValue, "response_format.type"),
        (
            {"response_format": {"type": "json_schema"}},
            InvalidRequest,
            "response_format.json_schema",
        ),
        (
            {"response_format": {"type": "json_object"}, "ignore_eos": True},
            InvalidValue,
            "ignore_eos",
        ),
        ({"functions": [{"name": "f"}]}, Unsupported, "functions"),
        ({"function_call": "auto"}, Unsupported, "function_call"),
        ({"tool_choice": "required"}, InvalidValue, "tool_choice"),
        ({"tool_choice": named("f"), "tools": []}, InvalidValue, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "some"}, InvalidValue, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": named("f")}, InvalidValue, "tool_choice.function.name"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function"}},
            InvalidValue,
            "tool_choice.function.name",
        ),
        ({"tools": TOOLS, "tool_choice": {"type": "custom"}}, Unsupported, "tool_choice.type"),
        (
            {"tools": TOOLS, "tool_choice": allowed("required", "now", "f")},
            InvalidValue,
            "tool_choice.allowed_tools.tools[1].function.name",
        ),
        (
            {"tools": TOOLS, "tool_choice": allowed("sometimes", "now")},
            InvalidValue,
            "tool_choice.allowed_tools.mode",
        ),
        (
            {"tools": TOOLS, "tool_choice": allowed("auto")},
            InvalidValue,
            "tool_choice.allowed_tools.tools",
        ),
        (
            {"tools": TOOLS, "tool_choice": {"type": "allowed_tools"}},
            InvalidRequest,
            "tool_choice.allowed_tools",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, Unsupported, "tools[0].type"),
        ({"tools": [*TOOLS, {"type": "function"}]}, InvalidRequest, "tools[2].function"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, InvalidValue, "tools[1].function.name"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    fields: dict[str, Any], kind: type[RouterError], param: str, plain: Structures
) -> None:
    """Whatever the router's own checks have let through."""
    with pytest.raises(kind) as caught:
        plain.read(ask(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"type": "object", "properties": {"a": {"not": {}}}},
            "at '/properties/a', the keyword 'not'",
        ),
        ({"type": "array"}, "of type 'object'"),
        ([], "must be an object"),
        (
            {"type": "object", "properties": {"a": {"type": "x"}}, "required": ["a"]},
            "Invalid type: x",
        ),
        ({"properties": {"a": {"pattern": "("}}}, "regular expression"),
    ],
)
def test_parameters_that_cannot_be_followed_are_refused(
    parameters: Any, words: str, taught: Any
) -> None:
    """By the function they are of, where calls follow them; else the model alone is told of them."""
    bad = {"type": "function", "function": {"name": "bad", "parameters": parameters}}
    _, structures, _ = taught
    for request in (
        ask(tools=[*TOOLS, bad], tool_choice="required"),
        ask(tools=[*TOOLS, bad], tool_choice=named("bad")),
        ask(tools=[*STRICT, {**bad, "function": {**bad["function"], "strict": True}}]),
    ):
        with pytest.raises(InvalidRequest, match=words) as caught:
            structures.read(request)
        assert (caught.value.status, caught.value.param) == (400, "tools[2].function.parameters")
    assert structures.read(ask(tools=[*TOOLS, bad])).constraint() is None


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"properties": {"a-b": {"enum": [1]}}, "required": ["a-b"], "additionalProperties": False},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/properties/b"}, "b": {"enum": [1, True]}},
            "required": ["a"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"n": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
            "required": ["n"],
            "additionalProperties": False,
        },
        {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 2},
        {
            "type": "object",
            "properties": {key: {"type": ["boolean", "null"]} for key in "abc"},
            "required": ["b"],
            "additionalProperties": False,
        },
    ],
)
def test_arguments_of_any_shape(parameters: dict[str, Any], taught: Any) -> None:
    """Also such as a format has no easy way to write."""
    tokenizer, structures, _ = taught
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    structure = structures.read(ask(tools=[tool], tool_choice=named("f")))
    for seed in range(4):
        _, said, calls, reason = speak(tokenizer, structure, seed, limit=250)
        if reason != "length":
            assert said == ""
            assert [name for name, _ in calls] == ["f"]
            jsonschema.validate(json.loads(calls[0][1]), parameters)
            assert isinstance(json.loads(calls[0][1]), dict)


def test_each_answer_has_its_own(plain: Structures) -> None:
    """Several answers of one request do not share a constraint or a parser."""
    structure = plain.read(ask(tools=TOOLS, tool_choice="required", n=2))
    assert structure.constraint() is not structure.constraint()
    assert structure.output() is not structure.output()


def test_an_unknown_parser_is_refused(tokenizer: Any) -> None:
    """When the model is loaded."""
    with pytest.raises(ValueError, match="hermes, json, llama3_json, mistral, pythonic"):
        Structures(tokenizer, 1280, frozenset({END}), "none such")


def test_the_fields_that_are_honoured() -> None:
    """An engine adds them to its own."""
    assert set(HONOURED) <= set(ChatRequest.__struct_fields__)


def test_the_cost_of_a_token(plain: Structures, tokenizer: Any) -> None:
    """A step of a constrained answer takes microseconds more, not milliseconds."""
    structure = plain.read(ask(response_format=form(WEATHER)))
    random = np.random.default_rng(0)
    taken = []
    for _ in range(20):
        constraint, token = structure.constraint(), None
        assert constraint is not None
        while token != END:
            logits = random.standard_normal(tokenizer.get_vocab_size()).astype(np.float32)
            started = time.perf_counter()
            constraint.apply(logits)
            token = int(logits.argmax())
            constraint.saw(token)
            taken.append(time.perf_counter() - started)
    assert float(np.median(taken)) < 1e-3  # about 15 microseconds on a quiet machine
