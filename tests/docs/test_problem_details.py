"""The example of another error shape works when it is installed as pip would."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.router.doubles import Play, Stage, Wire, gateway, request

from hoonify_router.errors import EngineDead, InvalidValue
from hoonify_router.gateway import Gateway
from hoonify_router.loader import load_plugins
from hoonify_router.reply import Reply
from hoonify_router.shaping import Shaper

EXAMPLE = ROOT / "docs" / "examples" / "problem_details"
ACCEPTS = {"accept": "application/problem+json, application/json;q=0.5"}


@pytest.fixture
def shaper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shaper]:
    """Return a shaper of all plugins, the example among them."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copy(EXAMPLE / "problem_details.py", tmp_path)
    info = tmp_path / "hoonify_problem_details-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n"
    )
    [(name, target)] = project["entry-points"]["hoonify_router"].items()
    (info / "entry_points.txt").write_text(f"[hoonify_router]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    plugins = load_plugins()
    assert not plugins.failures
    yield Shaper(plugins.shape_error)
    sys.modules.pop("problem_details", None)


async def ask(made: Gateway, body: dict[str, object], **headers: str) -> Wire:
    wire, ctx = Wire(), request(body, **headers)
    await made.pipeline.infer(ctx, Reply(wire, ctx.response_headers), "chat")
    return wire


async def test_who_accepts_problem_details_gets_them(shaper: Shaper) -> None:
    """Status and headers are the router's, the body and its type the plugin's."""
    wire = await ask(gateway(Stage(), shaper=shaper), {"temperature": 3}, **ACCEPTS)
    assert wire.status == InvalidValue.status
    assert wire.headers["content-type"] == "application/problem+json"
    assert wire.headers["x-request-id"] == "req-1"
    problem = wire.json
    assert problem.pop("detail")
    assert problem == {
        "type": "https://example.com/problems/invalid-value",
        "title": "Unprocessable Entity",
        "status": 422,
        "instance": "urn:request:req-1",
        "code": "invalid_value",
        "param": "temperature",
    }


async def test_everybody_else_gets_openai_s_shape(shaper: Shaper) -> None:
    """Its SDKs go on working."""
    wire = await ask(gateway(Stage(), shaper=shaper), {"temperature": 3})
    assert wire.headers["content-type"] == "application/json"
    assert set(wire.json["error"]) == {"message", "type", "param", "code"}


async def test_an_error_within_a_stream_is_openai_s(shaper: Shaper) -> None:
    """A stream has been promised to be one of OpenAI's, and its readers look for an `error`."""

    def act(play: Play) -> None:
        play.answer.text("hel")
        play.answer.fail(EngineDead("The model's engine has failed."))

    wire = await ask(gateway(Stage(act), shaper=shaper), {"stream": True}, **ACCEPTS)
    events = wire.body.decode().split("\n\n")
    told = json.loads(events[-3].removeprefix("data: "))
    assert told["error"]["code"] == "model_unavailable"
    assert events[-2] == "data: [DONE]"
