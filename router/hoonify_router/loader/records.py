"""Check what plugins return from their registration hooks, with messages that name what came."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from hoonify_router.api import (
    APIRoute,
    BalancerSpec,
    Command,
    EngineEnvironment,
    MiddlewareSpec,
    Route,
    ServerBackend,
    WorkerBackend,
)
from hoonify_router.config.model import ROUND_ROBIN
from hoonify_router.errors import PluginError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ENGINE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

RecordT = TypeVar("RecordT")


def checked_list(hook: str, result: Any, kinds: tuple[type[RecordT], ...]) -> list[RecordT]:
    """Return the records that a registration hook gave, each of them well-formed.

    Args:
        hook: Name of the hook, for messages.
        result: What its implementation returned.
        kinds: The record types that it may hold.

    Raises:
        PluginError: It is not a list, holds something else, or a record is malformed.
    """
    wanted = " or ".join(kind.__name__ for kind in kinds)
    if isinstance(result, kinds):
        raise PluginError(f"{hook} returned one {type(result).__name__}, put it into a list")
    if inspect.isgenerator(result):
        result.close()
        raise PluginError(f"{hook} is a generator, return a list of {wanted} instead of yielding")
    if not isinstance(result, list | tuple):
        raise PluginError(f"{hook} returned {_came(result)}, expected a list of {wanted}")
    for position, record in enumerate(result):
        if not isinstance(record, kinds):
            raise PluginError(
                f"{hook} returned {_came(record)} at position {position} of its list,"
                f" expected {wanted}"
            )
        _check(hook, record)
    return list(result)


def _came(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    return f"{type(value).__name__} {value!r:.60}"


def _check(hook: str, record: Any) -> None:
    if isinstance(record, Route | APIRoute):
        kind = type(record).__name__
        if not isinstance(record.path, str) or not record.path.startswith("/"):
            raise PluginError(
                f"{hook}: a {kind}'s path is {_came(record.path)}, it must start with /"
            )
        _check_callable(hook, f"{kind} {record.path!r}", "handler", record.handler)
        if isinstance(record, APIRoute):
            if not isinstance(record.method, str) or not record.method.isupper():
                raise PluginError(
                    f"{hook}: APIRoute {record.path!r}: method is {_came(record.method)},"
                    ' expected one such as "GET"'
                )
            return
        if not isinstance(record.methods, tuple | list) or not record.methods:
            raise PluginError(
                f"{hook}: Route {record.path!r}: methods is {_came(record.methods)},"
                ' expected a tuple such as ("GET",)'
            )
        return
    kind = type(record).__name__
    if not isinstance(record.name, str) or not NAME.fullmatch(record.name):
        raise PluginError(
            f"{hook}: a {kind}'s name is {_came(record.name)},"
            " expected letters, digits, '_', '-' and '.'"
        )
    label = f"{kind} {record.name!r}"
    if not isinstance(record.summary, str) or not record.summary.strip():
        raise PluginError(f"{hook}: {label}: summary is {_came(record.summary)}, expected one line")
    match record:
        case WorkerBackend():
            if not isinstance(record.engine, str) or not ENGINE.fullmatch(record.engine):
                raise PluginError(
                    f"{hook}: {label}: engine is {_came(record.engine)},"
                    " expected 'package.module:ClassName'"
                )
            _check_struct(hook, label, "options", record.options)
            _check_backend(hook, label, record)
        case ServerBackend():
            _check_struct(hook, label, "options", record.options)
            _check_backend(hook, label, record)
        case MiddlewareSpec():
            _check_struct(hook, label, "settings", record.settings)
            _check_callable(hook, label, "build", record.build)
        case BalancerSpec():
            if record.name == ROUND_ROBIN:
                raise PluginError(f"{hook}: the balancer {ROUND_ROBIN!r} is the router's own")
            _check_struct(hook, label, "settings", record.settings)
            _check_callable(hook, label, "build", record.build)
        case Command():
            _check_callable(hook, label, "add_arguments", record.add_arguments)
            _check_callable(hook, label, "run", record.run)


def _check_backend(hook: str, label: str, record: WorkerBackend | ServerBackend) -> None:
    requires = record.requires
    if not isinstance(requires, tuple) or not all(isinstance(name, str) for name in requires):
        raise PluginError(
            f"{hook}: {label}: requires is {_came(requires)}, expected a tuple of module names"
        )
    environments = record.environments
    if not isinstance(environments, tuple) or not all(
        isinstance(each, EngineEnvironment) for each in environments
    ):
        raise PluginError(
            f"{hook}: {label}: environments is {_came(environments)}, expected a tuple of"
            " EngineEnvironment"
        )
    if len({each.accelerator for each in environments}) < len(environments):
        raise PluginError(f"{hook}: {label}: two environments are for one accelerator")
    _check_callable(hook, label, "check", record.check)
    _check_callable(hook, label, "accelerator", record.accelerator)
    _check_callable(hook, label, "estimate", record.estimate)
    if record.explain is not None:
        _check_callable(hook, label, "explain", record.explain)


def _check_struct(hook: str, label: str, attribute: str, value: Any) -> None:
    if not (isinstance(value, type) and issubclass(value, Struct)):
        raise PluginError(
            f"{hook}: {label}: {attribute} is {_came(value)}, expected a subclass of msgspec.Struct"
        )
    if not value.__struct_config__.forbid_unknown_fields:
        raise PluginError(
            f"{hook}: {label}: {attribute} is {value.__name__}, which lets misspelt keys pass;"
            f" declare it as `class {value.__name__}(Struct, forbid_unknown_fields=True)`"
        )
    try:
        msgspec.json.schema(value)
    except Exception as error:  # a name in it that is not there, a type that no YAML can say
        why = f"{type(error).__name__}: {error}"
        raise PluginError(
            f"{hook}: {label}: {attribute} is {value.__name__}, whose fields cannot be read ({why})"
        ) from error


def _check_callable(hook: str, label: str, attribute: str, value: Callable[..., Any]) -> None:
    if not callable(value):
        raise PluginError(f"{hook}: {label}: {attribute} is {_came(value)}, expected a function")
