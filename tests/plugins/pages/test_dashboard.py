"""Signing in, what a key sees, and what it may do with keys."""

from __future__ import annotations

import time
from typing import Any

import pytest

from hoonify_plugins.api_keys.record import StoreError, new_key
from hoonify_plugins.api_keys.sessions import COOKIE

from .doors import Answer, Browser, OpenPages
from .signed_in import CSRF, KEY, Place, SignIn, knock, open_up


async def send(browser: Browser, path: str, **form: Any) -> Answer:
    """Send a form of the dashboard as its page has it."""
    csrf = CSRF.findall((await browser.get("/dashboard")).text)[0]
    return await browser.post(path, {"csrf": csrf, **form})


# ------------------------------------------------------------ signing in


async def test_nobody_sees_a_dashboard_without_signing_in(
    place: Place, open_pages: OpenPages
) -> None:
    """They are led to the form; a session that is none changes nothing."""
    browser = await open_up(place, open_pages)
    for path in ("/dashboard", "/dashboard/everything"):
        assert (await browser.get(path)).headers["location"] == "/dashboard/sign-in"
    browser.cookies[COOKIE] = "x" * 43
    assert (await browser.get("/dashboard")).status == 303


async def test_the_cookie_is_as_strict_as_it_can_be(place: Place, open_pages: OpenPages) -> None:
    """No script reads it, no other site makes a browser send it, and over TLS it stays there."""
    record, key = new_key("ada", "free")
    place.keys.add(record)
    browser = await open_up(place, open_pages)
    answer = await knock(browser, key)
    [cookie] = answer.cookies
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
        assert part.lower() in cookie.lower()
    assert "Secure" not in cookie
    assert key not in str(answer)
    page = await browser.get("/dashboard/sign-in", X_Forwarded_Proto="https")
    form = {"csrf": CSRF.findall(page.text)[0], "key": key}
    answer = await browser.post("/dashboard/sign-in", form, X_Forwarded_Proto="https")
    assert "Secure" in answer.cookies[0]


async def test_a_wrong_key_is_told_so(place: Place, open_pages: OpenPages) -> None:
    """And is not shown again."""
    browser = await open_up(place, open_pages)
    _, wrong = new_key("nobody", "free")
    answer = await knock(browser, wrong)
    assert answer.status == 401
    assert "no key that is good here" in answer.text
    assert wrong not in answer.text
    assert COOKIE not in browser.cookies


async def test_a_form_of_another_site_signs_nobody_in(place: Place, open_pages: OpenPages) -> None:
    """Else it could make a browser work in its author's name."""
    record, key = new_key("ada", "free")
    place.keys.add(record)
    browser = await open_up(place, open_pages)
    assert (await browser.post("/dashboard/sign-in", {"key": key})).status == 403
    await browser.get("/dashboard/sign-in")
    answer = await browser.post("/dashboard/sign-in", {"key": key, "csrf": "guessed"})
    assert answer.status == 403


async def test_many_tries_of_one_address_must_wait(place: Place, open_pages: OpenPages) -> None:
    """Until the minute is over."""
    browser = await open_up(place, open_pages)
    answers = [await knock(browser, "hoo_wrong") for _ in range(25)]
    assert {one.status for one in answers} == {401, 429}
    assert 1 <= int(next(one for one in answers if one.status == 429).headers["retry-after"]) <= 60


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/elsewhere"])
async def test_signing_in_leads_to_our_own_pages_only(
    place: Place, open_pages: OpenPages, wanted: str
) -> None:
    """Wherever a link would like it to lead."""
    record, key = new_key("ada", "free")
    place.keys.add(record)
    browser = await open_up(place, open_pages)
    page = (await browser.get(f"/dashboard/sign-in?next={wanted}")).text
    form = {"csrf": CSRF.findall(page)[0], "key": key, "next": wanted}
    answer = await browser.post("/dashboard/sign-in", form)
    assert answer.headers["location"] == "/dashboard"


async def test_signing_out_ends_the_session(sign_in: SignIn) -> None:
    """A copy of the cookie is worth nothing afterwards."""
    browser, _, _ = await sign_in()
    kept = dict(browser.cookies)
    assert (await send(browser, "/dashboard/sign-out")).status == 303
    assert COOKIE not in browser.cookies
    browser.cookies = kept
    assert (await browser.get("/dashboard")).status == 303


# ------------------------------------------------------------ what is shown


async def test_a_key_sees_its_plan_its_limits_and_its_usage(sign_in: SignIn, place: Place) -> None:
    """Looking at them costs none of them; the usage of its predecessors is its own."""
    browser, _, record = await sign_in()
    place.used(record)
    place.used(record, "tiny", error="model_unavailable", prompt_tokens=0, completion_tokens=0)
    stranger, _ = new_key("stranger", "free")
    place.keys.add(stranger)
    place.used(stranger, "strange-model")
    for _ in range(3):
        page = (await browser.get("/dashboard")).text
    assert 'value="7" aria-label="Requests left"' in page
    for told in ("ada&#39;s laptop", "Plan free", "1\u202f234", "qwen-3", "$0.50"):
        assert told in page
    assert "strange-model" not in page
    assert "stranger" not in page
    assert "<rect" in page
    await send(browser, "/dashboard/rotate", overlap="3600")
    assert "1\u202f234" in (await browser.get("/dashboard")).text


async def test_a_plan_without_limits_says_so(sign_in: SignIn) -> None:
    """And a key without requests has an empty chart."""
    browser, _, _ = await sign_in(plan="open")
    page = (await browser.get("/dashboard")).text
    assert "no limits" in page
    assert "Nothing yet." in page


