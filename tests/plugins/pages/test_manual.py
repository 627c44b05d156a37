"""The documentation of a deployment, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import validate

from hoonify_plugins.pages.parameters import rows_for, schemas
from hoonify_plugins.pages.refusals import refusals
from hoonify_router.api import Vitals
from hoonify_router.errors import error_kinds
from hoonify_router.types import ChatRequest, CompletionRequest, EmbeddingRequest

from .doors import Browser, OpenPages, home

FULL = ("api_keys", "rate_limits", "pages")


async def docs(browser: Browser) -> str:
    return (await browser.get("/docs")).text


async def test_it_is_about_this_deployment(open_pages: OpenPages) -> None:
    """Its address, its catalog, a model that answers now."""
    browser = await open_pages(home("tiny"), home("qwen-3", "unavailable"), pipeline=FULL)
    page = await docs(browser)
    assert f"http://127.0.0.1:{browser.port}/v1/chat/completions" in page
    for told in ("qwen-3", "llama-4", "10M", "hoo_", "x-ratelimit-remaining-tokens"):
        assert told in page
    assert "model=&#34;tiny&#34;" in page


async def test_it_tells_nothing_that_is_not_so(open_pages: OpenPages) -> None:
    """Without keys and limits it speaks of neither."""
    page = await docs(await open_pages(home("tiny")))
    assert "asks for no key" in page
    assert "x-ratelimit-remaining-tokens" not in page


@pytest.mark.parametrize("kind", [ChatRequest, CompletionRequest, EmbeddingRequest])
async def test_it_has_every_parameter(open_pages: OpenPages, kind: Any) -> None:
    """The very fields that requests are checked with, each with what may stand there and what it means."""
    rows = {row.name: row for row in rows_for(kind.task, None)}
    assert list(rows) == list(kind.__struct_encode_fields__)
    assert all(row.meaning for row in rows.values())
    page = await docs(await open_pages(home("tiny")))
    assert all(f"<code>{name}</code>" in page for name in rows)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "number, 0 to 2"),
        ("n", "integer, 1 to 128"),
        ("seed", "integer"),
        ("max_tokens", "integer, at least 1"),
        ("stop", "string or list of strings, none of them empty, at most 4"),
        ("stream", "true or false"),
        ("verbosity", "“high”, “low” or “medium”"),
        ("messages", "list of objects"),
    ],
)
def test_values_are_told_in_words(name: str, value: str) -> None:
    """Types and ranges, as the checks have them."""
    assert {row.name: row.value for row in rows_for("chat", None)}[name] == value


def test_what_must_be_there_is_marked() -> None:
    """Nothing else is."""
    assert [row.name for row in rows_for("chat", None) if row.required] == ["model", "messages"]


async def test_it_has_every_error(open_pages: OpenPages) -> None:
    """But the one that is never sent."""
    page = await docs(await open_pages())
    own = {
        kind.code
        for kind in error_kinds().values()
        if kind.__module__.startswith("hoonify_router") and kind.status != 499
    }
    assert own == {one.code for _, _, kinds in refusals() for one in kinds}
    assert all(f"<code>{code}</code>" in page for code in own)


@pytest.mark.parametrize("pipeline", [("pages",), FULL])
async def test_programs_are_told_the_same(open_pages: OpenPages, pipeline: tuple[str, ...]) -> None:
    """A valid description whose requests are the router's own types."""
    browser = await open_pages(home("tiny"), pipeline=pipeline)
    answer = await browser.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    told = json.loads(answer.text)
    validate(told)
    assert told["servers"] == [{"url": f"http://127.0.0.1:{browser.port}"}]
    asked = told["components"]["schemas"]["ChatRequest"]["properties"]
    assert list(asked) == list(ChatRequest.__struct_encode_fields__)
    assert asked["temperature"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 2}
    assert ("security" in told) is (pipeline is FULL)
    assert '"default": null' not in answer.text
    assert "ChatRequest" in schemas()


async def test_it_is_made_once_per_generation(open_pages: OpenPages) -> None:
    """Who has it is not sent it again; a new generation makes it anew."""
    now = [Vitals((home("tiny"),), generation=1)]
    browser = await open_pages(vitals=lambda: now[0])
    first = await browser.get("/docs")
    tag = first.headers["etag"]
    again = await browser.get("/docs", If_None_Match=tag)
    assert (again.status, again.text) == (304, "")
    now[0] = Vitals((home("qwen-3"),), generation=2)
    later = await browser.get("/docs", If_None_Match=tag)
    assert later.status == 200
    assert later.headers["etag"] != tag
