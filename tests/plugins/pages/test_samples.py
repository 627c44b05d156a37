"""Code that readers paste."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

import pytest

from hoonify_plugins.pages.samples import chat_samples, samples_for

NASTY = 'it\'s "quoted" $HOME `id` \\ \n </script> ☃'
BODY = {
    "model": "m",
    "messages": [{"role": "system", "content": NASTY}, {"role": "user", "content": NASTY}],
    "temperature": 0.5,
    "stream": True,
    "stop": ["a"],
}


def called(python: str) -> dict[str, Any]:
    """Return what the code passes to the SDK."""
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "create":
            return {str(one.arg): ast.literal_eval(one.value) for one in node.keywords}
    raise AssertionError(python)


def test_all_three_say_the_same() -> None:
    """Whatever is in the messages."""
    python, node, curl = chat_samples(BODY, "http://x:1")
    assert called(python.code) == BODY
    given = node.code.partition(".create(")[2].rpartition(");\nfor await")[0]
    assert json.loads(given) == BODY
    words = shlex.split(curl.code.replace("\\\n", " "))
    assert json.loads(words[-1]) == BODY
    assert words[1] == "http://x:1/v1/chat/completions"


@pytest.mark.parametrize("task", ["chat", "completion", "embedding"])
def test_each_task_has_its_own_call(task: str) -> None:
    """The Python among them is Python."""
    python, _, curl = samples_for(task, "m", "http://x:1")
    assert called(python.code)["model"] == "m"
    assert "HOONIFY_API_KEY" in curl.code


def test_a_stream_is_printed_as_it_comes() -> None:
    """Not at the end."""
    python, node, _ = samples_for("chat", "m", "http://x:1", stream=True)
    assert "for chunk in stream" in python.code
    assert "for await" in node.code
