"""What axe-core says of every page, light and dark."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import House, Open, playwright

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

OPEN = ["/models", "/models/parrot", "/models/nobody", "/docs", "/dashboard/sign-in"]
INSIDE = [
    "/dashboard",
    "/dashboard/everything",
    "/playground",
    "/console",
    "/console/deed?deed=reload",
]


def faults(page: Any) -> list[str]:
    """Return the serious and critical ones."""
    return [
        f"{one['id']}: {node['target']} {node['html'][:200]}"
        for one in axe.Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_no_page_has_a_serious_fault(visit: Open, house: House, scheme: str, width: int) -> None:
    """Contrast, names, roles, focus."""
    _, key = house.key("root", "open", scopes=("inference", "admin"), owner="ops")
    seen = visit(color_scheme=scheme, viewport={"width": width, "height": 900})
    found = {path: faults(seen.open(path)) for path in OPEN}
    seen.sign_in(key)
    for path in INSIDE:
        page = seen.open(path)
        if path == "/playground":
            page.select_option("#model", "parrot")
            page.fill("#say", "hello")
            page.press("#say", "Enter")
            seen.says("#status", "Done.")
            playwright.expect(page.locator("#code figure").first).to_be_visible()
        found[path] = faults(page)
    assert not {path: told for path, told in found.items() if told}
