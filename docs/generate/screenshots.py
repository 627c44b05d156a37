"""Take the pictures of the pages that the documentation shows: ``make screenshots``.

A router is started for it, with the test instrument in the place of engines, keys and usage that nobody has had. The
pictures are WebP, light and dark as a screen shows them, and as a phone does.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoonify_plugins.api_keys.record import KeyRecord, new_key
from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_plugins.usage.record import UsageRecord
from hoonify_plugins.usage.store import UsageStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
QUALITY = 72
_DAY = 86400.0

# Homes that the pictures show in some state, by their models: the rest is as it ships.
HOMES = {
    "qwen-3": "backend: echo\n    options: {token_delay: 0.02, first_token_delay: 0.05}\n    start: always",
    "deepseek-r1": "backend: echo\n    options: {token_delay: 0.03, first_token_delay: 0.2}\n    start: always",
    "llama-4-scout": "backend: echo\n    options: {load_delay: 100000}\n    start: always",
    "qwen2-5-72b": "backend: echo\n    start: on_demand",
    "mistral-7b-instruct": "backend: echo\n    start: on_demand",
}


@dataclass(frozen=True)
class Shot:
    """What one picture shows.

    Args:
        name: Of the page.
        path: Where it is.
        signed_in: With which key: nobody's, ``user`` or ``admin``.
    """

    name: str
    path: str
    signed_in: str = ""


SHOTS = (
    Shot("models", "/models"),
    Shot("model", "/models/qwen-3"),
    Shot("docs", "/docs"),
    Shot("dashboard", "/dashboard", "user"),
    Shot("playground", "/playground?model=qwen-3", "user"),
    Shot("console", "/console", "admin"),
)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 780},
        "color_scheme": "light",
        "device_scale_factor": 1.5,
    },
}


def main() -> int:
    """Take them all."""
    chromium = os.environ.get("HOONIFY_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        print("needs Chromium (Debian: apt-get install chromium)", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _router(Path(folder)) as base:
        keys = _furnish(Path(folder))
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=flags)
            _warm(base, keys["user"])
            for look, how in LOOKS.items():
                for shot in SHOTS:
                    path = IMAGES / f"{shot.name}-{look}.webp"
                    path.write_bytes(_take(browser, base, shot, how, keys))
            browser.close()
    total = sum(path.stat().st_size for path in IMAGES.glob("*.webp"))
    print(f"wrote {len(SHOTS) * len(LOOKS)} pictures, {total / 1024:.0f} KiB")
    return 0


def _take(
    browser: Browser, base: str, shot: Shot, how: dict[str, Any], keys: dict[str, str]
) -> bytes:
    from PIL import Image

    context = browser.new_context(locale="en-GB", timezone_id="UTC", **how)
    page = context.new_page()
    if shot.signed_in:
        page.goto(f"{base}/dashboard/sign-in")
        page.fill("#key", keys[shot.signed_in])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/dashboard")
    page.goto(base + shot.path)
    if shot.name == "playground":
        _chat(page)
    picture = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    written = io.BytesIO()
    picture.convert("RGB").save(written, "WEBP", quality=QUALITY, method=6)
    return written.getvalue()


def _chat(page: Page) -> None:
    from playwright.sync_api import expect

    page.fill("#system", "You answer in one sentence.")
    page.fill("#say", "A router sends each request to the engine that can answer it best.")
    page.press("#say", "Enter")
    expect(page.locator("#status")).to_have_text("Done.", timeout=60_000)
    expect(page.locator("#code figure").first).to_be_visible()
    page.evaluate("window.scrollTo(0, 0)")


@contextmanager
def _router(folder: Path) -> Iterator[str]:
    """Run a router whose state is in ``folder``, and yield its address."""
    config = folder / "router.yaml"
    config.write_text(_configuration())
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    command = [str(Path(sys.executable).with_name("hoonify-router")), "serve"]
    environment = {**os.environ, "HOONIFY_STATE_DIR": str(folder / "state")}
    base = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [*command, "--config", str(config), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        try:
            for _ in range(600):
                with suppress(OSError), urllib.request.urlopen(f"{base}/models/qwen-3") as page:
                    if b"ready" in page.read():
                        break
                time.sleep(0.1)
            yield base
        finally:
            process.terminate()
            process.wait(60)


def _configuration() -> str:
    """Return the shipped configuration with other homes for some models."""
    text = (ROOT / "config" / "router.yaml").read_text()
    text = text.replace("../models/tiny-chat", str(ROOT / "models" / "tiny-chat"))
    for model, home in HOMES.items():
        block = _block(text, model)
        text = text.replace(block, block[: block.index("    backend:")] + f"    {home}\n")
    return text


def _block(text: str, model: str) -> str:
    """Return the lines of a model, up to the next one, or to a comment between them."""
    lines = text.splitlines(keepends=True)
    start = next(n for n, line in enumerate(lines) if line.startswith(f"  {model}:"))
    end = start + 1
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    return "".join(lines[start:end])


def _furnish(folder: Path) -> dict[str, str]:
    """Make keys and a month of usage; return the keys."""
    url = f"sqlite:///{folder}/state/hoonify.db"
    keys = DatabaseKeyStore(url)
    scopes = ("inference", "usage:read", "keys:write")
    user, user_key = new_key("research notebook", "standard", owner="ada", scopes=scopes)
    other, _ = new_key("nightly batch", "free", owner="ada", lifetime=90 * _DAY)
    admin, admin_key = new_key(
        "operations", "unlimited", owner="ops", scopes=("inference", "admin")
    )
    for record in (user, other, admin):
        keys.add(record)
    keys.close()
    usage = UsageStore(url)
    usage.add(_month(user))
    usage.close()
    return {"user": user_key, "admin": admin_key}


def _month(key: KeyRecord) -> Iterator[UsageRecord]:
    chance, now = random.Random(7), time.time()
    for day in range(30):
        for number in range(chance.randint(3, 14) * (1 if day % 7 in (5, 6) else 3)):
            model = chance.choice(
                ["qwen-3", "qwen-3", "qwen-3", "deepseek-r1", "mistral-7b-instruct"]
            )
            asked, answered = chance.randint(200, 9000), chance.randint(40, 1800)
            first = chance.uniform(0.08, 0.4)
            failed = chance.random() < 0.004
            yield UsageRecord(
                f"r{day}-{number}",
                now - day * _DAY - chance.random() * 3600,
                key.id,
                key.owner,
                model,
                model,
                "chat",
                503 if failed else 200,
                "model_unavailable" if failed else "",
                "stop",
                True,
                asked,
                answered,
                0,
                0,
                (asked * 0.2 + answered * 0.6) / 1e6,
                first,
                first + answered * chance.uniform(0.009, 0.014),
            )


def _warm(base: str, key: str) -> None:
    """Ask a few questions, so that the console has something to tell."""
    import openai

    with openai.OpenAI(base_url=f"{base}/v1", api_key=key) as client:
        for model in ("qwen-3", "qwen-3", "deepseek-r1", "tiny-chat"):
            client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "Tell me about routers, please."}],
                stream=False,
            )


if __name__ == "__main__":
    sys.exit(main())
