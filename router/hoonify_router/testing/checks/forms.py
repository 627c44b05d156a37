"""Level 2: answers of a form: calls of functions, JSON, and plain texts and vectors beside chat."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

from hoonify_router.testing.asking import WEATHER
from hoonify_router.testing.bench import COMPLETIONS, EMBEDDINGS, Bench
from hoonify_router.testing.checks.answers import REASONS, check_usage
from hoonify_router.testing.records import Level, NotApplicable, check, require

FORCED = {"type": "function", "function": {"name": "get_weather"}}
ASKED = "What is the weather in Bonn?"
_ROOM = 96


async def _once(bench: Bench) -> dict[str, bool]:
    """Return what keeps a model from calling again and again, where that can be asked for."""
    known = await bench.supports("parallel_tool_calls") is not False
    return {"parallel_tool_calls": False} if known else {}


def _check_call(name: str, arguments: str) -> None:
    require(name == "get_weather", f"it calls {name!r}, and get_weather was demanded")
    try:
        given = json.loads(arguments)
    except ValueError:
        given = None
    require(isinstance(given, dict), f"the call's arguments are no JSON object: {arguments!r}")


@check(Level.SEMANTICS, task="chat", needs=("tools", "tool_choice"))
async def calls_what_is_demanded(bench: Bench) -> None:
    """A tool that `tool_choice` names is called, with arguments that are JSON."""
    fields: dict[str, Any] = {"tools": [WEATHER], "tool_choice": FORCED, **await _once(bench)}
    answer = await bench.ask(ASKED, **fields, **await bench.limit(_ROOM))
    calls = answer.choice()["message"].get("tool_calls") or []
    require(len(calls) >= 1, "it was told to call a tool and calls none")
    for call in calls:
        require(call.get("id") and call.get("type") == "function", f"a call is {call}")
        if answer.finish != "length":
            _check_call(call["function"]["name"], call["function"]["arguments"])
    # OpenAI itself says `stop` where one function was forced
    fine = answer.finish in ("tool_calls", "stop", "length")
    require(fine, f"an answer that calls a tool ends with {answer.finish}")


@check(Level.SEMANTICS, task="chat", needs=("tools", "tool_choice"))
async def streams_its_calls(bench: Bench) -> None:
    """In a stream a call has its id and name once, and its arguments join to JSON."""
    fields: dict[str, Any] = {"tools": [WEATHER], "tool_choice": FORCED, **await _once(bench)}
    told = await bench.tell(ASKED, **fields, **await bench.limit(_ROOM))
    calls = told.calls()
    require(
        list(calls) == list(range(len(calls))) and calls, f"its calls are numbered {list(calls)}"
    )
    for call in calls.values():
        require(call["id"], "a call in a stream has no id")
        if told.finishes() != ["length"]:
            _check_call(call["name"], call["arguments"])


@check(Level.SEMANTICS, task="chat", needs=("tools", "tool_choice"))
async def calls_nothing_if_told(bench: Bench) -> None:
    """With `tool_choice: none` nothing is called."""
    answer = await bench.ask(ASKED, tools=[WEATHER], tool_choice="none")
    calls = answer.choice()["message"].get("tool_calls")
    require(not calls, f"it calls {calls} although tool_choice is none")


@check(Level.SEMANTICS, task="chat", needs=("tools", "tool_choice"))
async def calls_if_required(bench: Bench) -> None:
    """With `tool_choice: required` one of the tools is called."""
    fields: dict[str, Any] = {"tools": [WEATHER], "tool_choice": "required", **await _once(bench)}
    answer = await bench.ask(ASKED, **fields, **await bench.limit(_ROOM))
    calls = answer.choice()["message"].get("tool_calls") or []
    require(calls or answer.finish == "length", "tool_choice is required, and it calls nothing")


@check(Level.SEMANTICS, task="chat", needs=("tools",))
async def reads_results_of_tools(bench: Bench) -> None:
    """A conversation with a call and its result goes on."""
    call = {"name": "get_weather", "arguments": '{"city": "Bonn"}'}
    talk = [
        {"role": "user", "content": ASKED},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
    ]
    none = {"tool_choice": "none"} if await bench.supports("tool_choice") is not False else {}
    await bench.ask(talk, tools=[WEATHER], **none)


@check(Level.SEMANTICS, task="chat", needs=("response_format",))
async def answers_with_json(bench: Bench) -> None:
    """With `json_object` the answer is a JSON object, unless it was cut."""
    form = {"type": "json_object"}
    answer = await bench.ask('{"city": "Bonn"}', response_format=form, **await bench.limit(_ROOM))
    if answer.finish == "length":
        raise NotApplicable("its answer was cut before it was whole")
    try:
        given = json.loads(answer.text)
    except ValueError:
        given = None
    require(isinstance(given, dict), f"json_object was asked for, and it says {answer.text!r}")


@check(Level.SEMANTICS, task="chat", needs=("response_format",))
async def answers_by_a_schema(bench: Bench) -> None:
    """With `json_schema` the answer fits the schema, unless it was cut."""
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Bonn", "Ulm"]}, "warm": {"type": "boolean"}},
        "required": ["city", "warm"],
        "additionalProperties": False,
    }
    form = {
        "type": "json_schema",
        "json_schema": {"name": "weather", "strict": True, "schema": schema},
    }
    answer = await bench.ask(ASKED, response_format=form, **await bench.limit(_ROOM))
    if answer.finish == "length":
        raise NotApplicable("its answer was cut before it was whole")
    try:
        given = json.loads(answer.text)
    except ValueError:
        given = None
    fits = (
        isinstance(given, dict)
        and set(given) == {"city", "warm"}
        and given["city"] in ("Bonn", "Ulm")
        and type(given["warm"]) is bool
    )
    require(fits, f"its answer does not fit the schema: {answer.text!r}")


@check(Level.SEMANTICS, task="chat", needs=("response_format",))
async def refuses_a_schema_that_is_none(bench: Bench) -> None:
    """A schema that makes no sense is refused as a mistake of the client, not answered."""
    form = {
        "type": "json_schema",
        "json_schema": {"name": "broken", "schema": {"type": "no such type"}},
    }
    answer = await bench.post(await bench.body(response_format=form))
    fine = answer.status in (400, 422)
    require(fine, f"a schema that is none gets {answer.status}{bench.last_words}")


# ---------------------------------------------------------------- texts that go on


@check(Level.SEMANTICS, task="completion")
async def completes_a_text(bench: Bench) -> None:
    """A plain completion goes on with its prompt, in OpenAI's shape."""
    body = {"prompt": await bench.words(), **await bench.limit(8)}
    answer = await bench.good(await bench.post(body, COMPLETIONS))
    told = answer.json
    require(told.get("object") == "text_completion", f"its object is {told.get('object')!r}")
    require(answer.finish in REASONS, f"its finish_reason is {answer.finish!r}")
    check_usage(answer.usage, "the completion")


