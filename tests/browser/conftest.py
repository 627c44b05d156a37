"""A real Chromium in front of a real router.

Each module of tests has a browser and a router of its own: what drives the browser may not outlive the module, for the
asynchronous tests of others could not run beside it.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Router

from hoonify_plugins.api_keys.record import KeyRecord, new_key
from hoonify_plugins.api_keys.store import DatabaseKeyStore

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PATIENCE = 60_000  # milliseconds
NASTY = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
CONFIG = f"""
pipeline: [api_keys, rate_limits, usage, metrics, openai_errors, pages]
plugins:
  rate_limits: {{plans: {{free: {{requests_per_minute: 500}}, open: {{}}}}}}
models:
  parrot:
    provider: Nobody
    context_length: 8192
    description: Says it again.
    pricing: {{input: 1, output: 2}}
    backend: echo
    options: {{context_length: 8192}}
  sleeper: {{provider: Somebody, context_length: 32768, backend: echo, start: on_demand}}
  gone: {{provider: Nobody, context_length: 4096, backend: exllamav2, options: {{model: nowhere}}}}
  nasty:
    provider: {json.dumps(NASTY)}
    context_length: 4096
    description: {json.dumps(NASTY)}
    backend: echo
    options: {{reply: text, magic: false, text: {json.dumps(NASTY)}}}
"""


def chromium() -> str:
    """Return where the browser is; skip the test where there is none."""
    found = os.environ.get("HOONIFY_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    return found


@contextmanager
def launched() -> Iterator[Any]:
    """Run the browser."""
    program = chromium()
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=program, args=flags, timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the driver's pipes, which it leaves open
        gc.collect()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser."""
    with launched() as browser:
        yield browser


class House:
    """A router, and the database of its keys.

    Args:
        folder: Where everything of it is.

    Attributes:
        keys: Those that were made for tests.
    """

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.keys: list[str] = []
        self.config = folder / "router.yaml"
        self.config.write_text(config)
        self.router = Router(self.config, folder)
        self.router.wait_ready(90)
        self._store = DatabaseKeyStore(f"sqlite:///{self.router.state}/hoonify.db")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.router.port}"

    def key(self, name: str, plan: str = "free", **fields: Any) -> tuple[KeyRecord, str]:
        """Make a key."""
        record, key = new_key(name, plan, **fields)
        self._store.add(record)
        self.keys.append(key)
        return record, key

    def close(self) -> None:
        self._store.close()
        self.router.clean_up()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The router."""
    house = House(tmp_path_factory.mktemp("house"))
    try:
        yield house
    finally:
        house.close()


class Visit:
    """A page in the browser, and everything that it did.

    Args:
        page: The page.
        house: Where it is.

    Attributes:
        asked: Every address that it asked for.
        complaints: What the browser complained of: errors of scripts, breaches of the policy.
    """

    def __init__(self, page: Any, house: House) -> None:
        self.page = page
        self.house = house
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.set_default_navigation_timeout(PATIENCE)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error" and "responded with a status of" not in message.text:
            self.complaints.append(message.text)

    def open(self, path: str) -> Any:
        """Open one of the router's pages."""
        self.page.goto(self.house.url + path)
        return self.page

    def sign_in(self, key: str, place: str = "/dashboard") -> Any:
        """Sign in, and end up at ``place``."""
        self.open(f"/dashboard/sign-in?next={place}")
        self.page.fill("#key", key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"**{place}")
        return self.page

    def says(self, selector: str, text: Any) -> None:
        """Wait until something on the page says this."""
        playwright.expect(self.page.locator(selector)).to_contain_text(text, timeout=PATIENCE)


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, house: House) -> Iterator[Open]:
    """Open pages in browsers that know nothing of each other; at the end, none has done anything that it may not."""
    visits: list[Visit] = []

    def begin(**how: Any) -> Visit:
        context = browser.new_context(**how)
        visits.append(Visit(context.new_page(), house))
        return visits[-1]

    yield begin
    for one in visits:
        title = one.page.title()
        one.page.context.close()
        assert "hacked" not in title
        assert not one.complaints
        assert all(address.startswith((house.url, "data:")) for address in one.asked)
        assert not [address for address in one.asked if "hoo_" in address]
    assert not [key for key in house.keys if key in house.router.output]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Return the first truthy value of ``condition``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {seconds} s")
