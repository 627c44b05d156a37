"""Plugins installed for one test, as pip would leave them."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PREAMBLE = """
from msgspec import Struct
from hoonify_router.api import *
from hoonify_router.api import hookimpl

class Options(Struct, forbid_unknown_fields=True):
    size: int = 1

"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install distributions: ``install("acme", plugin_name="source of its module")``.

    Each gets a folder on ``sys.path`` with its modules and a real ``*.dist-info``. The sources find the
    plugin API and a Struct ``Options`` imported; ``raw`` leaves that out.
    """
    modules: list[str] = []

    def install(
        distribution: str, *, version: str = "1.0", raw: bool = False, **plugins: str
    ) -> Path:
        site = tmp_path / f"site-{distribution}"
        info = site / f"{distribution}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = ["[hoonify_router]"]
        for name, source in plugins.items():
            module = re.sub(r"\W", "_", f"{distribution}_{name}")
            (site / f"{module}.py").write_text(("" if raw else PREAMBLE) + textwrap.dedent(source))
            lines.append(f"{name} = {module}")
            modules.append(module)
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(site)
        return site

    yield install
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def backend_source() -> Callable[[str], str]:
    """Return the source of a plugin that brings one backend of the given name."""
    return """
@hookimpl
def hoonify_register_backends():
    return [WorkerBackend({!r}, "A parrot.", Options, "parrot.engine:ParrotEngine")]
""".format
