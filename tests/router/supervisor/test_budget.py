"""What homes claim, by the file or by their backend, and what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from hoonify_router.api import ServerBackend, WorkerBackend
from hoonify_router.config import load_config
from hoonify_router.supervisor.budget import Budget
from hoonify_router.supervisor.lifecycle import Limits
from hoonify_router.supervisor.plan import HomePlan, plan_homes

from .conftest import SimulatedMemory

GIB = 2**30


class Options(Struct, forbid_unknown_fields=True):
    """One."""

    layers: int = 0


def estimate(options: Options, home: object, base_dir: Path) -> Any:
    if options.layers < 0:
        raise ZeroDivisionError("a bug of the backend's")
    return options.layers * GIB if options.layers < 100 else {0: GIB, 1: 2 * GIB}


BACKENDS = {
    "plain": WorkerBackend("plain", "Tells nothing.", Options, "x:X"),
    "clever": WorkerBackend("clever", "Estimates.", Options, "x:X", estimate=estimate),
    "server": ServerBackend("server", "A server.", Options, estimate=estimate),
}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """``load("gpu: [0]", backend, server)``: the configuration, and the plan of its only home."""

    def make(more: str = "", backend: str = "plain", server: str = "") -> tuple[Any, HomePlan]:
        path = tmp_path / "router.yaml"
        path.write_text(
            f"server: {{{server}}}\n"
            f"models: {{m: {{provider: N, context_length: 9, backend: {backend}, {more}}}}}\n"
        )
        options = {name: one.options for name, one in BACKENDS.items()}
        loaded = load_config(path, backend_options=options, plugin_settings={}, env={})
        (plan,) = plan_homes(loaded, BACKENDS, Limits())
        return loaded, plan

    return make


@pytest.mark.parametrize(
    ("more", "backend", "claim"),
    [
        ("", "plain", {}),
        ("gpu_memory: 20GiB", "plain", {0: 20 * GIB}),
        ("gpu_memory: 20GiB, gpu: [2, 3]", "plain", {2: 20 * GIB, 3: 20 * GIB}),
        ("gpu_memory: [20GiB, 10GiB], gpu: [2, 3]", "plain", {2: 20 * GIB, 3: 10 * GIB}),
        ("gpu: [1]", "plain", {1: 0}),
        ("options: {layers: 7}", "clever", {0: 7 * GIB}),
        ("options: {layers: 7}, gpu: [1]", "clever", {1: 7 * GIB}),
        ("options: {layers: 7}, gpu_memory: 1GiB", "clever", {0: GIB}),
        ("options: {layers: 100}", "clever", {0: GIB, 1: 2 * GIB}),
        ("options: {layers: -1}", "clever", {}),
        ("options: {layers: 7}, url: 'http://gpu-1'", "server", {}),
        ("options: {layers: 7}", "server", {0: 7 * GIB}),
    ],
)
def test_what_a_home_claims(load: Any, more: str, backend: str, claim: dict[int, int]) -> None:
    """The file counts more than the backend; what runs elsewhere takes nothing here."""
    assert load(more, backend)[1].claim == claim


@pytest.mark.parametrize(
    ("server", "capacity"),
    [
        ("", {0: 80 * GIB, 1: 80 * GIB}),
        ("gpu_budget: 10GiB", {0: 10 * GIB}),
        ("gpu_budget: [10GiB, 20GiB, 30GiB]", {0: 10 * GIB, 1: 20 * GIB, 2: 30 * GIB}),
    ],
)
def test_the_file_counts_more_than_the_driver(
    load: Any, server: str, capacity: dict[int, int]
) -> None:
    """One size is for each GPU that a home claims."""
    loaded, plan = load("gpu_memory: 1GiB", server=server)
    memory = SimulatedMemory({0: 80 * GIB, 1: 80 * GIB})
    assert Budget.of(loaded, memory, [plan.claim]).capacity == capacity


def test_the_driver_is_not_asked_where_nothing_is_claimed(load: Any) -> None:
    """A router without GPUs starts no programs to look for some."""

    class Untouchable(SimulatedMemory):
        def total(self) -> dict[int, int]:
            raise AssertionError

    loaded, plan = load("gpu: [1]")
    assert Budget.of(loaded, Untouchable(), [plan.claim]).capacity == {}


def test_what_a_reload_brings_is_counted_too(load: Any) -> None:
    """A GPU that no home claimed at the start has an end all the same."""
    loaded, plan = load()
    budget = Budget.of(loaded, SimulatedMemory({0: 80 * GIB, 1: 80 * GIB}), [plan.claim])
    assert budget.capacity == {}
    budget.cover({1: 0})
    assert budget.capacity == {}
    budget.cover({1: GIB})
    assert budget.capacity == {0: 80 * GIB, 1: 80 * GIB}
    loaded, plan = load("gpu_memory: 1GiB", server="gpu_budget: 10GiB")
    budget = Budget.of(loaded, SimulatedMemory(), [plan.claim])
    budget.cover({3: GIB})
    assert budget.capacity == {0: 10 * GIB, 3: 10 * GIB}


def test_a_home_that_is_larger_than_its_gpu_never_fits() -> None:
    """Its operator is told the numbers, its clients are not."""
    budget = Budget({0: 80 * GIB})
    assert budget.why_never({0: 80 * GIB, 1: 500 * GIB}) is None
    why = budget.why_never({0: 90 * GIB})
    assert why is not None
    assert why.reason == "It needs more GPU memory than there is."
    assert why.detail == "gpu_memory: 90 GiB on GPU 0, whose budget is 80 GiB"
    assert budget.fits([{0: 40 * GIB}], {0: 40 * GIB})
    assert not budget.fits([{0: 41 * GIB}], {0: 40 * GIB})
