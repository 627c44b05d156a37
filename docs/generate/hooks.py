"""A section per hook."""

from __future__ import annotations

import inspect

from hoonify_router import hookspecs


def hook_names() -> list[str]:
    """Return the names of all hooks, in the order of the file."""
    return [name for name in vars(hookspecs) if name.startswith("hoonify_")]


def hook_sections() -> str:
    """Return a section per hook: its exact arguments, then what its docstring says."""
    return "\n\n".join(f"### {hook_signature(name)}\n\n{_hook_text(name)}" for name in hook_names())


def hook_signature(name: str) -> str:
    """Return a hook's name and arguments as a heading shows them."""
    arguments = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
    return f"`{name}({arguments})`"


def _hook_text(name: str) -> str:
    hook = getattr(hookspecs, name)
    types = [f"`{p.name}: {p.annotation}`" for p in inspect.signature(hook).parameters.values()]
    returns = inspect.signature(hook).return_annotation
    text = inspect.cleandoc(hook.__doc__ or "").replace("``", "`")
    text, _, example = text.partition("Example::")
    facts = [f"Takes {', '.join(types) or 'nothing'}; returns `{returns}`."]
    code = inspect.cleandoc("\n" + example)
    return "\n\n".join([text.strip(), *facts, f"```python\n{code.strip()}\n```"])