@check(Level.SEMANTICS, task="completion")
async def completes_several_texts(bench: Bench) -> None:
    """Each of several prompts has its answer, in order."""
    prompts = [await bench.words(3), await bench.words(9)]
    body = {"prompt": prompts, **await bench.limit(4)}
    answer = await bench.good(await bench.post(body, COMPLETIONS))
    indices = [choice["index"] for choice in answer.json["choices"]]
    require(sorted(indices) == [0, 1], f"two prompts have answers with the indices {indices}")


@check(Level.SEMANTICS, task="completion")
async def streams_a_completion(bench: Bench) -> None:
    """A completion streams, finishes once and counts if asked."""
    body = {
        "model": bench.subject.model,
        "prompt": await bench.words(),
        "stream": True,
        "stream_options": {"include_usage": True},
        **await bench.limit(8),
    }
    told = await bench.read(body, COMPLETIONS)
    require(len(told.finishes()) == 1, f"the completion finishes {len(told.finishes())} times")
    check_usage(told.usage, "the completion")


# ---------------------------------------------------------------- vectors


async def _embed(bench: Bench, given: Any, **fields: Any) -> Any:
    answer = await bench.good(await bench.post({"input": given, **fields}, EMBEDDINGS), fields)
    return answer.json


@check(Level.SEMANTICS, task="embedding")
async def embeds_a_text(bench: Bench) -> None:
    """A text becomes a vector of finite numbers, always the same."""
    first, second = [await _embed(bench, "one two three") for _ in range(2)]
    vector = first["data"][0]["embedding"]
    require(vector and all(math.isfinite(one) for one in vector), "the vector is not finite")
    again = second["data"][0]["embedding"]
    near = max(abs(a - b) for a, b in zip(vector, again, strict=True)) < 1e-2
    require(near, "the same text has two different vectors")
    require(first["usage"]["prompt_tokens"] > 0, "it forgets to count")


@check(Level.SEMANTICS, task="embedding")
async def embeds_in_order(bench: Bench) -> None:
    """Of several texts, each vector is that of its own text."""
    texts = ["one", "two three four", "five six seven eight nine"]
    alone = [(await _embed(bench, text))["data"][0]["embedding"] for text in texts]
    told = (await _embed(bench, texts))["data"]
    require([one["index"] for one in told] == [0, 1, 2], "the vectors are not in order")
    for number, one in enumerate(told):
        gaps = [
            max(abs(a - b) for a, b in zip(one["embedding"], other, strict=True)) for other in alone
        ]
        require(gaps.index(min(gaps)) == number, f"vector {number} is that of another text")


@check(Level.SEMANTICS, task="embedding")
async def embeds_in_base64(bench: Bench) -> None:
    """As base64 the numbers are the same."""
    plain = (await _embed(bench, "one two"))["data"][0]["embedding"]
    coded = (await _embed(bench, "one two", encoding_format="base64"))["data"][0]["embedding"]
    require(isinstance(coded, str), "base64 was asked for, and numbers came")
    raw = base64.b64decode(coded)
    numbers = struct.unpack(f"<{len(raw) // 4}f", raw)
    same = len(numbers) == len(plain) and all(
        abs(a - b) < 1e-2 for a, b in zip(numbers, plain, strict=True)
    )
    require(same, "as base64 the vector is another one")
