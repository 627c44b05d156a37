"""A page per hook."""

from __future__ import annotations

import inspect

from hoonify_router import hookspecs


def hook_names() -> list[str]:
    """Return the names of all hooks, in the order of the file."""
    return [name for name in vars(hookspecs) if name.startswith("hoonify_")]


def hook_index() -> str:
    """Return a table of all hooks: when each is called."""
    rows = ["| hook | called |", "|---|---|"]
    for name in hook_names():
        text = inspect.cleandoc(getattr(hookspecs, name).__doc__ or "").replace("``", "`")
        called = " ".join(text.partition("\n\n")[2].partition("\n\n")[0].split())
        rows.append(f"| [`{name}`]({name}.md) | {called} |")
    return "\n".join(rows)


def hook_page(name: str) -> str:
    """Return one hook: its exact signature, then what its docstring says."""
    hook = getattr(hookspecs, name)
    return f"```python\n{name}{inspect.signature(hook)}\n```\n\n{_hook_text(name)}"


def _hook_text(name: str) -> str:
    hook = getattr(hookspecs, name)
    types = [f"`{p.name}: {p.annotation}`" for p in inspect.signature(hook).parameters.values()]
    returns = inspect.signature(hook).return_annotation
    text = inspect.cleandoc(hook.__doc__ or "").replace("``", "`")
    text, _, example = text.partition("Example::")
    facts = [f"Takes {', '.join(types) or 'nothing'}; returns `{returns}`."]
    code = inspect.cleandoc("\n" + example)
    return "\n\n".join([text.strip(), *facts, f"```python\n{code.strip()}\n```"])
