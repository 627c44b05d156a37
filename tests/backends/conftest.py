"""What the tests of several backends need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.backends.asking import ask, complete

Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The folder of the model that ships with the router."""
    return Path(__file__).resolve().parents[2] / "models" / "tiny-chat" / "onnx"


@pytest.fixture(scope="session")
def tokenizer(model_path: Path) -> Any:
    """The shipped model's tokenizer."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(model_path / "tokenizer.json"))


@pytest.fixture(name="ask")
def ask_fixture() -> Ask:
    """Ask an engine and wait for the whole answer."""
    return ask


@pytest.fixture(name="complete")
def complete_fixture() -> Ask:
    """Let an engine go on with a text and wait for the whole of it."""
    return complete
