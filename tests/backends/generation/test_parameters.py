"""What is said to be honoured, without anything heavy."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

from hoonify_backends.generation.parameters import PARAMETERS, TASKS, ToolParser
from hoonify_backends.generation.structure import HONOURED
from hoonify_backends.generation.tools.formats import FORMATS
from hoonify_backends.onnxruntime import hoonify_register_backends
from hoonify_router.api import WorkerBackend
from hoonify_router.types import CORE_PARAMETERS, ChatRequest, CompletionRequest


def test_honoured_parameters_are_fields_of_requests() -> None:
    """And none that the router takes care of itself."""
    fields = {*ChatRequest.__struct_fields__, *CompletionRequest.__struct_fields__}
    assert fields >= PARAMETERS >= HONOURED
    assert not PARAMETERS & CORE_PARAMETERS


def test_the_backend_says_the_same_as_its_engine() -> None:
    """The documentation is made of it."""
    backend = next(one for one in hoonify_register_backends() if one.name == "onnxruntime")
    assert isinstance(backend, WorkerBackend)
    assert (backend.parameters, backend.tasks) == (PARAMETERS, TASKS)


def test_every_tool_parser_can_be_named() -> None:
    """In the options, where a wrong name is refused before anything is loaded."""
    assert set(get_args(ToolParser)) == set(FORMATS)


def test_nothing_heavy_is_imported() -> None:
    """The router's processes read options and parameters."""
    heavy = "'numpy', 'tokenizers', 'jinja2', 'onnxruntime', 'llguidance'"
    code = f"import sys, hoonify_backends.onnxruntime; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
