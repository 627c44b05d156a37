"""What is no YAML is told where an operator looks, with advice for the mistakes that people make."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from hoonify_router.config.syntax import explained

Problems = Callable[..., list[str]]
PARSERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("text", "at", "advice"),
    [
        ("a:\n\tb: 1\n", "2:1", "; YAML is indented with spaces, not tabs"),
        ("a: {b: ${C}}\n", "1:9", "; inside of { } and [ ], put ${NAME} in quotes"),
        ("a:\n  b:\n    c: x\n   d: 1\n", "4:4", "; is this line indented like its neighbours?"),
        ("a:\n  - b\n  c: 1\n", "3:3", "; is this line indented like its neighbours?"),
        ("a: 'it's'\n", "1:8", "; inside of '...', write '' for a '"),
        ('a: "x" y\n', "1:8", "; is this line indented like its neighbours?"),
        ("a: {b: 1\nc: 2\n", "2:2", "; the { of line 1 is still open"),
        ("a: [b\nc: 2\n", "2:2", "; the [ of line 1 is still open"),
        ("a: @b\n", "1:4", "; put the text in quotes"),
        ("a: `b`\n", "1:4", "; put the text in quotes"),
        ("a: b: c\n", "1:5", "; put a text that has a colon in it in quotes"),
        ("a:b\nc: 2\n", "2:2", "; does the line above have a space after its colon,"),
        ("a: b\n  c: 2\n", "2:4", "; does the line above have a space after its colon,"),
    ],
)
def test_common_mistakes_get_advice(text: str, at: str, advice: str, parser: type) -> None:
    """With PyYAML's own parser and with libyaml, whose words differ."""
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        list(yaml.parse(text, Loader=parser))
    told = explained(caught.value, text)
    assert told.startswith(f"{at}: not valid YAML: ")
    assert advice in told


def test_a_quote_that_is_never_closed_is_told_where_it_opens(problems: Problems) -> None:
    """The end of the file, where the parser gives up, is no help."""
    text = 'models:\n  a:\n    provider: "x\n    backend: echo\n'
    told = ["router.yaml:3:15: not valid YAML: the quote that opens here is never closed"]
    assert problems(text) == told
