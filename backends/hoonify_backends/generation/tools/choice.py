"""Which functions a request offers, and whether the model must call one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hoonify_router.errors import InvalidType, InvalidValue, Unsupported
from hoonify_router.types import ChatRequest


@dataclass(frozen=True)
class Offer:
    """What a request lets the model call.

    Args:
        tools: The tools that may be called, as the request has them.
        places: Where in the request's ``tools`` each stands.
        forced: Whether the answer must be a call.
        several: Whether there may be more than one.
    """

    tools: Sequence[Mapping[str, Any]]
    places: Sequence[int]
    forced: bool
    several: bool

    @property
    def names(self) -> list[str]:
        """Return the functions' names."""
        return [tool["function"]["name"] for tool in self.tools]

    @property
    def strict(self) -> bool:
        """Whether arguments of some function must follow its schema even where none need be called."""
        return any(tool["function"].get("strict") for tool in self.tools)


def read_choice(request: ChatRequest) -> Offer | None:
    """Return what a request offers; ``None`` where nothing can be called.

    Raises:
        InvalidValue: The choice is none of the tools, or nothing to choose.
        Unsupported: Something else than functions is offered.
    """
    for name in ("functions", "function_call"):
        if getattr(request, name) is not None:
            raise Unsupported(
                f"'{name}' is not supported; use 'tools' and 'tool_choice' instead.", param=name
            )
    tools, choice = request.tools or [], request.tool_choice
    for place, tool in enumerate(tools):
        if tool.get("type") != "function":
            param = f"tools[{place}].type"
            raise Unsupported(f"Unsupported parameter: '{param}': functions only.", param=param)
        if not isinstance(tool.get("function"), dict) or not isinstance(
            tool["function"].get("name"), str
        ):
            raise InvalidType(
                f"Invalid type for 'tools[{place}].function': expected a function with a name.",
                param=f"tools[{place}].function",
            )
    _check_names(tools)
    if not tools:
        if choice not in (None, "none", "auto"):
            raise InvalidValue(
                "Invalid value for 'tool_choice': there are no tools.", param="tool_choice"
            )
        return None
    several = request.parallel_tool_calls is not False
    every = range(len(tools))
    if choice is None or choice == "auto":
        return _offer(tools, every, forced=False, several=several)
    if choice == "required":
        return _offer(tools, every, forced=True, several=several)
    if choice == "none":
        return None
    if isinstance(choice, dict):
        return _read_object(choice, tools, several)
    raise InvalidValue(
        "Invalid value for 'tool_choice': it must be none, auto, required or an object.",
        param="tool_choice",
    )


def _check_names(tools: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for place, tool in enumerate(tools):
        name = tool["function"]["name"]
        if name in seen:
            param = f"tools[{place}].function.name"
            raise InvalidValue(
                f"Invalid value for '{param}': there is another '{name}'.", param=param
            )
        seen.add(name)


def _read_object(
    choice: Mapping[str, Any], tools: Sequence[Mapping[str, Any]], several: bool
) -> Offer:
    kind = choice.get("type")
    if kind == "function":
        place = _find(choice, tools, "tool_choice")
        return _offer(tools, [place], forced=True, several=False)
    if kind != "allowed_tools":
        raise Unsupported(
            "Only functions and allowed_tools can be chosen.", param="tool_choice.type"
        )
    allowed = choice.get("allowed_tools")
    if not isinstance(allowed, dict) or not isinstance(allowed.get("tools"), list):
        raise InvalidType(
            "Invalid type for 'tool_choice.allowed_tools': expected an object with tools.",
            param="tool_choice.allowed_tools",
        )
    mode = allowed.get("mode")
    if mode not in ("auto", "required"):
        raise InvalidValue(
            "Invalid value for 'tool_choice.allowed_tools.mode': it must be auto or required.",
            param="tool_choice.allowed_tools.mode",
        )
    places = sorted(
        {
            _find(one, tools, f"tool_choice.allowed_tools.tools[{number}]")
            for number, one in enumerate(allowed["tools"])
        }
    )
    if not places:
        raise InvalidValue(
            "Invalid value for 'tool_choice.allowed_tools.tools': there must be at least one.",
            param="tool_choice.allowed_tools.tools",
        )
    return _offer(tools, places, forced=mode == "required", several=several)


def _find(one: Any, tools: Sequence[Mapping[str, Any]], path: str) -> int:
    """Return the place of the tool that a reference names."""
    if isinstance(one, dict) and one.get("type") != "function":
        raise Unsupported("Only functions can be chosen.", param=f"{path}.type")
    function = one.get("function") if isinstance(one, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    for place, tool in enumerate(tools):
        if tool["function"]["name"] == name:
            return place
    raise InvalidValue(
        f"Invalid value for '{path}.function.name': none of the tools has this name.",
        param=f"{path}.function.name",
    )


def _offer(
    tools: Sequence[Mapping[str, Any]], places: Sequence[int], *, forced: bool, several: bool
) -> Offer:
    return Offer([tools[place] for place in places], list(places), forced, several)
