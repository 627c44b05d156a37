"""The console in a browser: a re-home happens before one's eyes."""

from __future__ import annotations

import pytest

from .conftest import PATIENCE, House, Open, Visit, playwright

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def admin(visit: Open, house: House) -> Visit:
    """An admin at the console."""
    _, key = house.key("root", "open", scopes=("inference", "admin"))
    seen = visit()
    seen.sign_in(key, "/console")
    return seen


def test_an_admin_watches_a_model_move(admin: Visit, house: House) -> None:
    """The file changes; the page tells of the new generation, and of the new home, without being loaded again."""
    page = admin.page
    row = page.locator('[data-home="parrot"]')
    playwright.expect(row).to_contain_text("ready", timeout=PATIENCE)
    before = int(page.locator("#generation").text_content())
    page.evaluate("window.stays = true")
    text = house.config.read_text()
    elsewhere = f'openai, url: "{house.url}/v1", api_key: {house.key("mover")[1]}'
    here = "backend: echo\n    options: {context_length: 8192}"
    there = f"{{backend: {elsewhere}, options: {{model: sleeper}}}}"
    assert here in text
    moved = text.replace(here, f"homes: [{there}]")
    house.config.write_text(moved)
    playwright.expect(page.locator("#generation")).to_have_text(str(before + 1), timeout=PATIENCE)
    playwright.expect(row).to_contain_text("openai", timeout=PATIENCE)
    playwright.expect(row).to_contain_text("ready", timeout=PATIENCE)
    assert page.evaluate("window.stays") is True
    house.config.write_text(text)
    playwright.expect(row).to_contain_text("echo", timeout=PATIENCE)


def test_a_mistake_in_the_file_is_told(admin: Visit, house: House) -> None:
    """What serves now serves on."""
    text = house.config.read_text()
    house.config.write_text(text.replace("backend: echo", "backend: ecko", 1))
    try:
        admin.says("#console", "ecko")
    finally:
        house.config.write_text(text)


def test_a_reload_is_asked_for_and_confirmed(admin: Visit) -> None:
    """And its end is told."""
    page = admin.page
    page.get_by_role("link", name="Reload").last.click()
    admin.says("h1", "Reload the configuration?")
    page.get_by_role("button", name="Reload").click()
    page.wait_for_url("**/console")
    admin.says("#live-deeds", "generation")


def test_numbers_come_while_one_looks(admin: Visit) -> None:
    """A request elsewhere shows up."""
    other = admin.page.context.new_page()
    other.goto(admin.house.url + "/playground")
    other.select_option("#model", "parrot")
    other.fill("#say", "[[delay 0.2]] [[repeat 1000]] word")
    other.press("#say", "Enter")
    cell = admin.page.locator('[data-home="parrot"] td').nth(1)
    playwright.expect(cell).to_have_text("1", timeout=PATIENCE)
    other.close()
    playwright.expect(cell).to_have_text("0", timeout=PATIENCE)


def test_the_console_ends_with_the_session(admin: Visit) -> None:
    """Signing out elsewhere leads this page to the door."""
    other = admin.page.context.new_page()
    other.goto(admin.house.url + "/dashboard")
    other.get_by_role("button", name="Sign out").click()
    admin.page.wait_for_url("**/dashboard/sign-in", timeout=PATIENCE)
