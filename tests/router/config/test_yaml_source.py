"""YAML read strictly: keys once, plain data, positions kept, nothing that a file can do to us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from hoonify_router.config import yaml_source
from hoonify_router.config.problems import Problems as Found
from hoonify_router.config.yaml_source import MAX_NODES, read_yaml
from hoonify_router.errors import ConfigError

from .conftest import GOOD, changed

Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            GOOD + "server: {port: 1}\nserver: {port: 2}\n",
            ["8: server: written twice, first in line 7"],
            id="twice",
        ),
        pytest.param(
            changed(
                "{model: ./polly}", "{model: ./polly, sampling: {temperature: 1, temperature: 2}}"
            ),
            ["6: models.polly.options.sampling.temperature: written twice, first in line 6"],
            id="twice-deep",
        ),
        pytest.param(
            GOOD + "---\n" + GOOD,
            ["7:1: a second document begins here; put everything into one"],
            id="two-documents",
        ),
        pytest.param(
            changed("./polly", "!!python/object:os.system ls"),
            [
                '6: models.polly.options.model: the tag "!!python/object:os.system" is not supported; write a plain value'
            ],
            id="tag",
        ),
        pytest.param(
            changed("Nobody", "!secret x"),
            ['3: models.polly.provider: the tag "!secret" is not supported; write a plain value'],
            id="own-tag",
        ),
        pytest.param(
            GOOD + "server: !!omap {port: 1}\n",
            ['7: server: the tag "!!omap" is not supported; write a plain value'],
            id="map-tag",
        ),
        pytest.param(
            changed("{model: ./polly}", "*x"),
            ["6:14: not valid YAML: no anchor &x stands above"],
            id="alias-unknown",
        ),
        pytest.param(
            changed("{model: ./polly}", "&x {model: *x}"),
            ["6:25: *x stands inside of what it refers to"],
            id="alias-itself",
        ),
        pytest.param(
            changed("{model: ./polly}", "{<<: polly, model: x}"),
            [
                "6: models.polly.options.<<: << takes over the keys of a mapping, or of a list of them"
            ],
            id="merge-text",
        ),
        pytest.param(
            GOOD + "[a, b]: c\n",
            ["7: a key must be a text, not a list or a mapping"],
            id="key-list",
        ),
        pytest.param(
            "models: \x07\n", ["1:9: not valid YAML: control character U+0007"], id="control"
        ),
        pytest.param(
            "models: " + "[" * 70 + "]" * 70 + "\n",
            ["1:73: nested more than 64 levels deep"],
            id="deep",
        ),
        pytest.param(
            changed("polly:", "7:"),
            ["2: models: the key 7 is read as a number; put it in quotes"],
            id="model-id-number",
        ),
        pytest.param(
            changed("polly:", "true:"),
            ["2: models: the key true is read as true or false; put it in quotes"],
            id="model-id-bool",
        ),
        pytest.param(changed("polly:", "~:"), ["2: models: a key is empty"], id="model-id-null"),
    ],
)
def test_what_we_do_not_read_is_one_exact_line(
    problems: Problems, text: str, lines: list[str]
) -> None:
    """The line tells what to write instead."""
    assert problems(text) == [f"router.yaml:{line}" for line in lines]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("models:\n\tpolly: {}\n", "2:1", "YAML is indented with spaces, not tabs"),
        ("server: {port: 1\nmodels: x\n", "2:7", "','"),
        ("models: polly: x\n", "1:14", "not allowed"),
        (changed("./polly", "${SECRET}"), "6:23", "put ${NAME} in quotes"),
        ("a: 'never closed\n", "1:4", "the quote that opens here"),
        ("%YAML 9.9\n---\na: 1\n", "1:1", "YAML"),
        ("a: \x00\n", "1:4", "U+0000"),
        ("a: ä\x01\n", "1:5", "U+0001"),
    ],
)
def test_text_that_is_not_yaml_is_one_line_with_line_and_column(
    problems: Problems, text: str, start: str, end: str
) -> None:
    """The parser's own words follow, and what to do where we know it."""
    (line,) = problems(text)
    assert line.startswith(f"router.yaml:{start}: not valid YAML: ")
    assert end in line


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers; libyaml's is missing on some machines."""
    monkeypatch.setattr(yaml_source, "_Parser", getattr(yaml, request.param))


def read(text: str) -> tuple[Any, list[str]]:
    """Return plain data and problems."""
    problems = Found("x.yaml")
    try:
        node = read_yaml(text, {"NAME": "value"}, problems)
        problems.raise_if_any()
    except ConfigError as error:
        return None, error.problems
    return None if node is None else node.plain(), []


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 1\nb: [x, 2.5, true, null, ~]", {"a": 1, "b": ["x", 2.5, True, None, None]}),
        (
            "a: no\nb: on\nc: 010\nd: 1e3\ne: 0x1F",
            {"a": "no", "b": "on", "c": 10, "d": 1e3, "e": 31},
        ),
        ("a: 12:30\nb: 2024-01-01\nc: 1_000", {"a": "12:30", "b": "2024-01-01", "c": "1_000"}),
        ("a: '1'\nb: \"true\"\nc: !!str 5", {"a": "1", "b": "true", "c": "5"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
        (
            "a: &x {b: 1}\nb: &y {b: 2, c: 2}\nd:\n  <<: [*x, *y]",
            {"a": {"b": 1}, "b": {"b": 2, "c": 2}, "d": {"b": 1, "c": 2}},
        ),
        ("'<<': 1", {"<<": 1}),
        ("&k key: 1\nb: *k", {"key": 1, "b": "key"}),
        ("a: ${NAME}\nb: $${NAME}", {"a": "value", "b": "${NAME}"}),
        ("\ufeffa: 1", {"a": 1}),
        ("", None),
        ("# only a comment\n", None),
        ("---\n", None),
        ("~", None),
    ],
)
def test_plain_data_is_read_by_yaml_1_2(text: str, data: Any) -> None:
    """What an editor shows as a text is a text; anchors, aliases and merges work."""
    assert read(text) == (data, [])


@pytest.mark.usefixtures("parser")
def test_a_problem_behind_an_alias_is_told_at_its_own_line() -> None:
    """Path of where it is used, line of where it is written."""
    lines = read("a: &x\n  b: ${UNSET}\nc: *x\n")[1]
    assert [line.partition(": environment")[0] for line in lines] == ["x.yaml:2: a.b"]


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 1_000,
        "- " * 100_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{c}: &{c} [{','.join([f'*{b}'] * 9)}]\n"
            for b, c in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a0: &a0 [[[[[[[[[[1]]]]]]]]]]\n"
        + "".join(f"a{i + 1}: &a{i + 1} [[[[[[[[[[*a{i}]]]]]]]]]]\n" for i in range(9)),
        "a: [" + "1," * (MAX_NODES + 1) + "]",
    ],
    ids=["flow", "flow-mappings", "block", "laughs", "deep-aliases", "many"],
)
def test_a_bomb_is_one_line(text: str) -> None:
    """Neither depth nor aliases nor sheer number take the stack or the memory."""
    data, lines = read(text)
    assert data is None
    assert len(lines) == 1
    assert lines[0].startswith("x.yaml:")


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("text", ['a: "\\ud800"', 'a: "\\UFFFFFFFF"'])
def test_an_impossible_character_is_one_line(text: str) -> None:
    """An escape that stands for no character is refused."""
    data, lines = read(text)
    assert data is None
    assert len(lines) == 1
