"""A real router with real SGLang servers, on the CPU: two replicas of the model that ships, behind one name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from tests.backends.sglang.servers import environment, servers, slow_down, until
from tests.e2e.conftest import ROOT, Router

from hoonify_router.environments.store import FOLDER_VARIABLE

pytestmark = [pytest.mark.sglang, pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = ROOT / "models" / "tiny-chat"
ANSWERING: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": False}}
CITY = {"type": "string", "enum": ["Paris"]}
TRIP = {
    "type": "object",
    "properties": {"city": CITY, "days": {"type": "integer", "enum": [1, 2, 3]}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "description": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": CITY},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CONFIG = f"""
server: {{allow_anonymous: true}}
pipeline: [openai_errors]
models:
  tiny-chat:
    provider: Hoonify
    context_length: 1024
    homes:
      - &home
        backend: sglang
        options:
          model: {MODEL}/hf
          device: cpu
          tool_call_parser: hermes
          reasoning_parser: qwen3
          max_running_requests: 2
          max_queued_requests: 2
          extra_args: ["--constrained-json-disable-any-whitespace"]
      - *home
  tiny-chat-onnx:
    provider: Hoonify
    context_length: 1024
    backend: onnxruntime
    options: {{model: {MODEL}/onnx, provider: cpu, threads: 1, slots: 4}}
