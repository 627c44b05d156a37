"""The playground in a browser: a streamed chat, a stop that stops, hostile answers."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from .conftest import NASTY, PATIENCE, House, Open, Visit, playwright, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def player(visit: Open, house: House) -> Visit:
    """A browser that has signed in, at the playground."""
    _, key = house.key("player")
    seen = visit()
    seen.sign_in(key, "/playground")
    return seen


def say(seen: Visit, text: str) -> None:
    seen.page.fill("#say", text)
    seen.page.press("#say", "Enter")


def in_flight(house: House, key: str) -> int:
    """Return how many requests are at homes now."""
    request = urllib.request.Request(f"{house.url}/v1/admin/status")
    request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(json.load(answer)["in_flight"])


def test_an_answer_comes_with_its_numbers(player: Visit) -> None:
    """Tokens and the time to the first; the conversation goes on."""
    player.page.select_option("#model", "parrot")
    say(player, "hello over there")
    player.says("#status", "Done.")
    player.says(".turn.assistant .said", "hello over there")
    line = player.page.locator(".facts-line").first
    playwright.expect(line).to_contain_text("first token", timeout=PATIENCE)
    playwright.expect(line).to_contain_text("tokens in")
    say(player, "[[repeat 2]] again")
    playwright.expect(player.page.locator(".turn.assistant").nth(1)).to_contain_text("again again")
    playwright.expect(player.page.locator("#code")).to_contain_text("hello over there")
    player.page.get_by_role("button", name="Start over").click()
    player.says("#turns", "Nothing has been said yet.")


def test_stopping_frees_the_engine(player: Visit, house: House) -> None:
    """What was said stays; the request is gone from its home, long before it would have ended."""
    _, admin = house.key("root", scopes=("admin",))
    player.page.select_option("#model", "parrot")
    say(player, "[[delay 0.2]] [[repeat 10000]] word")
    player.says("#turns .assistant .said", "word word")
    assert wait_for(lambda: in_flight(house, admin), "the request is under way") == 1
    player.page.get_by_role("button", name="Stop").click()
    player.says("#status", "Stopped.")
    wait_for(lambda: in_flight(house, admin) == 0, "the request is gone")
    player.says(".facts-line", "stopped by you")


def test_what_goes_wrong_is_told(player: Visit) -> None:
    """Before the answer, and in the middle of it; then one can go on."""
    player.page.select_option("#model", "gone")
    say(player, "hello")
    player.says(".turn.failed .said", "gone")
    player.page.select_option("#model", "parrot")
    say(player, "[[error Overloaded after 3]] one two three four five six")
    player.says("#turns", "one two three")
    player.says("#status", "failed")
    say(player, "still there?")
    player.says("#status", "Done.")


def test_hostile_answers_are_text(player: Visit) -> None:
    """Whatever a model says or is told, nothing of it runs."""
    player.page.select_option("#model", "nasty")
    say(player, NASTY)
    player.says("#status", "Done.")
    player.says(".turn.user .said", NASTY)
    player.says(".turn.assistant .said", NASTY)
    assert player.page.locator("main img").count() == 0


def test_settings_go_into_request_and_code(player: Visit) -> None:
    """What is shown as code is what is sent."""
    page = player.page
    page.select_option("#model", "parrot")
    page.fill("#system", "Be brief.")
    page.fill("#max_tokens", "2")
    sent: list[dict[str, Any]] = []
    page.on(
        "request",
        lambda one: sent.append(one.post_data_json) if "/v1/chat" in one.url else None,
    )
    say(player, "one two three")
    player.says(".turn.assistant .said", "one two")
    player.says(".facts-line", "ended by length")
    assert sent[0]["max_tokens"] == 2
    assert sent[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    for told in ("max_tokens=2", '"Be brief."'):
        player.says("#code", told)


def test_thoughts_are_apart_from_the_answer(player: Visit) -> None:
    """A reasoning model's."""
    player.page.select_option("#model", "parrot")
    say(player, "[[think hm let me see]] well")
    player.says(".turn .thought", "hm let me see")
    player.says(".turn.assistant .said", "well")
