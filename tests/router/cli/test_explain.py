"""``explain``: the commands behind a model, to read or to copy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
Install = Callable[..., Path]

WIDE = """
from hoonify_router.api import Explanation, ServerBackend, Step

class WideOptions(Struct, forbid_unknown_fields=True):
    model: str
    nodes: int = 1
    token: str = ""

def explain(options, subject):
    steps = [
        Step(f"node {n} of {options.nodes}", (subject.python, "-m", "wide", "--rank", str(n)), {"SEED": "a b"})
        for n in range(options.nodes)
    ]
    return Explanation(tuple(steps), (f"{subject.model} needs a fast network.",))

@hookimpl
def hoonify_register_backends():
    return [ServerBackend("wide", "Spans machines.", WideOptions, explain=explain)]
"""
MODELS = """
models:
  far:
    provider: p
    context_length: 1
    homes:
      - {backend: wide, options: {model: m, nodes: 2, token: confidential}}
      - {backend: wide, options: {model: m}, url: "http://gpu-1:30000"}
  near: {provider: p, context_length: 1, backend: echo, gpu: [1], gpu_memory: 3GiB}
"""


def test_the_commands_of_every_node_are_told(run: Run, install: Install, folder: Path) -> None:
    """As the backend has them, quoted for a shell; a home at a URL starts nothing."""
    install("acme", acme=WIDE)
    (folder / "config" / "router.yaml").write_text(MODELS)
    done = run("explain", "far")
    assert done.status == 0
    first, second = done.out.split("\n\nfar/1 on wide: ")
    assert first.startswith("far/0 on wide: unavailable\n  reason ")
    for rank in (0, 1):
        assert (
            f"# node {rank} of 2\nSEED='a b' \\\n  {sys.executable} -m wide \\\n  --rank {rank}\n"
        ) in first
    assert "# far needs a fast network." in first
    assert "confidential" not in done.out
    assert "Nothing is started here: its server is at http://gpu-1:30000." in second


def test_a_worker_is_told_with_its_interpreter(run: Run, folder: Path) -> None:
    """As JSON, for programs."""
    (folder / "config" / "router.yaml").write_text(
        MODELS[: MODELS.index("  far")] + MODELS[MODELS.index("  near") :]
    )
    (home,) = json.loads(run("explain", "near", "--json").out)
    assert (home["home"], home["backend"], home["state"]) == ("near", "echo", "available")
    assert home["interpreter"] == sys.executable
    (step,) = home["steps"]
    assert home["gpu_memory"] == {"1": 3 * 1024**3}
    assert "GPU memory   3 GiB on GPU 1" in run("explain", "near").out
    assert step["command"][:3] == [sys.executable, "-m", "hoonify_router.worker"]


def test_a_model_that_is_not_there_is_a_mistake(run: Run) -> None:
    """With what was probably meant."""
    done = run("explain", "parot")
    assert (done.status, done.out) == (2, "")
    assert done.err == [
        "hoonify-router: config/router.yaml has no model 'parot', did you mean 'parrot'?"
    ]
