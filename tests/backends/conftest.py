"""What the tests of several backends need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The folder of the model that ships with the router."""
    return Path(__file__).resolve().parents[2] / "models" / "tiny-chat" / "onnx"


@pytest.fixture(scope="session")
def tokenizer(model_path: Path) -> Any:
    """The shipped model's tokenizer."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(model_path / "tokenizer.json"))
