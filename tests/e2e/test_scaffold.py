"""A plugin that was begun a moment ago is built, installed beside the router's wheel, and works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.e2e.conftest import StartRouter
from tests.fresh import ROOT, build_wheel, make_environment, run

from hoonify_router.cli import main
from hoonify_router.scaffold import KINDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG = """
server: {allow_anonymous: true}
pipeline: [my_middleware]
models:
  mine: {provider: Me, context_length: 4096, backend: my_backend, options: {slots: 4}}
  both:
    provider: Me
    context_length: 4096
    homes:
      - {backend: my_backend}
      - {backend: my_backend}
    balance: my_balancer
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with one plugin of each kind."""
    folder = tmp_path_factory.mktemp("plugins")
    for kind in KINDS:
        assert main(["plugins", "new", kind, f"my_{kind}", "--into", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def python(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the router's wheel and those of the plugins."""
    folder = tmp_path_factory.mktemp("fresh")
    sources = [ROOT, *sorted(written.iterdir())]
    wheels = [build_wheel(source, folder) for source in sources]
    return make_environment(folder / "venv", *wheels)


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass(kind: str, written: Path, python: Path, tmp_path: Path) -> None:
    """For a backend, the whole conformance kit is among them."""
    shutil.copytree(written / f"hoonify-my-{kind}" / "tests", tmp_path / "tests")
    shutil.copy(written / f"hoonify-my-{kind}" / "pyproject.toml", tmp_path)
    told = run(python, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    passed = int(told.split(" passed")[0].split()[-1])
    assert passed > (80 if kind == "backend" else 1)


def test_the_command_proves_it(python: Path, tmp_path: Path) -> None:
    """`hoonify-router conformance` is green in that environment, and says so in JSON."""
    told = tmp_path / "report.json"
    run(
        python.with_name("hoonify-router"),
        "conformance",
        "my_backend",
        "--json",
        told,
        cwd=tmp_path,
    )
    report = json.loads(told.read_text())
    assert report["distribution"] == "hoonify-my-backend 0.1.0"
    assert {one["status"] for one in report["results"]} == {"passed", "skipped"}


def test_a_chat_goes_through_all_of_them(python: Path, start_router: StartRouter) -> None:
    """The router of that environment serves a model on the backend, by the balancer, past the middleware."""
    router = start_router(CONFIG, python=str(python))
    router.wait_ready(120)
    for model in ("mine", "both"):
        messages = [{"role": "user", "content": "hello there"}]
        with router.post({"model": model, "messages": messages}) as answer:
            assert answer.headers["x-hoonify-my-middleware"] == "hello"
            assert json.load(answer)["choices"][0]["message"]["content"] == "hello there"


def test_the_command_of_the_plugin_is_there(python: Path, tmp_path: Path) -> None:
    """And `plugins list` shows all of them."""
    told = run(python.with_name("hoonify-router"), "plugins", "list", cwd=tmp_path)
    for kind in KINDS:
        assert f"hoonify-my-{kind} 0.1.0" in told
