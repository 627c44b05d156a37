"""Requests as code that a reader can paste: Python, Node and curl."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ENV = "HOONIFY_API_KEY"
_HELLO = [{"role": "user", "content": "Hello!"}]


class Sample(NamedTuple):
    """A piece of code.

    Args:
        language: Its name.
        code: What to paste.
        note: What must be there before.
    """

    language: str
    code: str
    note: str = ""


def samples_for(task: str, model: str, address: str, stream: bool = False) -> list[Sample]:
    """Return the first request to a model in each language.

    Args:
        task: ``chat``, ``completion`` or ``embedding``.
        model: Its catalog ID.
        address: Where the router is.
        stream: Whether the answer of a chat shall come in pieces.
    """
    if task == "embedding":
        return embedding_samples({"model": model, "input": "Hello!"}, address)
    if task == "completion":
        body: dict[str, Any] = {"model": model, "prompt": "Once upon a time", "max_tokens": 50}
        return _three(
            "completions",
            "completions",
            body,
            address,
            _whole("choices[0].text", "choices[0].text"),
        )
    body = {"model": model, "messages": _HELLO}
    if stream:
        body["stream"] = True
    return chat_samples(body, address)


def chat_samples(body: Mapping[str, Any], address: str) -> list[Sample]:
    """Return a chat in each language; where it streams, the code prints the pieces as they come."""
    printing = _STREAMED if body.get("stream") else _whole(*["choices[0].message.content"] * 2)
    return _three("chat.completions", "chat/completions", body, address, printing)


def embedding_samples(body: Mapping[str, Any], address: str) -> list[Sample]:
    """Return a request for a vector in each language."""
    printing = _whole("data[0].embedding", "data[0].embedding")
    return _three("embeddings", "embeddings", body, address, printing)


class _Printing(NamedTuple):
    name: str
    python: str
    node: str


_STREAMED = _Printing(
    "stream",
    "for chunk in stream:\n"
    "    if chunk.choices and chunk.choices[0].delta.content:\n"
    '        print(chunk.choices[0].delta.content, end="", flush=True)',
    "for await (const chunk of stream) {\n"
    '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n'
    "}",
)


def _whole(python: str, node: str) -> _Printing:
    return _Printing("answer", f"print(answer.{python})", f"console.log(answer.{node});")


def _three(
    method: str, path: str, body: Mapping[str, Any], address: str, printing: _Printing
) -> list[Sample]:
    python = (
        "import os\n\nfrom openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{address}/v1", api_key=os.environ["{ENV}"])\n\n'
        f"{printing.name} = client.{method}.create(\n{_python_arguments(body)})\n{printing.python}\n"
    )
    node = (
        'import OpenAI from "openai";\n\n'
        "const client = new OpenAI({\n"
        f'  baseURL: "{address}/v1",\n  apiKey: process.env.{ENV},\n'
        "});\n\n"
        f"const {printing.name} = await client.{method}.create({_json(body)});\n{printing.node}\n"
    )
    curl = (
        f"curl {address}/v1/{path} \\\n"
        f'  -H "Authorization: Bearer ${ENV}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(_json(body))}\n"
    )
    return [
        Sample("Python", python, "pip install openai"),
        Sample("Node", node, "npm install openai"),
        Sample("curl", curl),
    ]


def _python_arguments(body: Mapping[str, Any]) -> str:
    return "".join(f"    {name}={_python(value)},\n" for name, value in body.items())


def _python(value: Any, indent: str = "    ") -> str:
    """Return a value of JSON as Python writes it, lists of objects on lines of their own."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {_python(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not any(isinstance(one, Mapping) for one in value) or len(value) == 1:
            return "[" + ", ".join(_python(one) for one in value) + "]"
        lines = "".join(f"{indent}    {_python(one)},\n" for one in value)
        return f"[\n{lines}{indent}]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
