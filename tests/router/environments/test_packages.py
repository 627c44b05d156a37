"""An engine's interpreter finds the router's code and its backend's, and nothing else of the router's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hoonify_router.environments import link_packages


def test_the_router_and_the_engines_package_are_linked(tmp_path: Path) -> None:
    """Again and again, for each engine; what is not here is at home in the engine's interpreter."""
    for engine in ("hoonify_backends.echo.engine:EchoEngine", "no_such_plugin.engine:Engine") * 2:
        assert link_packages(tmp_path / "packages", engine) == tmp_path / "packages"
    names = sorted(path.name for path in (tmp_path / "packages").iterdir())
    assert names == ["hoonify_backends", "hoonify_router"]


def test_another_interpreter_imports_them(tmp_path: Path) -> None:
    """With the modules of the worker host beside it, it can run the host."""
    import msgspec
    import pluggy

    site = tmp_path / "site"
    site.mkdir()
    for module in (msgspec, pluggy):
        assert module.__file__ is not None
        (site / module.__name__).symlink_to(Path(module.__file__).parent)
    packages = link_packages(tmp_path / "packages", "hoonify_backends.echo.engine:EchoEngine")
    code = (
        "import importlib.util, hoonify_router.worker.__main__, hoonify_backends.echo.engine;"
        "print(importlib.util.find_spec('sanic'))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": f"{packages}:{site}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "None", done.stderr
