"""What a newcomer sees after `make serve`: a real model's answer through unmodified clients."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import Any

import openai
import pytest


@pytest.fixture
def client(shipped: Any) -> Any:
    """The unmodified OpenAI client, set up as the README says."""
    with openai.OpenAI(base_url=shipped.base_url, api_key=shipped.key(), max_retries=0) as client:
        yield client


def test_the_curl_line_of_the_banner_streams_an_answer(shipped: Any) -> None:
    """Whoever pastes the curl line reads events that end in [DONE]."""
    text = shipped.output.replace("\\\n", " ")
    line = next(found.group() for found in re.finditer(r"curl .*", text))
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert '"role":"assistant"' in done.stdout
    assert done.stdout.rstrip().endswith("data: [DONE]")


def test_the_python_lines_of_the_banner_run_as_they_are(shipped: Any) -> None:
    """Whoever pastes the Python lines reads an answer."""
    lines = shipped.output.splitlines()
    first = next(i for i, line in enumerate(lines) if "from openai import OpenAI" in line)
    indent = lines[first].index("from openai")
    code: list[str] = []
    for line in lines[first:]:
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        code.append(line[indent:])
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) >= 2


def test_a_plain_answer_says_hello(client: Any) -> None:
    """A greeting is answered with a greeting, its tokens are counted."""
    answer = client.chat.completions.create(
        model="tiny-chat", messages=[{"role": "user", "content": "Hello!"}], temperature=0
    )
    assert re.search(r"\b(hello|hi|hey)\b", answer.choices[0].message.content, re.IGNORECASE)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "tiny-chat"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_streamed_text_equals_the_plain_text(client: Any) -> None:
    """At temperature 0 both forms of an answer hold the same words."""
    request: dict[str, Any] = {
        "model": "tiny-chat",
        "messages": [{"role": "user", "content": "What is a KV cache?"}],
        "temperature": 0,
    }
    plain = client.chat.completions.create(**request).choices[0].message.content
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == plain
    assert len(chunks) > 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]


def test_a_second_turn_uses_the_first(client: Any) -> None:
    """The model remembers a name that was said a turn ago."""
    messages: list[Any] = [{"role": "user", "content": "My name is Ada."}]
    first = client.chat.completions.create(model="tiny-chat", messages=messages, temperature=0)
    messages.append({"role": "assistant", "content": first.choices[0].message.content})
    messages.append({"role": "user", "content": "What is my name?"})
    second = client.chat.completions.create(model="tiny-chat", messages=messages, temperature=0)
    assert "Ada" in second.choices[0].message.content


def test_usage_comes_last_in_a_stream_that_asks_for_it(client: Any) -> None:
    """include_usage adds one chunk without choices at the end, and null usage before it."""
    chunks = list(
        client.chat.completions.create(
            model="tiny-chat",
            messages=[{"role": "user", "content": "Hello!"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_sixteen_streams_interleave(shipped: Any) -> None:
    """Continuous batching: every stream has begun before the first one ends."""
    order: list[str] = []
    gate = threading.Barrier(16)

    def talk(number: int) -> None:
        with openai.OpenAI(base_url=shipped.base_url, api_key=shipped.key()) as client:
            gate.wait()
            stream = client.chat.completions.create(
                model="tiny-chat",
                messages=[{"role": "user", "content": f"Count from {number % 4 + 1} to 20."}],
                stream=True,
                temperature=0,
                max_tokens=500,
                extra_body={"ignore_eos": True},  # long enough for the slowest thread to join
            )
            first = next(chunk for chunk in stream if chunk.choices[0].delta.content)
            order.append(f"begins with {first.choices[0].delta.content}")
            reasons = [chunk.choices[0].finish_reason for chunk in stream]
            order.append(f"ends by {reasons[-1]}")

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(told.startswith("begins") for told in order[:16]), order
    assert order[16:] == ["ends by length"] * 16


def test_the_catalog_lists_all_models_and_says_why_one_cannot_run(client: Any) -> None:
    """All eleven models are listed; one whose engine is missing answers 503 with the reason."""
    listed = {model.id: model for model in client.models.list()}
    assert len(listed) == 11
    assert listed["qwen-3"].owned_by == "Qwen"
    assert client.models.retrieve("deepseek-r1").id == "deepseek-r1"
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model="qwen-3", messages=[{"role": "user", "content": "Hello!"}]
        )
    assert caught.value.status_code == 503
    assert caught.value.code == "model_unavailable"
    assert "sglang" in str(caught.value).lower()
    assert "retry-after" in caught.value.response.headers


def test_errors_are_the_sdk_classes(shipped: Any, client: Any) -> None:
    """A wrong key, an unknown model and a bad value raise what an OpenAI user expects."""
    messages: Any = [{"role": "user", "content": "Hello!"}]
    with (
        openai.OpenAI(base_url=shipped.base_url, api_key="hoo_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        stranger.chat.completions.create(model="tiny-chat", messages=messages)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="tiny-chta", messages=messages)
    assert missing.value.code == "model_not_found"
    assert "tiny-chat" in str(missing.value)
    with pytest.raises(openai.UnprocessableEntityError) as impossible:
        client.chat.completions.create(model="tiny-chat", messages=messages, temperature=3)
    assert impossible.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(
            model="tiny-chat", messages=[{"role": "user", "content": "word " * 5000}]
        )
    assert long.value.code == "context_length_exceeded"
