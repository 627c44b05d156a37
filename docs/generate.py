"""Write the parts of the documentation that the code knows best: ``make docs``, or ``python -m docs.generate``.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; everything around it is written by
hand. A test fails when a part is not what this would write.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hoonify_router import errors, hookspecs
from hoonify_router.cli.entry import BUILT_IN
from hoonify_router.cli.parser import build_parser
from hoonify_router.config import json_schema
from hoonify_router.loader import collect_commands, load_plugins
from hoonify_router.routes import failures

DOCS = Path(__file__).resolve().parent
PART = re.compile(r"(<!-- generated: (?P<name>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
HELP_WIDTH = "92"


def refreshed(text: str) -> str:
    """Return a page with every generated part as it should be now."""
    return PART.sub(lambda found: f"{found[1]}\n{_part(found['name'])}\n\n{found[3]}", text)


def _part(name: str) -> str:
    what, _, which = name.partition(" ")
    writers: Mapping[str, Callable[[], str]] = {
        "errors": errors_table,
        "hooks": hook_sections,
        "configuration": configuration_tables,
        "commands": command_sections,
        "options": lambda: options_table(which),
        "settings": lambda: settings_table(which),
    }
    return writers[what]()


# ---------------------------------------------------------------- errors


def errors_table() -> str:
    """Return a row per error class, in the order of the tree."""
    rows = ["| status | `type` | `code` | class | when |", "|---|---|---|---|---|"]
    for name, kind in own_errors().items():
        when = first_line(kind)
        rows.append(f"| {kind.status} | `{kind.type}` | `{kind.code}` | `{name}` | {when} |")
    return "\n".join(rows)


def own_errors() -> dict[str, type[errors.RouterError]]:
    """Return the router's error classes by name, without those that a plugin or a test has added."""
    kinds = errors.error_kinds().items()  # the door adds a few that only HTTP knows
    own = (errors.__name__, failures.__name__)
    return {name: kind for name, kind in kinds if kind.__module__ in own}


def first_line(thing: object) -> str:
    """Return the first line of a docstring."""
    return inspect.cleandoc(thing.__doc__ or "").partition("\n")[0]


# ---------------------------------------------------------------- hooks


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


# ---------------------------------------------------------------- configuration

SECTIONS = {
    "": "The whole file",
    "ServerConfig": "`server:`",
    "ModelConfig": "`models: ID:`",
    "HomeConfig": "`models: ID: homes:`",
    "Pricing": "`models: ID: pricing:`",
    "BackendDefaults": "`backends: NAME:`",
}


def configuration_tables() -> str:
    """Return a table of keys per structure of the file."""
    schema = json_schema()
    return "\n\n".join(
        f"### {heading}\n\n{part['description']}\n\n{_keys(part, schema['$defs'])}"
        for name, heading in SECTIONS.items()
        for part in [schema["$defs"][name] if name else schema]
    )


def options_table(backend: str) -> str:
    """Return the table of the keys that a built-in backend's ``options:`` may have."""
    return _struct_table(load_plugins().backends[backend].options)


def settings_table(plugin: str) -> str:
    """Return the table of a built-in plugin's settings."""
    return _struct_table(load_plugins().middleware[plugin].settings)


def _struct_table(struct: type[Any]) -> str:
    definitions = json_schema(plugin_settings={"it": struct})["$defs"]
    return _keys(definitions[struct.__name__], definitions)


def _keys(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|", *_rows(schema, definitions)]
    return "\n".join(rows) if len(rows) > 2 else "There is nothing to set."


def _rows(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    required = schema.get("required", [])
    for key, value in schema["properties"].items():
        inner = _name(value)
        if inner and inner not in SECTIONS:
            yield from _rows(definitions[inner], definitions, f"{prefix}{key}.")
            continue
        default = "required" if key in required else _default(value)
        meaning = _meaning(value, definitions).replace("|", "\\|")
        yield f"| `{prefix}{key}` | {_kind(value)} | {default} | {meaning} |"


def _name(schema: Mapping[str, Any]) -> str:
    """Return the name of the structure that a field holds, if it holds one."""
    for one in [schema, *schema.get("anyOf", [])]:
        if "$ref" in one:
            return str(one["$ref"]).rpartition("/")[2]
    return ""


def _meaning(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return a field's own description, or that of the structure that it holds."""
    if name := _name(schema):
        schema = {"description": definitions[name].get("description", ""), **schema}
    return str(schema.get("description", ""))


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return SECTIONS[_name(schema)]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "(ms|s|m|h|d)" in schema.get("pattern", ""):
        return "duration"
    kinds = schema.get("type", "anything")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {_kind(schema['additionalProperties'])}"
    names = {"object": "mapping", "integer": "integer", "boolean": "`true` or `false`"}
    return names.get(kind, kind) + _limits(schema)


def _limits(schema: Mapping[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {'over' if 'exclusiveMinimum' in schema else 'at least'} {low}"
    return f", at most {high}" if high is not None else ""


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    if default is None or default in ("", [], {}):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}s`" if _kind(schema) == "duration" else f"`{default}`"


# ---------------------------------------------------------------- commands


def command_sections() -> str:
    """Return a section per command with its ``--help``."""
    commands, _ = collect_commands(load_plugins(), reserved=[own.name for own in BUILT_IN])
    parser = build_parser(BUILT_IN, [command for _, command in commands.values()])
    return "\n\n".join(f"### `{name}`\n\n```text\n{text}\n```" for name, text in _helps(parser))


def _helps(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    before = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
    os.environ.update(COLUMNS=HELP_WIDTH, NO_COLOR="1")
    try:
        yield from _help_tree(parser)
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _help_tree(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    yield parser.prog, parser.format_help().rstrip()
    for action in parser._actions:  # argparse has no public way to its sub-commands
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _help_tree(child)


def main() -> None:
    """Rewrite every page whose generated parts are not current."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text()
        if (new := refreshed(text)) != text:
            page.write_text(new)
            print(f"wrote {page.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
