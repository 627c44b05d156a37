"""Tools and earlier calls for chat templates that know none: said in text, never lost."""

from __future__ import annotations

from collections.abc import Sequence

from hoonify_backends.generation.tools.formats import Call, ToolFormat
from hoonify_backends.generation.turns import Turn


def with_description(turns: Sequence[Turn], text: str, *, system: bool) -> list[Turn]:
    """Return a conversation in which the model is told ``text`` first.

    Args:
        turns: The conversation.
        text: What the model is told.
        system: Whether the template takes a message of the role system.
    """
    role = "system" if system else "user"
    for place, turn in enumerate(turns):
        if turn["role"] == role:
            said = turn["content"]
            joined = [said, text] if system else [text, said]
            told = {**turn, "content": "\n\n".join(part for part in joined if part)}
            return [*turns[:place], told, *turns[place + 1 :]]
        if system:
            break
    return [{"role": role, "content": text}, *turns]


def calls_in_text(turns: Sequence[Turn], written: ToolFormat) -> list[Turn]:
    """Return a conversation whose earlier calls stand in the text of their turns."""
    said = []
    for turn in turns:
        calls = turn.get("tool_calls")
        if not calls:
            said.append(turn)
            continue
        parts = (turn["content"], written.write([_call(call) for call in calls]))
        rest = {key: value for key, value in turn.items() if key != "tool_calls"}
        said.append({**rest, "content": "\n".join(part for part in parts if part)})
    return said


def results_in_text(turns: Sequence[Turn]) -> list[Turn]:
    """Return a conversation in which the user tells what the functions returned."""
    names: dict[str, str] = {}
    said: list[Turn] = []
    told = False  # whether the last turn tells results
    for turn in turns:
        for call in turn.get("tool_calls", ()):
            names[call.get("id", "")] = _call(call)[0]
        if turn["role"] == "tool":
            name = turn.get("name") or names.get(turn.get("tool_call_id", ""), "the function")
            text = f"Result of {name}:\n{turn['content']}"
            if told:
                said[-1]["content"] += f"\n\n{text}"
            else:
                said.append({"role": "user", "content": text})
            told = True
        elif told and turn["role"] == "user":  # most templates want the roles to take turns
            said[-1]["content"] += f"\n\n{turn['content']}"
            told = False
        else:
            said.append(turn)
            told = False
    return said


def _call(call: Turn) -> Call:
    function = call.get("function")
    if not isinstance(function, dict):
        return str(call.get("type", "")), {key: call[key] for key in call if key != "id"}
    return str(function.get("name", "")), function.get("arguments") or {}
