"""Parsers of calls: the same calls and text however the text is cut, and nothing lost."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples

from hoonify_backends.generation.tools.formats import FORMATS, tool_format
from hoonify_router.types import ToolCall

OFFERED = ["get_weather", "now", "f"]
WEATHER = {"city": 'São "Paulo" {[<tool_call>]}\\', "days": [1, {"x": None}], "ok": True}
FRAGMENTS = [
    *["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]x1", "<|python_tag|>"],
    *['{"name": "f", "arguments": {"a": 1}}', '{"name": "f", "parameters": {"a": "}{"}}'],
    *['{"arguments": {"b": [1, 2]}, "name": "now"}', '{"name": "nobody", "arguments": {}}'],
    *['{"name": "f"', '"arguments"', ': {"a": "\\"', "}", "{", "[", "]", ", ", "; ", "\n", " "],
    *["[f(a=1)]", "f(", "a='x'", 'b="y"', "now()", ")", "=", "f[ARGS]", "Hello", "é😀", "\\", '"'],
    *["<tool", "[TOOL", "null", "**{", "'", "'''", "True", "get_weather"],
]


def read(
    name: str, pieces: Iterable[str], *, forced: bool = False
) -> tuple[str, list[tuple[str, str]]]:
    """Return the text that a parser gives out, and the calls with their arguments."""
    parser = tool_format(name).new_parser(OFFERED, forced=forced)
    out: list[str | ToolCall] = []
    for piece in pieces:
        out += parser.push(piece)
    out += parser.finish()
    assert parser.push("") == [] == parser.finish()
    return joined(out)


def joined(out: Sequence[str | ToolCall]) -> tuple[str, list[tuple[str, str]]]:
    text, calls = "", []
    for piece in out:
        if isinstance(piece, str):
            assert piece
            text += piece
        elif piece.name:
            assert piece.number == len(calls)
            assert not piece.arguments
            calls.append((piece.name, ""))
        else:
            assert piece.number == len(calls) - 1
            assert piece.arguments
            calls[-1] = (calls[-1][0], calls[-1][1] + piece.arguments)
    return text, calls


def whole(name: str, text: str, *, forced: bool = False) -> tuple[str, list[tuple[str, str]]]:
    """Return what a parser makes of a text, after checking that its pieces make no difference."""
    result = read(name, [text], forced=forced)
    assert read(name, text, forced=forced) == result  # a character at a time
    return result


WRITTEN = [(name, tool_format(name).write) for name in FORMATS]


@pytest.mark.parametrize(("name", "write"), WRITTEN)
def test_calls_as_a_format_writes_them(name: str, write: Any) -> None:
    """One, and several, with everything in their arguments that could be taken for an end."""
    text, calls = whole(name, write([("get_weather", WEATHER)]))
    assert text == ""
    assert [(called, json.loads(arguments)) for called, arguments in calls] == [
        ("get_weather", WEATHER)
    ]
    text, calls = whole(name, write([("get_weather", WEATHER), ("now", {}), ("f", {"a": -1.5e3})]))
    assert text == ""
    assert [(called, json.loads(arguments)) for called, arguments in calls] == [
        ("get_weather", WEATHER),
        ("now", {}),
        ("f", {"a": -1500}),
    ]


@pytest.mark.parametrize(
    ("name", "text", "calls"),
    [
        # no line breaks, no blanks; the closing tag forgotten; another one right behind it
        ("hermes", '<tool_call>{"name":"f","arguments":{"a":1}}</tool_call>', [("f", '{"a":1}')]),
        ("hermes", '<tool_call>\n{"name":"f","arguments":{}}', [("f", "{}")]),
        (
            "hermes",
            '<tool_call>{"name":"f","arguments":{}}<tool_call>{"name":"now"}</tool_call>\n',
            [("f", "{}"), ("now", "{}")],
        ),
        # arguments before the name, arguments as a string, null, something else beside them
        ("hermes", '<tool_call>{"arguments": {"a": [1]}, "name": "f"}', [("f", '{"a": [1]}')]),
        ("hermes", '<tool_call>{"name":"f","arguments":"{\\"a\\": \\"é\\"}"}', [("f", '{"a": "é"}')]),
        ("hermes", '<tool_call>{"name":"f","arguments":null}', [("f", "{}")]),
        ("hermes", '<tool_call>{"id": 7, "name":"f","x":[{}],"arguments":{}}', [("f", "{}")]),
        ("hermes", '<tool_call>{"name":"\\u0066","arguments":{}}', [("f", "{}")]),
        # Mistral's ways
        ("mistral", '[TOOL_CALLS] [{"name": "f", "arguments": {}} ]', [("f", "{}")]),
        ("mistral", '[TOOL_CALLS]{"name": "f", "arguments": {}}', [("f", "{}")]),
        ("mistral", '[TOOL_CALLS]f[ARGS]{"a": 1}', [("f", '{"a": 1}')]),
        ("mistral", '[TOOL_CALLS]f{"a": 1}', [("f", '{"a": 1}')]),
        ("mistral", '[TOOL_CALLS]f[CALL_ID]a1B2[ARGS]{}', [("f", "{}")]),
        ("mistral", "[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]now[ARGS]{}", [("f", "{}"), ("now", "{}")]),
        # Llama's
        ("llama3_json", '<|python_tag|>{"name": "f", "parameters": {}}', [("f", "{}")]),
        ("llama3_json", ' \n{"name": "f", "arguments": {"a": 2}}', [("f", '{"a": 2}')]),
        (
            "llama3_json",
            '{"name": "f", "parameters": {}}; {"name": "now", "parameters": {}}',
            [("f", "{}"), ("now", "{}")],
        ),
        (
            "llama3_json",
            '<|python_tag|>{"name":"f","parameters":{}}<|python_tag|>{"name":"now"}',
            [("f", "{}"), ("now", "{}")],
        ),
        # Python's
        ("pythonic", "[now()]", [("now", "{}")]),
        ("pythonic", " [ f ( a = 1 , ) ] ", [("f", '{"a": 1}')]),
        (
            "pythonic",
            "[f(a='x\\'y', b=[1, (2, None)], c={'k': True}, d=-1.5, e=\"\", g='''q\"''')]",
            [
                (
                    "f",
                    '{"a": "x\'y", "b": [1, [2, null]], "c": {"k": true}, "d": -1.5, "e": "",'
                    ' "g": "q\\""}',
                )
            ],
        ),
        ("pythonic", '[f(a=true, b=null, c={"x": false})]', [
            ("f", '{"a": true, "b": null, "c": {"x": false}}')
        ]),
        ("pythonic", '[f(**{"a": 1, "b": null}), now(**{})]', [
            ("f", '{"a": 1, "b": null}'), ("now", "{}")
        ]),
        ("pythonic", "[f(a=some.name, b={1, 2}, c=1e999)]", [
            ("f", '{"a": "some.name", "b": "{1, 2}", "c": 1e999}')
        ]),
        ("pythonic", "[f(a='\\ud800', b='\\d')]", [("f", '{"a": "\\ud800", "b": "\\\\d"}')]),
        # ours
        ("json", '{"name": "f", "arguments": {}}\n\n{"name": "now", "arguments": {}}\n', [
            ("f", "{}"), ("now", "{}")
        ]),
    ],
)  # fmt: skip
def test_what_models_write(name: str, text: str, calls: list[tuple[str, str]]) -> None:
    """The ways in which models vary their format; blanks about calls are no text."""
    assert whole(name, text) == ("", calls)


@pytest.mark.parametrize(
    ("name", "text", "said", "calls"),
    [
        ("hermes", 'Let me see.\n<tool_call>{"name":"f"}</tool_call>', "Let me see.\n", ["f"]),
        ("hermes", '<tool_call>{"name":"f"}</tool_call>\n Done.', "\n Done.", ["f"]),
        ("hermes", 'a<tool_call>{"name":"f"}</tool_call>b', "ab", ["f"]),
        ("hermes", '<tool_call>{"name":"f"} oops</tool_call>', " oops</tool_call>", ["f"]),
        ("hermes", '<tool_call>{"name":"f", oops', "oops", ["f"]),
        ("mistral", 'Sure.[TOOL_CALLS][{"name":"f"}] Bye', "Sure. Bye", ["f"]),
        ("mistral", '[TOOL_CALLS][{"name":"f"}, oops]', ", oops]", ["f"]),
        ("llama3_json", 'Hm <|python_tag|>{"name": "f"} ok', "Hm  ok", ["f"]),
        ("llama3_json", '{"name":"f","parameters":{}}; or so', "; or so", ["f"]),
        ("pythonic", "[f(a=1)] and more", " and more", ["f"]),
        ("pythonic", "[f(a=1), nobody()]", ", nobody()]", ["f"]),
        ("pythonic", "[f(1)]", "1)]", ["f"]),
        ("json", '{"name":"f","arguments":{}} {"x": 1}', ' {"x": 1}', ["f"]),
    ],
)
def test_text_beside_calls(name: str, text: str, said: str, calls: list[str]) -> None:
    """It stays what it was, before, between and behind them."""
    assert whole(name, text)[0] == said
    assert [called for called, _ in whole(name, text)[1]] == calls


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[(name, "") for name in FORMATS],
        *[(name, " \n ") for name in FORMATS],
        *[(name, 'Plain text, {with} [all] <sorts> of "brackets".\n') for name in FORMATS],
        ("hermes", "<tool_call>"),
        ("hermes", "<tool_call>hello</tool_call>"),
        ("hermes", '<tool_call>{"name": "nobody", "arguments": {}}</tool_call>'),
        ("hermes", '<tool_call>{"arguments": {"a": 1}}</tool_call>'),
        ("hermes", '<tool_call>{"arguments": {"a": [}}, "name": "f"}</tool_call>'),
        ("hermes", '<tool_call>{"name": 3}</tool_call>'),
        ("hermes", "<tool_call>{}</tool_call>"),
        ("hermes", 'x <tool_call>{"name": "ge'),
        ("hermes", "<tool_c"),
        ("mistral", "[TOOL_CALLS]nobody[ARGS]{}"),
        ("mistral", "[TOOL_CALLS]f[ARG]{}"),
        ("mistral", "[TOOL_CALLS]f[CALL_ID]"),
        ("mistral", "[TOOL_CALLS] []"),
        ("mistral", "[TOOL_CALLS]" * 3),
        ("llama3_json", '{"name": "f"}'),
        ("llama3_json", '{"name": "Bob", "parameters": {}}'),
        ("llama3_json", '{"name": "f", "parameters": oops'),
        ("llama3_json", 'See {"name": "f", "parameters": {}}'),
        ("llama3_json", "<|python_tag|>print(1)"),
        ("json", '{"answer": {"name": "f", "arguments": {}}}'),
        ("json", "{" * 50),
        ("pythonic", "[1, 2, 3]"),
        ("pythonic", "[f]"),
        ("pythonic", "f(a=1)"),
        ("pythonic", "[nobody(a=1)]"),
    ],
)
def test_what_is_no_call_is_text(name: str, text: str) -> None:
    """All of it, as it came."""
    assert whole(name, text) == (text, [])


@pytest.mark.parametrize(
    ("name", "text", "calls"),
    [
        ("hermes", '<tool_call>{"name":"f","arguments":{"a": "b', [("f", '{"a": "b')]),
        ("hermes", '<tool_call>{"name":"f"', [("f", "")]),
        ("hermes", '<tool_call>{"name":"f","arguments":{}}\n</tool_', [("f", "{}")]),
        ("hermes", '<tool_call>{"name":"f","arguments":"{\\"a\\": 1', [("f", '{"a": 1')]),
        ("mistral", '[TOOL_CALLS][{"name":"f","arguments":{"a": {"b"', [("f", '{"a": {"b"')]),
        ("mistral", "[TOOL_CALLS]f[ARGS]{", [("f", "{")]),
        ("llama3_json", '{"name":"f","parameters":{"a": "\\', [("f", '{"a": "\\')]),
        ("pythonic", "[f(a=1, b='x", [("f", '{"a": 1')]),
    ],
)
def test_a_call_that_is_cut_keeps_what_was_told(
    name: str, text: str, calls: list[tuple[str, str]]
) -> None:
    """The client sees by the finish reason that it is not whole."""
    said, found = whole(name, text)
    assert found == calls
    assert said in ("", " b='x", "b='x")


@pytest.mark.parametrize("name", FORMATS)
def test_text_goes_out_at_once(name: str) -> None:
    """Nothing waits that cannot be the beginning of a call."""
    parser = tool_format(name).new_parser(OFFERED, forced=False)
    assert parser.push("Hello") == ["Hello"]
    assert parser.push(" wor") == [" wor"]
    assert parser.push("ld. ") == ["ld. "]


def test_a_name_goes_out_before_its_arguments_and_these_as_they_come() -> None:
    """As soon as each is known."""
    parser = tool_format("hermes").new_parser(OFFERED, forced=False)
    assert parser.push('Hm <tool_call>\n{"name": "get_weather') == ["Hm "]
    assert parser.push('"') == [ToolCall(0, "get_weather")]
    assert parser.push(', "arguments": ') == []
    assert parser.push('{"ci') == [ToolCall(0, "", '{"ci')]
    assert parser.push('ty": "Rome"') == [ToolCall(0, "", 'ty": "Rome"')]
    assert parser.push("}}\n</tool_call>") == [ToolCall(0, "", "}")]
    assert parser.finish() == []


def test_a_forced_name_needs_no_arguments_to_be_believed() -> None:
    """Where the answer cannot be anything else; where it can, an object with a name may be an answer."""
    sure = tool_format("json").new_parser(OFFERED, forced=True)
    assert sure.push('{"name": "f"') == [ToolCall(0, "f")]
    wary = tool_format("json").new_parser(OFFERED, forced=False)
    assert wary.push('{"name": "f"') == []
    assert wary.push(', "arguments": {') == [ToolCall(0, "f"), ToolCall(0, "", "{")]


@pytest.mark.parametrize(("name", "write"), WRITTEN)
def test_what_is_cut_off_within_a_forced_call_is_no_text(name: str, write: Any) -> None:
    """A client that asked for calls only never reads the beginning of their markup."""
    written = write([("get_weather", WEATHER)])
    for length in range(len(written)):
        text, calls = whole(name, written[:length], forced=True)
        assert text == ""
        assert len(calls) <= 1


texts = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join) | st.text(max_size=40)


@settings(max_examples=examples(400), deadline=None)
@given(st.sampled_from(FORMATS), texts, st.lists(st.integers(0, 400), max_size=12), st.booleans())
@example("hermes", '<tool_call>{"name": "f", "arguments": {"a": "\\', [40], False)
@example("pythonic", "[f(a='''", [7], False)
def test_cuts_make_no_difference(name: str, text: str, cuts: list[int], forced: bool) -> None:
    """Any cut of any text gives the same calls and the same text as the whole."""
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert read(name, pieces, forced=forced) == whole(name, text, forced=forced)


@settings(max_examples=examples(400), deadline=None)
@given(st.sampled_from(FORMATS), texts)
def test_nothing_is_lost(name: str, text: str) -> None:
    """Where there is no call, all is text; where there are, what is left stands in its order."""
    said, calls = read(name, [text])
    if not calls:
        assert said == text
    rest = iter(text)
    assert all(character in rest for character in said)  # a subsequence of what came


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(
        st.tuples(
            st.sampled_from(OFFERED),
            st.dictionaries(
                st.from_regex(r"[a-z]{1,6}", fullmatch=True),
                st.recursive(
                    st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=9),
                    lambda inner: (
                        st.lists(inner, max_size=3)
                        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
                    ),
                    max_leaves=8,
                ),
                max_size=3,
            ),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", "Let me see. "]),
)
def test_what_is_written_is_read_again(
    name: str, calls: list[tuple[str, Any]], before: str
) -> None:
    """Any calls with any arguments, in every format."""
    if name in ("json", "pythonic", "llama3_json"):
        before = ""  # calls are the whole answer there
    said, found = read(name, [before + tool_format(name).write(calls)])
    assert said == before
    assert [(called, json.loads(arguments)) for called, arguments in found] == calls


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("hermes", '<tool_call>{"arguments": {"a": 1}, '),
        ("hermes", "<tool_call>"),
        ("mistral", "[TOOL_CALLS][{"),
        ("llama3_json", '<|python_tag|>{"x": "'),
        ("json", '{"x": '),
        ("pythonic", "[f(x='"),
    ],
)
def test_a_model_that_loops_costs_little(name: str, unit: str) -> None:
    """Thousands of beginnings that lead to nothing are read in milliseconds."""
    parser = tool_format(name).new_parser(OFFERED, forced=False)
    started = time.process_time()
    for _ in range(3000):
        parser.push(unit)
    parser.finish()
    assert time.process_time() - started < 2
