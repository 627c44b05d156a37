"""What holds for every page: headers, assets, what may be kept."""

from __future__ import annotations

import re

import pytest

from .doors import OpenPages, home

PAGES = ["/models", "/models/tiny", "/docs", "/models/nobody", "/openapi.json"]
ASSET = re.compile(r'(?:href|src)="(/pages/static/[^"]+)"')


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_strict(open_pages: OpenPages, path: str) -> None:
    """No inline scripts, no frames, nothing from elsewhere."""
    browser = await open_pages(home("tiny"))
    answer = await browser.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", PAGES[:4])
async def test_no_page_asks_anybody_else(open_pages: OpenPages, path: str) -> None:
    """Every address in a page is of this door, or an example's."""
    browser = await open_pages(home("tiny"))
    page = (await browser.get(path)).text
    assert not re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', page)
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", page)
    assert all(re.search(r"<script src=", found) for found in re.findall(r"<script[^>]*>", page))


async def test_assets_are_kept_for_good(open_pages: OpenPages) -> None:
    """Their names change with what is in them."""
    browser = await open_pages()
    found = set(ASSET.findall((await browser.get("/models")).text))
    assert {path.rpartition(".")[2] for path in found} == {"css", "js", "svg"}
    for path in found:
        answer = await browser.get(path)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert "'none'" in answer.headers["content-security-policy"]
    assert (await browser.get("/pages/static/pages.000000000000.css")).status == 404
    assert (await browser.get("/pages/static/..%2f__init__.py")).status == 404


async def test_the_front_leads_to_the_models(open_pages: OpenPages) -> None:
    """Nobody should have to know an address."""
    browser = await open_pages()
    answer = await browser.get("/")
    assert (answer.status, answer.headers["location"]) == (303, "/models")
