"""The test instrument keeps every promise that a backend makes."""

from __future__ import annotations

from typing import ClassVar

import pytest

from hoonify_router.testing import BackendConformance

pytestmark = pytest.mark.slow


class TestEcho(BackendConformance):
    """Its words take a moment each, so that there is something to cancel."""

    backend = "echo"
    options: ClassVar = {"token_delay": 0.005}