"""


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router whose homes are ready."""
    folder = tmp_path_factory.mktemp("sglang")
    (folder / "router.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(environment()))
        router = Router(folder / "router.yaml", folder)
    try:
        router.wait_ready(600)
        yield router
    finally:
        router.clean_up()


@pytest.fixture
def client(router: Router) -> Iterator[openai.OpenAI]:
    """The unmodified client, which tries once; every server is as quick as it can be."""
    slow_down(router, None)
    with openai.OpenAI(base_url=router.base_url, api_key="none", max_retries=0) as client:
        yield client
    slow_down(router, None)


def said(text: str) -> list[Any]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": text}]


def ask(client: openai.OpenAI, text: str, **more: Any) -> Any:
    """Ask greedily, and without thoughts if nothing else is said."""
    told = {"model": "tiny-chat", "temperature": 0, "extra_body": ANSWERING, **more}
    return client.chat.completions.create(messages=said(text), **told)


def long_stream(client: openai.OpenAI) -> Any:
    """Begin an answer that goes on and on."""
    more = {"extra_body": {**ANSWERING, "ignore_eos": True}}
    return ask(client, "Count to ten", stream=True, max_tokens=400, **more)


def idle(router: Router) -> bool:
    """Tell whether no server has anything to do."""
    return not any(server.busy for server in servers(router))


def test_a_chat_is_the_same_in_pieces_and_whole(client: openai.OpenAI) -> None:
    """With its usage, and under our own names."""
    whole = ask(client, "Count to ten")
    chunks = list(ask(client, "Count to ten", stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert whole.choices[0].message.content == text
    assert text.startswith("1, 2, 3")
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.completion_tokens == chunks[-1].usage.completion_tokens > 5
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert {chunk.model for chunk in chunks} == {whole.model} == {"tiny-chat"}
    assert chunks[0].choices[0].delta.role == "assistant"


def test_the_log_is_for_what_matters(client: openai.OpenAI, router: Router) -> None:
    """A request has a line there; the router's own questions, again and again, have none, and no key is in it."""
    assert ask(client, "hello").choices[0].message.content
    until(lambda: "POST /v1/chat/completions" in router.output, "the request's line")
    assert all(server.busy >= 0 for server in servers(router))
    for question in ("/v1/loads", "/ready", "/health"):
        assert f"GET {question}" not in router.output
    assert not any(server.key in router.output for server in servers(router))


def test_a_completion_goes_on(client: openai.OpenAI) -> None:
    """The older endpoint is SGLang's as well."""
    done = client.completions.create(model="tiny-chat", prompt="1, 2, 3,", max_tokens=4)
    assert done.usage is not None
    assert done.usage.completion_tokens == 4


def test_thoughts_are_told_apart(client: openai.OpenAI) -> None:
    """By the parser that the home names; the client may say that there are none."""
    thinking = ask(client, "hello", extra_body={})
    assert thinking.choices[0].message.reasoning_content
    pieces = list(ask(client, "hello", extra_body={}, stream=True))
    thoughts = [getattr(piece.choices[0].delta, "reasoning_content", None) for piece in pieces]
    assert "".join(thought or "" for thought in thoughts) == (
        thinking.choices[0].message.reasoning_content
    )
    assert ask(client, "hello").choices[0].message.content


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_a_tool_is_called(client: openai.OpenAI, choice: Any) -> None:
    """In one piece and in a stream, as the parser that the home names reads it."""
    more = {"tools": [WEATHER], "tool_choice": choice, "max_tokens": 200}
    whole = ask(client, "Weather in Paris?", **more)
    (call,) = whole.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather",
        {"city": "Paris"},
    )
    assert whole.choices[0].finish_reason == "tool_calls"
    pieces = [chunk.choices[0] for chunk in ask(client, "Weather in Paris?", stream=True, **more)]
    calls = [call for piece in pieces for call in piece.delta.tool_calls or ()]
    assert "".join(call.function.name or "" for call in calls) == "get_weather"
    told = json.loads("".join(call.function.arguments or "" for call in calls))
    assert told == {"city": "Paris"}
    assert pieces[-1].finish_reason == "tool_calls"


def test_an_answer_keeps_to_its_schema(client: openai.OpenAI) -> None:
    """Whatever the model would have liked to say."""
    form = {"type": "json_schema", "json_schema": {"name": "trip", "strict": True, "schema": TRIP}}
    told = json.loads(ask(client, "Where to?", response_format=form).choices[0].message.content)
    assert set(told) == {"city", "days"}
    assert told["city"] == "Paris"


def test_choices_and_probabilities_are_told(client: openai.OpenAI) -> None:
    """As OpenAI tells them."""
    done = ask(client, "hello", n=2, logprobs=True, top_logprobs=2, max_tokens=3)
    assert [choice.index for choice in done.choices] == [0, 1]
    for choice in done.choices:
        assert len(choice.logprobs.content) == 3
        assert len(choice.logprobs.content[0].top_logprobs) == 2


def test_what_is_too_long_is_refused(client: openai.OpenAI) -> None:
    """Before a stream begins, by the code that clients know."""
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, "x " * 3000, stream=stream)
        assert caught.value.code == "context_length_exceeded"


def test_both_replicas_serve(client: openai.OpenAI, router: Router) -> None:
    """Requests that come together are shared out."""
    slow_down(router, 0.1)
    with ThreadPoolExecutor() as pool:
        streams = list(pool.map(lambda _: long_stream(client), range(4)))
    until(lambda: all(server.busy for server in servers(router)), "work on both")
    for stream in streams:
        stream.close()
    until(lambda: idle(router), "the end of it")


@pytest.mark.parametrize("stream", [True, False])
def test_a_full_queue_is_told_as_such(client: openai.OpenAI, router: Router, stream: bool) -> None:
    """SGLang tells it inside a stream that has begun with 200; clients see a true 429."""
    slow_down(router, 0.05)

    refused: list[openai.RateLimitError] = []

    def one(number: int) -> str:
        try:
            done = ask(client, f"Count to {number}", stream=stream, max_tokens=8)
            return "".join(str(chunk.id) for chunk in done) if stream else str(done.id)
        except openai.RateLimitError as error:
            refused.append(error)
            return ""

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(one, range(24)))
    assert 4 <= len([answer for answer in answers if answer]) < 24
    assert {error.code for error in refused} == {"queue_full"}
    assert min(int(error.response.headers["retry-after"]) for error in refused) >= 1
    slow_down(router, None)
    assert ask(client, "hello").choices[0].message.content


