"""What an answer of the test instrument consists of, token by token, before the first one is said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hoonify_backends.echo.inventions import invent_logprob
from hoonify_backends.echo.script import Script, pieces_of, tokens_of
from hoonify_router.errors import InvalidRequest, Unsupported
from hoonify_router.types import (
    ChatRequest,
    CompletionRequest,
    FinishReason,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCall,
)

Step = list[Text | Reasoning | ToolCall]
"""What one token becomes: nearly always one event."""


@dataclass(slots=True)
class Score:
    """One answer to be: its steps, of which the first ``thoughts`` are reasoning, and why it ends."""

    steps: list[Step]
    thoughts: int
    reason: FinishReason


def write_score(script: Script, request: ChatRequest | CompletionRequest, room: int) -> Score:
    """Return what is said for ``script``, cut by ``stop``, the request's limit and ``room``.

    Raises:
        InvalidRequest: The script does what the request does not allow.
        Unsupported: The request wants what only a model can do.
    """
    calls: list[tuple[str, str]] = []
    text = script.text
    top = None
    if isinstance(request, CompletionRequest):
        top = request.logprobs
    else:
        calls, forced = choose_calls(script, request)
        text = "" if forced else text
        if text or not calls:
            _check_format(text, request)
        if request.logprobs:
            top = request.top_logprobs or 0
    text = _cut_at_stop(text, request.stop)
    thoughts = tokens_of(script.thought)
    steps: list[Step] = [[Reasoning(thought)] for thought in thoughts]
    steps += [[Text(token, 0, _invented(token, top))] for token in tokens_of(text)]
    for number, (name, arguments) in enumerate(calls):
        steps.append(_call_step(ToolCall(number, name), name, top))
        for piece in pieces_of(arguments):
            steps.append(_call_step(ToolCall(number, "", piece), piece, top))
    # Thoughts are tokens, too; but what the script thinks is for tests of what follows, and is not cut.
    limit = len(thoughts) + min(room, request.token_limit or room)
    if len(steps) > limit:
        return Score(steps[:limit], len(thoughts), "length")
    return Score(steps, len(thoughts), "tool_calls" if calls else "stop")


def _invented(token: str, top: int | None) -> list[TokenLogprob] | None:
    return None if top is None else [invent_logprob(token, top)]


def _call_step(call: ToolCall, token: str, top: int | None) -> Step:
    return [call] if top is None else [call, Text("", 0, _invented(token, top))]


def choose_calls(script: Script, request: ChatRequest) -> tuple[list[tuple[str, str]], bool]:
    """Return the calls to make, as name and arguments, and whether the client forced them.

    Raises:
        InvalidRequest: The script calls what is not among the tools.
        Unsupported: The tools are of another kind than functions.
    """
    names = _tool_names(request.tools or [])
    mode, allowed = _read_choice(request.tool_choice, names)
    if mode == "none" or any(message.role == "tool" for message in _since_user(request)):
        return [], False
    for name, _ in script.calls:
        if name not in names:
            raise InvalidRequest(
                f"The script calls '{name}', which is not among the request's tools.",
                param="messages",
            )
    calls = [call for call in script.calls if call[0] in allowed]
    if mode == "required" and not calls:
        calls = [(allowed[0], "{}")]
    if request.parallel_tool_calls is False:
        calls = calls[:1]
    return calls, mode == "required"


def _tool_names(tools: list[dict[str, Any]]) -> list[str]:
    for number, tool in enumerate(tools):
        if tool["type"] != "function":
            param = f"tools[{number}].type"
            raise Unsupported(f"Unsupported parameter: '{param}': functions only.", param=param)
    return [tool["function"]["name"] for tool in tools]


def _read_choice(choice: str | dict[str, Any] | None, names: list[str]) -> tuple[str, list[str]]:
    """Return none, auto or required, and the names of the tools that may be called."""
    if choice is None or isinstance(choice, str):
        return choice or "auto", names
    if choice["type"] == "allowed_tools":
        inner = choice["allowed_tools"]
        wanted = [tool.get("function", {}).get("name") for tool in inner.get("tools", [])]
        mode = inner.get("mode", "auto")
        path = "tool_choice.allowed_tools"
    else:
        wanted = [choice.get("function", {}).get("name")]
        mode = "required"
        path = "tool_choice.function.name"
    if not wanted or not set(wanted).issubset(names):
        raise InvalidRequest(f"'{path}' names what is not among the tools.", param=path)
    return mode, wanted


def _since_user(request: ChatRequest) -> list[Any]:
    last = max((n for n, m in enumerate(request.messages) if m.role == "user"), default=-1)
    return request.messages[last + 1 :]


def _check_format(text: str, request: ChatRequest) -> None:
    """Refuse to break a promise about the text's form: nothing here can make a text be what it is not."""
    form = (request.response_format or {}).get("type")
    if form == "json_schema":
        raise Unsupported(
            "Unsupported parameter: 'response_format': the test instrument knows no schemas.",
            param="response_format",
        )
    if form == "json_object":
        try:
            if isinstance(json.loads(text), dict):
                return
        except ValueError:
            pass
        raise InvalidRequest("The script's text is no JSON object.", param="response_format")


def _cut_at_stop(text: str, stop: str | list[str] | None) -> str:
    stops = [stop] if isinstance(stop, str) else stop or []
    ends = [end for word in stops if word and (end := text.find(word)) >= 0]
    return text[: min(ends)] if ends else text
