"""The backend for any OpenAI-compatible server."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hoonify_backends import openai
from hoonify_backends.openai import (
    OpenAIOptions,
    check,
    hoonify_validate_config,
    wrong_address,
)
from hoonify_router.api import HomeConfig
from hoonify_router.config import load_config

HERE = Path(__file__).parent


def test_it_registers_one_server_backend() -> None:
    """Its server decides itself what it honours."""
    (backend,) = openai.hoonify_register_backends()
    assert (backend.name, backend.kind) == ("openai", "server")
    assert backend.options is OpenAIOptions
    assert backend.parameters is None  # type: ignore[union-attr]


def test_options_are_strict() -> None:
    """A name for the model and nothing else."""
    assert msgspec.convert({"model": "gpt-x"}, OpenAIOptions).model == "gpt-x"
    assert msgspec.convert({}, OpenAIOptions).model is None
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"modell": "x"}, OpenAIOptions)


@pytest.mark.parametrize(
    "url",
    ["http://gpu-1:30000", "https://example.com/v1", "http://[::1]:9/v1/", "http://10.0.0.1/a/b"],
)
def test_a_base_url_makes_it_available(url: str) -> None:
    """Whether somebody answers there is the supervisor's business."""
    assert check(OpenAIOptions(), HomeConfig("openai", url=url), HERE) is None
    assert wrong_address(url) is None


def test_without_a_url_it_is_not_available() -> None:
    """The operator reads what to write."""
    refused = check(OpenAIOptions(), HomeConfig("openai"), HERE)
    assert refused is not None
    assert "url:" in refused.detail
    assert "url" not in refused.reason


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gpu-1:30000",
        "ftp://x/v1",
        "http://",
        "http://x:port/",
        "http://u:p@x/v1",
        "http://x/?a=b",
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    """Clients may read the reason; the address, or a password in it, is not theirs."""
    refused = check(OpenAIOptions(), HomeConfig("openai", url=url), HERE)
    assert refused is not None
    assert not url or url not in refused.reason


def test_a_home_without_an_address_is_a_mistake(tmp_path: Path) -> None:
    """Told with its line by `check`; nobody could ever start it."""
    path = tmp_path / "router.yaml"
    path.write_text(
        "models:\n"
        "  a: {provider: p, context_length: 1, backend: openai}\n"
        "  b:\n"
        "    provider: p\n"
        "    context_length: 1\n"
        "    homes:\n"
        "      - {backend: openai, url: 'http://x:1'}\n"
        "      - {backend: openai}\n"
    )
    loaded = load_config(
        path, backend_options={"openai": OpenAIOptions}, plugin_settings={}, env={}
    )
    problems = hoonify_validate_config(loaded)
    assert [problem.partition(": ")[0] for problem in problems] == [
        "models.a.backend",
        "models.b.homes[1].backend",
    ]
    assert all("add `url: http://HOST:PORT/v1`" in problem for problem in problems)
    assert loaded.locate(problems[1]).startswith(f"{path}:8: ")