def test_a_client_that_leaves_its_stream_frees_the_slot(
    client: openai.OpenAI, router: Router
) -> None:
    """Long before the answer would have ended."""
    slow_down(router, 0.5)
    stream = long_stream(client)
    next(iter(stream))
    until(lambda: not idle(router), "the request")
    stream.close()
    until(lambda: idle(router), "a free slot")


def test_a_client_that_does_not_wait_for_its_answer_frees_the_slot(
    client: openai.OpenAI, router: Router
) -> None:
    """SGLang would look for that every few seconds only; it is told which request to give up."""
    slow_down(router, 0.5)
    more = {"extra_body": {**ANSWERING, "ignore_eos": True}, "timeout": 4.0}
    with pytest.raises(openai.APITimeoutError):
        ask(client, "Count to ten", max_tokens=400, **more)
    until(lambda: idle(router), "a free slot")


@pytest.mark.timeout(1200)
def test_the_answers_are_those_of_the_other_engine(client: openai.OpenAI) -> None:
    """Greedy, on its evaluation prompts: the weights differ in form, so at least 95 of 100 are the same."""
    code = """
import json, sys
import evaluate
prompts = []
for make in {**evaluate.REQUIRED, **evaluate.SHOWN}.values():
    draw = evaluate.Draw(11, held_out=True)
    prompts += [make(draw).messages for _ in range(5)]
plain = [prompt for prompt in prompts if all(one["role"] != "tool" for one in prompt)]
json.dump(plain, sys.stdout)
"""
    asked = subprocess.run(
        [sys.executable, "-c", code], cwd=MODEL, capture_output=True, text=True, check=True
    )
    prompts = json.loads(asked.stdout)
    assert len(prompts) > 80

    def answer(model: str, messages: list[Any]) -> str:
        done = client.chat.completions.create(
            model=model,
            messages=messages,
            temperature=0,
            max_tokens=160,
            extra_body=ANSWERING if model == "tiny-chat" else {},
        )
        return str(done.choices[0].message.content)

    with ThreadPoolExecutor(3) as pool:
        theirs = list(pool.map(lambda one: answer("tiny-chat", one), prompts))
        ours = list(pool.map(lambda one: answer("tiny-chat-onnx", one), prompts))
    same = sum(left == right for left, right in zip(theirs, ours, strict=True))
    print(f"{same} of {len(prompts)} answers are the same")
    assert same >= 0.95 * len(prompts)


def test_a_server_that_is_killed_cuts_no_stream_silently(
    client: openai.OpenAI, router: Router
) -> None:
    """Its stream ends with an error, the other replica serves on, and it comes back."""
    slow_down(router, 0.2)
    streams = [iter(long_stream(client)) for _ in range(2)]
    for stream in streams:
        next(stream)
    until(lambda: all(server.busy for server in servers(router)), "work on both")
    before = servers(router)
    os.kill(before[0].pid, signal.SIGKILL)
    ends = []
    for stream in streams:
        try:
            ends.append([chunk.choices[0].finish_reason for chunk in stream][-1])
        except openai.APIError as error:
            ends.append(type(error).__name__)
    assert sorted(ends) == ["APIError", "length"]
    assert ask(client, "hello").choices[0].message.content

    def both() -> bool:
        return len(servers(router)) == 2 and not router.get("/ready")[1]["missing"]

    until(both, "the killed server to come back", 600)
    assert before[1] in servers(router)


def test_what_runs_is_finished_when_the_router_stops(client: openai.OpenAI, router: Router) -> None:
    """The last test: nothing is left of router and servers, and the stream had its whole end."""
    slow_down(router, 0.02)
    stream = iter(ask(client, "Count to ten", stream=True))
    next(stream)
    router.process.send_signal(signal.SIGTERM)
    assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"
    assert router.process.wait(120) == 0
    until(lambda: not router.processes(), "the end of all processes")
