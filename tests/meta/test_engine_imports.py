"""Engine libraries are imported where they are used, never when a module of ours is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINES = {
    "exllamav2",
    "exllamav3",
    "llguidance",
    "onnxruntime",
    "onnxruntime_genai",
    "sglang",
    "tokenizers",
    "torch",
    "transformers",
}
MODULES = [
    path
    for folder in ("router/hoonify_router", "backends/hoonify_backends", "plugins/hoonify_plugins")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.parent.name != "plain_cpu"  # data, run by SGLang's own interpreter
]


def imported_at_module_level(node: ast.AST) -> Iterator[str]:
    """Yield the top-level names that importing the module imports; what only type checkers see does not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield str(child.module).partition(".")[0]
        yield from imported_at_module_level(child)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_engine_is_imported_at_module_level(path: Path) -> None:
    """A process that only looks a module up pays for no engine."""
    assert not ENGINES & set(imported_at_module_level(ast.parse(path.read_text())))
