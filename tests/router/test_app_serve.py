"""What ``serve`` refuses and keeps quiet about, and what a gateway makes of plugins that fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sanic import Sanic

from hoonify_router import app, gateway_process, runfile
from hoonify_router.api import Middleware, Phase, RequestContext
from hoonify_router.config.model import Config, LoadedConfig, ServerConfig
from hoonify_router.errors import InvalidRequest


def test_a_state_folder_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk, say, is no traceback."""

    def full(*args: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(app, "configure_logging", lambda: None)
    monkeypatch.setattr(runfile, "announce", full)
    config = Config(models={}, server=ServerConfig(port=0))
    loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path)
    assert app.serve(loaded) == 2
    told = (
        f"hoonify-router: the state folder {tmp_path} cannot be written: No space left on device\n"
    )
    assert capsys.readouterr().err == told


def test_sanic_says_nothing_of_its_own_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its advice to use ``--dev``, which only this variable keeps back, is for other programs."""
    quiet: list[str | None] = []
    variable = "SANIC_IGNORE_PRODUCTION_WARNING"
    monkeypatch.setenv(variable, "")
    monkeypatch.setattr(Sanic, "serve", lambda **options: quiet.append(os.environ.get(variable)))
    monkeypatch.setattr(app, "configure_logging", lambda: None)
    config = Config(models={}, server=ServerConfig(port=0))
    app.serve(LoadedConfig(tmp_path / "router.yaml", config, tmp_path))
    assert all(quiet)
    assert len(quiet) == 1


def test_a_second_router_on_one_configuration_is_worth_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be meant, on another port; most often it is not."""
    config = Config(models={}, server=ServerConfig(port=0))
    loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path)
    monkeypatch.setattr(Sanic, "serve", lambda **options: None)
    monkeypatch.setattr(app, "configure_logging", lambda: None)
    app.serve(loaded)
    assert "already" not in caplog.text
    runfile.announce(loaded, address="http://127.0.0.1:8000", supervisor=tmp_path / "x.sock")
    app.serve(loaded)
    assert f"process {os.getpid()} seems to serve this configuration already" in caplog.text


def test_a_plugin_that_fails_to_shape_errors_leaves_it_to_the_next(
    tmp_path: Path,
    install: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One raising implementation of ``hoonify_shape_error`` does not silence the others."""
    source = """
@hookimpl({order}=True)
def hoonify_shape_error(error, context):
    return {body}
"""
    install("acme", clumsy=source.format(order="tryfirst", body="1 / 0"))
    install("other", neat=source.format(order="trylast", body='{"problem": error.message}'))
    loaded = LoadedConfig(tmp_path / "router.yaml", Config(models={}), tmp_path)
    monkeypatch.setattr(gateway_process, "configure_logging", lambda: None)
    door = gateway_process.gateway_app(gateway_process.Launch(loaded, "http://127.0.0.1", tmp_path))
    ctx = RequestContext("req_1", "GET", "/", {}, "", 0.0)
    try:
        body = door.ctx.gateway.shaper.shape(InvalidRequest("No."), ctx).content
    finally:
        Sanic.unregister_app(door)
    assert body == {"problem": "No."}
    assert "'clumsy'" in caplog.text


@pytest.mark.parametrize(
    ("fields", "phase", "whom"),
    [
        ({"public": True}, None, "other machines"),
        ({"public": True}, Phase.OBSERVE, "other machines"),
        ({"public": True}, Phase.AUTHENTICATE, None),
        ({}, None, "whoever is on this machine"),
        ({"public": True, "meant": True}, None, None),
        ({"meant": True}, None, None),
    ],
)
def test_an_open_door_is_worth_a_warning(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, bool],
    phase: Phase | None,
    whom: str | None,
) -> None:
    """Once per router, however many gateways it has, unless the operator has said that it is meant."""
    config = Config(
        models={}, server=ServerConfig(host="0.0.0.0", allow_anonymous="meant" in fields)
    )
    loaded = LoadedConfig(tmp_path / "router.yaml", config, tmp_path)
    launch = gateway_process.Launch(
        loaded, "http://127.0.0.1:8000", tmp_path, public="public" in fields
    )
    middleware = [] if phase is None else [type("Some", (Middleware,), {"phase": phase})()]
    for _ in range(2):
        gateway_process._warn_of_open_door(launch, middleware)
    assert len(caplog.records) == (whom is not None)
    assert whom is None or f"0.0.0.0:8000 is open to {whom}" in caplog.text
