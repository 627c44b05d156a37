"""The whole plugin of the documentation works when it is copied into a distribution of its own."""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.docs.pages import ROOT, blocks

from hoonify_router.api import Candidate, RequestContext
from hoonify_router.config import load_config, options_for
from hoonify_router.loader import Plugins, load_plugins
from hoonify_router.types import (
    ChatRequest,
    Counted,
    Embedded,
    Event,
    Failure,
    Finish,
    HomeView,
    Message,
    Text,
)

PAGE = ROOT / "docs" / "plugins.md"


def first_block(language: str, holding: str) -> str:
    return next(b.text for b in blocks(language) if b.page == PAGE and holding in b.text)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """All plugins, with the documented one installed as pip would."""
    project = tomllib.loads(first_block("toml", "[project]"))["project"]
    (tmp_path / "parrot.py").write_text(first_block("python", "class ParrotEngine"))
    info = tmp_path / "hoonify_parrot-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n"
    )
    entries = project["entry-points"]["hoonify_router"]
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[hoonify_router]", *lines]))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield load_plugins()
    sys.modules.pop("parrot", None)


def test_a_model_can_live_there(plugins: Plugins, tmp_path: Path) -> None:
    """The YAML that is shown beside it loads, and its options are checked."""
    file = tmp_path / "router.yaml"
    file.write_text(first_block("text", "backend: parrot"))
    loaded = load_config(
        file,
        backend_options=plugins.backend_options,
        plugin_settings=plugins.plugin_settings,
        env={},
    )
    [home] = loaded.config.models["polly"].all_homes()
    options: Any = options_for(loaded, home, plugins.backends["parrot"].options)
    assert options.times == 2


async def test_its_engine_answers(plugins: Plugins) -> None:
    """It says the words, then finishes, then counts."""
    from parrot import ParrotEngine, ParrotOptions  # type: ignore[import-not-found]

    engine = ParrotEngine()
    await engine.load(ParrotOptions(times=2), lambda stage, done, total: None)
    request = ChatRequest("polly", [Message("user", "hello you")], max_tokens=3)
    events = [event async for event in engine.generate(request)]
    assert [type(event) for event in events] == [Text, Text, Text, Finish, Counted]
    assert events[3] == Finish("length")


def test_the_balancer_of_the_page_chooses() -> None:
    """The favourite home while it is not busier, else the least busy one."""
    names: dict[str, Any] = {}
    exec(first_block("python", "class Favourite"), names)
    [spec] = names["hoonify_register_balancers"]()
    balancer = spec.build(spec.settings(favourite=1))
    views = [HomeView(f"m/{place}", "m", "parrot", "worker", "ready") for place in range(2)]
    candidates = [Candidate(view) for view in views]
    ctx = RequestContext("r", "POST", "/", {}, "", 0.0)
    assert balancer.choose(candidates, ctx).home.id == "m/1"
    candidates[1].in_flight = 1
    assert balancer.choose(candidates, ctx).home.id == "m/0"


def test_the_events_of_the_page_are_events() -> None:
    """Each line makes one, and the vector is of whole numbers' size."""
    block = first_block("python", "TokenLogprob(")
    names: dict[str, Any] = {}
    exec(block, names)
    lines = [ast.unparse(one) for one in ast.parse(block).body if isinstance(one, ast.Expr)]
    events = [eval(line, names) for line in lines]
    assert {type(event) for event in events} == set(get_args(Event)) - {Failure}
    assert all(len(e.vector) % 4 == 0 for e in events if isinstance(e, Embedded))
