"""The playground's page, and the code it shows; what its script does is tested in a browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .doors import Browser, OpenPages, home
from .signed_in import Place, SignIn, open_up

OPTION = re.compile(r'<option value="([^"]+)"( selected)?>')
HI = [{"role": "user", "content": "hi"}]


async def code(browser: Browser, body: Any) -> Any:
    return await browser.ask("POST", "/playground/code", body=json.dumps(body))


async def test_without_keys_anybody_may_play(open_pages: OpenPages) -> None:
    """With every model that chats; one that answers now is chosen."""
    vectors = home("llama-4", tasks=frozenset({"embedding"}))
    browser = await open_pages(home("qwen-3", "stopped", always=False), home("tiny"), vectors)
    page = (await browser.get("/playground")).text
    assert OPTION.findall(page) == [("qwen-3", ""), ("tiny", " selected")]
    assert "qwen-3 (loads on demand)" in page
    assert "data-csrf" not in page
    page = (await browser.get("/playground?model=qwen-3")).text
    assert ("qwen-3", " selected") in OPTION.findall(page)


async def test_with_keys_one_signs_in_first(place: Place, open_pages: OpenPages) -> None:
    """And comes back."""
    browser = await open_up(place, open_pages)
    answer = await browser.get("/playground")
    assert answer.headers["location"] == "/dashboard/sign-in?next=/playground"
    assert 'value="/playground"' in (await browser.get(answer.headers["location"])).text


async def test_a_key_sees_the_models_that_it_may_use(sign_in: SignIn) -> None:
    """No others."""
    browser, _, _ = await sign_in(models=("qwen*",))
    page = (await browser.get("/playground")).text
    assert [name for name, _ in OPTION.findall(page)] == ["qwen-3"]
    assert "data-csrf" in page


async def test_a_key_that_may_not_ask_models_is_told_so(sign_in: SignIn) -> None:
    """It can still look at the rest."""
    browser, _, _ = await sign_in(scopes=("usage:read",))
    assert (await browser.get("/playground")).status == 403


async def test_a_request_is_shown_as_code(open_pages: OpenPages) -> None:
    """In all languages, with what was set and no more."""
    browser = await open_pages(home("tiny"))
    body = {"model": "tiny", "messages": HI, "temperature": 0.5, "stream": True}
    samples = json.loads((await code(browser, body)).text)
    assert [one["language"] for one in samples] == ["Python", "Node", "curl"]
    assert "temperature=0.5" in samples[0]["code"]
    assert "top_p" not in samples[0]["code"]
    assert f"http://127.0.0.1:{browser.port}/v1" in samples[0]["code"]


@pytest.mark.parametrize("body", [[], {}, {"model": "m", "messages": HI, "evil": 1}, "x", None])
async def test_code_is_made_of_requests_only(open_pages: OpenPages, body: Any) -> None:
    """Anything else is refused."""
    assert (await code(await open_pages(), body)).status == 400
