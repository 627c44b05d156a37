"""Keys in a browser: sign in, replace one and use the new one, revoke one and be refused."""

from __future__ import annotations

import openai
import pytest

from .conftest import House, Open, playwright, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def answers(house: House, key: str) -> bool:
    """Tell whether a key is good, as the OpenAI SDK sees it."""
    with openai.OpenAI(base_url=house.router.base_url, api_key=key, max_retries=2) as client:
        try:
            told = client.chat.completions.create(
                model="parrot", messages=[{"role": "user", "content": "hello"}]
            )
        except openai.AuthenticationError:
            return False
    assert told.choices[0].message.content == "hello"
    return True


def test_a_key_is_replaced_and_the_new_one_used(visit: Open, house: House) -> None:
    """Both are good until the old one ends; the session goes on with the new one."""
    _, old = house.key("laptop")
    seen = visit()
    page = seen.sign_in(old)
    seen.says("h1", "laptop")
    page.get_by_label("The old key ends").select_option("in an hour")
    page.get_by_role("button", name="Make the new key").click()
    new = page.locator("#new-key").text_content()
    assert new.startswith("hoo_")
    assert new != old
    assert wait_for(lambda: answers(house, new), "the new key is good")
    assert answers(house, old)
    page.get_by_role("link", name="Back to the dashboard").click()
    seen.says("h1", "laptop")
    assert new not in page.content()
    wait_for(lambda: "parrot" in seen.open("/dashboard").content(), "the usage is told")


def test_a_key_that_is_revoked_is_refused(visit: Open, house: House) -> None:
    """401 within seconds; the browser that had signed in with it is led to the door."""
    record, key = house.key("lost", owner="ada")
    _, keeper = house.key("keeper", owner="ada", scopes=("inference", "keys:write"))
    assert wait_for(lambda: answers(house, key), "the key is good")
    other = visit()
    other.sign_in(key)
    seen = visit()
    page = seen.sign_in(keeper)
    row = page.locator("tr", has_text=record.id)
    row.locator("summary").click()
    row.get_by_role("button", name="Revoke lost for good").click()
    playwright.expect(page.locator("tr", has_text=record.id)).to_contain_text("revoked")
    wait_for(lambda: not answers(house, key), "the key is refused")
    other.open("/dashboard")
    other.page.wait_for_url("**/dashboard/sign-in")


def test_a_key_is_made_and_shown_once(visit: Open, house: House) -> None:
    """With a button that copies it."""
    _, keeper = house.key("maker", owner="bo", scopes=("inference", "keys:write"))
    seen = visit(permissions=["clipboard-read", "clipboard-write"])
    page = seen.sign_in(keeper)
    page.get_by_label("Name").fill("ci")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("#new-key").text_content()
    page.get_by_role("button", name="Copy").click()
    playwright.expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key
    assert wait_for(lambda: answers(house, key), "the key is good")


def test_a_wrong_key_stays_at_the_door(visit: Open) -> None:
    """And is told so; the field is empty again."""
    seen = visit()
    page = seen.open("/dashboard")
    page.fill("#key", "hoo_wrong")
    page.get_by_role("button", name="Sign in").click()
    playwright.expect(page.get_by_role("alert")).to_contain_text("no key that is good here")
    assert page.input_value("#key") == ""


def test_signing_out_ends_it(visit: Open, house: House) -> None:
    """No script has ever seen the cookie."""
    _, key = house.key("short")
    seen = visit()
    page = seen.sign_in(key)
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/dashboard/sign-in")
    seen.open("/dashboard")
    page.wait_for_url("**/dashboard/sign-in")
