"""The catalog, and a page for each model."""

from __future__ import annotations

import re

import pytest

from hoonify_plugins.pages import hoonify_register_middleware
from hoonify_router.api import ModelConfig

from .doors import OpenPages, home

ORDER = re.compile(r'class="name" href="/models/([^"]+)"')


async def test_the_catalog_tells_everything(open_pages: OpenPages) -> None:
    """Provider, context, description, what a model takes, prices, and the state it is in now."""
    browser = await open_pages(
        home("qwen-3"),
        home("llama-4", "loading", progress=("reading weights", 4, 10)),
        home("tiny", "unavailable", reason="It needs a GPU."),
    )
    page = (await browser.get("/models")).text
    assert ORDER.findall(page) == ["qwen-3", "llama-4", "tiny"]
    for told in ("128K", "10M", "For long documents.", "$0.20", "$0.34", "image", "ready"):
        assert told in page
    assert "loading 40%" in page
    assert 'value="40"' in page
    assert "It needs a GPU." in page


async def test_a_model_that_nobody_asked_yet_loads_on_demand(open_pages: OpenPages) -> None:
    """That is no fault, and is not told as one."""
    browser = await open_pages(home("tiny", "stopped", always=False))
    assert "loads on demand" in (await browser.get("/models/tiny")).text


@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("q=documents", ["qwen-3"]),
        ("q=SEES+image", ["llama-4"]),
        ("provider=Meta", ["llama-4"]),
        ("q=nothing-of-this", []),
        ("sort=name", ["llama-4", "qwen-3", "tiny"]),
        ("sort=name&order=desc", ["tiny", "qwen-3", "llama-4"]),
        ("sort=input", ["llama-4", "qwen-3", "tiny"]),
        ("sort=output&order=desc", ["qwen-3", "llama-4", "tiny"]),
        ("sort=context", ["tiny", "qwen-3", "llama-4"]),
        ("sort=nonsense", ["qwen-3", "llama-4", "tiny"]),
    ],
)
async def test_search_and_sort_need_no_scripts(
    open_pages: OpenPages, query: str, order: list[str]
) -> None:
    """The query string does it; models without a price come last by price."""
    browser = await open_pages()
    assert ORDER.findall((await browser.get(f"/models?{query}")).text) == order


async def test_a_models_page_has_code_with_the_right_address(open_pages: OpenPages) -> None:
    """The one by which the browser came, with TLS where a proxy speaks it."""
    browser = await open_pages(home("qwen-3"))
    page = (await browser.get("/models/qwen-3")).text
    assert page.count(f"http://127.0.0.1:{browser.port}/v1") == 3
    page = (
        await browser.get("/models/qwen-3", Host="api.example.com", X_Forwarded_Proto="https")
    ).text
    assert page.count("https://api.example.com/v1") == 3
    page = (await browser.get("/models/qwen-3", Host='"><script>')).text
    assert "script>'" not in page
    assert "http://127.0.0.1:8000/v1" in page


async def test_an_operator_may_say_the_address(open_pages: OpenPages) -> None:
    """Then no header counts; the title is theirs too."""
    settings = {"pages": {"url": "https://llm.example", "title": "Our models", "currency": "€"}}
    browser = await open_pages(home("qwen-3"), plugins=settings)
    page = (await browser.get("/models/qwen-3", Host="other.example")).text
    assert page.count("https://llm.example/v1") == 3
    assert "Our models" in page
    assert "€0.20" in page


async def test_a_models_page_says_which_parameters_count(open_pages: OpenPages) -> None:
    """From the capabilities of its homes; both names of the limit go together."""
    browser = await open_pages(home("qwen-3", parameters=frozenset({"temperature", "max_tokens"})))
    page = (await browser.get("/models/qwen-3")).text
    rows = dict(re.findall(r"<code>(\w+)</code>.*?class=\"here\">(.*?)</td>", page, re.DOTALL))
    assert "yes" in rows["temperature"]
    assert "yes" in rows["max_completion_tokens"]
    assert "yes" in rows["user"]
    assert "no" in rows["top_k"]


async def test_ids_with_slashes_have_pages(open_pages: OpenPages) -> None:
    """As on hubs of models."""
    models = {"Qwen/Qwen3:free": ModelConfig("Qwen", 4096)}
    browser = await open_pages(home("Qwen/Qwen3:free"), models=models)
    listed = (await browser.get("/models")).text
    [link] = ORDER.findall(listed)
    assert (await browser.get(f"/models/{link}")).status == 200


async def test_a_model_that_is_not_there(open_pages: OpenPages) -> None:
    """A page that says so, and repeats what was asked for as text."""
    browser = await open_pages()
    answer = await browser.get("/models/%3Cscript%3Ealert(1)%3C/script%3E")
    assert answer.status == 404
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


async def test_what_models_are_called_is_text(open_pages: OpenPages) -> None:
    """Neither a description nor a reason can become part of the page."""
    nasty = "\"><script>alert('x')</script><img src=x onerror=alert(1)>"
    models = {"m": ModelConfig(nasty, 4096, nasty, backend="echo")}
    browser = await open_pages(home("m", "failed", reason=nasty), models=models)
    for path in ("/models", "/models/m", "/docs"):
        page = (await browser.get(path)).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;alert" in page


async def test_without_its_name_in_the_pipeline_there_are_no_pages(open_pages: OpenPages) -> None:
    """They can be left out like any plugin."""
    browser = await open_pages(pipeline=("metrics",))
    assert (await browser.get("/models")).status == 404


def test_it_is_offered_for_the_pipeline() -> None:
    """On a request's way it does nothing."""
    [spec] = hoonify_register_middleware()
    assert spec.name == "pages"