async def test_owners_see_all_their_usage_where_the_key_may(sign_in: SignIn, place: Place) -> None:
    """With the scope for it."""
    browser, _, _ = await sign_in(owner="ada", scopes=("inference", "usage:read"))
    other, _ = new_key("other", "free", owner="ada")
    place.used(other, "tiny-of-other")
    assert "tiny-of-other" in (await browser.get("/dashboard")).text


async def test_only_admins_see_everything(sign_in: SignIn, place: Place) -> None:
    """All keys, all usage."""
    browser, _, _ = await sign_in()
    assert (await browser.get("/dashboard/everything")).status == 403
    browser, _, _ = await sign_in("root", scopes=("admin",))
    other, _ = new_key("<script>alert(1)</script>", "free", owner="<img src=x>")
    place.keys.add(other)
    place.used(other, "deepseek")
    page = (await browser.get("/dashboard/everything")).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<img src=x>" not in page
    assert "deepseek" in page


# ------------------------------------------------------------ keys


async def test_a_key_replaces_itself(sign_in: SignIn, place: Place) -> None:
    """The new one is shown once and is good; so is the old one for a while; the session goes on."""
    browser, old, record = await sign_in(models=("qwen*",))
    answer = await send(browser, "/dashboard/rotate", overlap="3600")
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    [new] = KEY.findall(answer.text)
    assert new != old
    for key in (old, new):
        found = await place.api_keys.check(key)
        assert found is not None
        assert found.models == ("qwen*",)
    await place.api_keys.catch_up()
    ending = await place.api_keys.check(old)
    assert ending is not None
    assert 3500 < (ending.expires or 0) - time.time() <= 3600
    page = (await browser.get("/dashboard")).text
    assert new not in page
    assert record.id not in page.partition("<h2")[0]


async def test_a_key_without_scope_makes_none(sign_in: SignIn) -> None:
    """There is no form for it, and to send one does nothing."""
    browser, _, _ = await sign_in(owner="ada")
    assert "Make another key" not in (await browser.get("/dashboard")).text
    answer = await send(browser, "/dashboard/keys", name="x", scopes="inference")
    assert answer.status == 422
    assert "may not make others" in answer.text


async def test_keys_of_an_owner_are_made_and_revoked(sign_in: SignIn, place: Place) -> None:
    """A new one can do no more than the one that made it."""
    browser, _, record = await sign_in(
        owner="ada", scopes=("inference", "keys:write"), models=("qwen*",), lifetime=1000
    )
    answer = await send(
        browser,
        "/dashboard/keys",
        name="ci",
        scopes=["inference", "admin"],
        plan="open",
        owner="eve",
        lifetime="2592000",
    )
    [key] = KEY.findall(answer.text)
    made = await place.api_keys.check(key)
    assert made is not None
    assert (made.name, made.owner, made.plan) == ("ci", "ada", "free")
    assert (made.scopes, made.models) == (("inference",), ("qwen*",))
    assert made.expires == record.expires
    assert "ci" in (await browser.get("/dashboard")).text
    answer = await send(browser, "/dashboard/revoke", id=made.id)
    assert answer.headers["location"] == "/dashboard"
    await place.api_keys.catch_up()
    assert await place.api_keys.check(key) is None


@pytest.mark.parametrize("owner", ["", "eve"])
async def test_nobody_revokes_keys_of_others(sign_in: SignIn, place: Place, owner: str) -> None:
    """Neither those of another owner nor those of nobody."""
    stranger, key = new_key("stranger", "free", owner=owner)
    place.keys.add(stranger)
    browser, _, _ = await sign_in(owner="ada", scopes=("inference", "keys:write"))
    answer = await send(browser, "/dashboard/revoke", id=stranger.id)
    assert answer.status == 422
    assert await place.api_keys.check(key) is not None


async def test_admins_make_keys_for_anybody(sign_in: SignIn, place: Place) -> None:
    """On any plan, with any scope."""
    browser, _, _ = await sign_in("root", "open", scopes=("admin",))
    answer = await send(
        browser, "/dashboard/keys", name="bo", owner="bo", plan="free", scopes=["usage:read"]
    )
    [key] = KEY.findall(answer.text)
    made = await place.api_keys.check(key)
    assert made is not None
    assert (made.owner, made.plan, made.scopes) == ("bo", "free", ("usage:read",))
    answer = await send(browser, "/dashboard/revoke", id=made.id, all="1")
    assert answer.headers["location"] == "/dashboard/everything"


async def test_revoking_the_own_key_signs_out(sign_in: SignIn) -> None:
    """There is nothing left to see."""
    browser, _, record = await sign_in()
    answer = await send(browser, "/dashboard/revoke", id=record.id)
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize("path", ["keys", "rotate", "revoke", "sign-out"])
async def test_no_deed_without_the_form_s_token(sign_in: SignIn, place: Place, path: str) -> None:
    """Another site cannot do anything in a visitor's name."""
    browser, key, record = await sign_in(owner="ada", scopes=("inference", "keys:write"))
    form = {"id": record.id, "name": "x", "scopes": "inference", "overlap": "0"}
    for token in ({}, {"csrf": "guessed"}):
        assert (await browser.post(f"/dashboard/{path}", {**form, **token})).status == 403
    await place.api_keys.catch_up()
    assert await place.api_keys.check(key) is not None
    assert len(place.keys.all()) == 1


async def test_nothing_is_lost_while_the_database_is_away(
    place: Place, open_pages: OpenPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page says so, and when to come back."""
    browser = await open_up(place, open_pages)
    browser.cookies[COOKIE] = "x" * 43

    async def fail(token: str) -> bytes:
        raise StoreError("the disk is gone")

    assert place.api_keys.sessions is not None
    monkeypatch.setattr(place.api_keys.sessions, "find", fail)
    answer = await browser.get("/dashboard")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert "disk" not in answer.text
