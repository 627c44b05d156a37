"""The catalog in a browser: look, filter, sort, take an example away."""

from __future__ import annotations

import pytest

from .conftest import PATIENCE, Open, playwright

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def test_one_looks_for_a_model_and_takes_its_example(visit: Open) -> None:
    """From the front to code that runs."""
    seen = visit(permissions=["clipboard-read", "clipboard-write"])
    page = seen.open("/")
    page.wait_for_url("**/models")
    rows = page.locator("#models tbody tr")
    playwright.expect(rows).to_have_count(4)
    page.fill("#q", "says again")
    playwright.expect(page.locator("#models tbody tr:visible")).to_have_count(1)
    seen.says("[data-count]", "1 of 4 models")
    page.fill("#q", "nothing of this kind")
    playwright.expect(page.locator("[data-nothing]")).to_be_visible()
    page.fill("#q", "")
    page.select_option("#provider", "Somebody")
    playwright.expect(page.locator("#models tbody tr:visible")).to_have_count(1)
    page.select_option("#provider", "")
    page.get_by_role("link", name="parrot").click()
    page.wait_for_url("**/models/parrot")
    code = page.locator("figure.code:visible code")
    playwright.expect(code).to_contain_text(f'base_url="{seen.house.url}/v1"', timeout=PATIENCE)
    page.get_by_role("tab", name="curl").click()
    playwright.expect(code).to_contain_text("curl http://")
    page.get_by_role("button", name="Copy the curl code").click()
    playwright.expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == code.text_content()


def test_sorting_goes_by_the_address(visit: Open) -> None:
    """So that a sorted list can be sent to somebody."""
    page = visit().open("/models")
    page.select_option("#sort", "context")
    page.wait_for_url("**sort=context**")
    names = page.locator("#models tbody .name").all_text_contents()
    assert names[-1] == "sleeper"
    page.get_by_role("link", name="Context").click()
    page.wait_for_url("**order=desc**")
    assert page.locator("#models tbody .name").first.text_content() == "sleeper"


def test_everything_can_be_read_without_scripts(visit: Open) -> None:
    """Catalog, filter and documentation."""
    page = visit(java_script_enabled=False).open("/models")
    page.fill("#q", "again")
    page.get_by_role("button", name="Show").click()
    playwright.expect(page.locator("#models tbody tr")).to_have_count(1)
    page.goto(page.url.partition("/models")[0] + "/docs")
    playwright.expect(page.locator("figure.code").first).to_be_visible()


def test_hostile_names_are_text(visit: Open) -> None:
    """In the list, on the model's page and in the documentation; none of them runs."""
    seen = visit()
    for path in ("/models", "/models/nasty", "/docs"):
        page = seen.open(path)
        seen.says("#content", "<img src=x")
        assert page.locator("img").count() == 0


def test_a_keyboard_is_enough(visit: Open) -> None:
    """The first key leads past the navigation; tabs follow the arrows."""
    page = visit().open("/models/parrot")
    page.keyboard.press("Tab")
    playwright.expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="Python").focus()
    page.keyboard.press("ArrowRight")
    playwright.expect(page.get_by_role("tab", name="Node")).to_be_focused()
    playwright.expect(page.locator("figure.code:visible code")).to_contain_text("new OpenAI")


@pytest.mark.parametrize("path", ["/models", "/models/parrot", "/docs", "/dashboard/sign-in"])
def test_pages_fit_a_phone(visit: Open, path: str) -> None:
    """Nothing makes the page itself scroll sideways."""
    page = visit(viewport={"width": 360, "height": 800}).open(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
