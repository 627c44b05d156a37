"""The backend for any OpenAI-compatible server."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hoonify_backends import openai
from hoonify_backends.openai import OpenAIOptions, check, wrong_address
from hoonify_router.api import HomeConfig

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
