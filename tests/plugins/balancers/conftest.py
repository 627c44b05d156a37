"""Candidates and requests for balancers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from hoonify_router.api import Candidate, RequestContext
from hoonify_router.types import ChatRequest, Health, HomeView, InferenceRequest, Message

MakeCandidates = Callable[..., list[Candidate]]
MakeContext = Callable[..., RequestContext]


@pytest.fixture
def candidates() -> MakeCandidates:
    """Return homes with these weights: ``candidates(1, 3, busy=[0, 2], told=[None, 4])``."""

    def make(
        *weights: int, busy: list[int] | None = None, told: list[int | None] | None = None
    ) -> list[Candidate]:
        made = []
        for number, weight in enumerate(weights):
            view = HomeView(f"m/{number}", "m", "echo", "worker", "ready", "/x.sock", weight=weight)
            load = told[number] if told else None
            health = None if load is None else Health(running=load - load // 2, queued=load // 2)
            made.append(Candidate(view, busy[number] if busy else 0, health))
        return made

    return make


@pytest.fixture
def context() -> MakeContext:
    """Return a request on its way: ``context("hello")``, ``context(request, **headers)``."""

    def make(
        asked: InferenceRequest | str | None = None,
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> RequestContext:
        if isinstance(asked, str):
            asked = ChatRequest("m", [Message("user", asked)], **fields)
        return RequestContext(
            "r",
            "POST",
            "/v1/chat/completions",
            headers or {},
            "",
            time.perf_counter(),
            request=asked,
        )

    return make
