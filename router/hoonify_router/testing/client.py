"""A client that speaks HTTP by hand: it sees what goes over the wire, and may leave at any moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hoonify_router.testing.records import Unmet

_HEAD_LIMIT = 1 << 16


@dataclass
class Answer:
    """One answer in one piece.

    Args:
        status: Its HTTP status.
        headers: Its headers, names in lower case.
        body: Its body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Unmet(f"the answer is no JSON: {self.body[:120]!r}") from None

    @property
    def error(self) -> dict[str, Any]:
        """Return the error that it tells; empty if it tells none."""
        told = self.json
        found = told.get("error") if isinstance(told, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def usage(self) -> dict[str, Any]:
        """Return its token counts."""
        return self.json.get("usage") or {}

    def choice(self, index: int = 0) -> dict[str, Any]:
        """Return one of its answers."""
        choices = self.json.get("choices") or []
        found = [one for one in choices if one.get("index") == index]
        if len(found) != 1:
            raise Unmet(f"there are {len(found)} answers with index {index} among {len(choices)}")
        (choice,) = found
        return dict(choice)

    @property
    def text(self) -> str:
        """Return the text of the first answer."""
        choice = self.choice()
        return choice.get("text") or (choice.get("message") or {}).get("content") or ""

    @property
    def finish(self) -> str | None:
        """Return why the first answer ended."""
        return self.choice().get("finish_reason")


@dataclass
class Told:
    """What a whole stream has told.

    Args:
        events: The data of its events, but for ``[DONE]``.
        done: How often ``[DONE]`` came.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    done: int = 0

    @property
    def error(self) -> dict[str, Any]:
        """Return the error that it ended with; empty if it did not."""
        return next((one["error"] for one in self.events if "error" in one), {})

    @property
    def usage(self) -> dict[str, Any] | None:
        """Return the token counts of its last chunk."""
        return next((one["usage"] for one in reversed(self.events) if one.get("usage")), None)

    def choices(self, index: int = 0) -> list[dict[str, Any]]:
        """Return the parts of one answer, chunk by chunk."""
        return [
            choice
            for event in self.events
            for choice in event.get("choices") or []
            if choice.get("index") == index
        ]

    def text(self, index: int = 0) -> str:
        """Return the text of one answer; of a plain completion, too."""
        return "".join(
            choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            for choice in self.choices(index)
        )

    def finishes(self, index: int = 0) -> list[str]:
        """Return why one answer ended, each time that it did."""
        return [one["finish_reason"] for one in self.choices(index) if one.get("finish_reason")]

    def logprobs(self) -> list[dict[str, Any]]:
        """Return the tokens of the first answer with their probabilities."""
        return [
            token
            for choice in self.choices()
            for token in (choice.get("logprobs") or {}).get("content") or []
        ]

    def calls(self) -> dict[int, dict[str, str]]:
        """Return the calls of the first answer by their index: id, name and arguments, joined."""
        found: dict[int, dict[str, str]] = {}
        for choice in self.choices():
            for piece in (choice.get("delta") or {}).get("tool_calls") or []:
                call = found.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] += piece.get("id") or ""
                function = piece.get("function") or {}
                call["name"] += function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
        return found


class Stream:
    """An answer that is on its way.

    Args:
        status: Its HTTP status.
        headers: Its headers, names in lower case.
        reader: Where the rest comes from.
        writer: The connection.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.status = status
        self.headers = headers
        self.told = Told()
        self._reader = reader
        self._writer = writer
        self._rest = b""

    @property
    def streams(self) -> bool:
        """Return whether it is a stream of events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the data of each event as it comes; all of them are in ``told``, too.

        Raises:
            Unmet: It is no stream, or breaks the form of one.
        """
        if not self.streams:
            answer = await self.whole()
            told = f"{answer.error.get('code')}: {answer.error.get('message')}"
            raise Unmet(f"a stream was asked for and {self.status} came, {told}")
        while piece := await self._chunk():
            *events, self._rest = (self._rest + piece).split(b"\n\n")
            for event in events:
                if event.startswith(b":"):
                    continue  # a sign of life
                data = event.removeprefix(b"data: ")
                if data == b"[DONE]":
                    self.told.done += 1
                    continue
                if self.told.done:
                    raise Unmet(f"something follows [DONE]: {data[:120]!r}")
                parsed = json.loads(data)
                self.told.events.append(parsed)
                yield parsed

    async def first(self) -> dict[str, Any] | None:
        """Return the next event; ``None`` at the end."""
        async for event in self.events():
            return event
        return None

    async def read(self) -> Told:
        """Read to the end."""
        async for _ in self.events():
            pass
        return self.told

    async def whole(self) -> Answer:
        """Read an answer that turned out to be in one piece."""
        try:
            return Answer(self.status, self.headers, await self._body())
        finally:
            self._writer.close()

    def leave(self) -> None:
        """Hang up."""
        self._writer.transport.abort()

    async def _body(self) -> bytes:
        if "content-length" in self.headers:
            return await self._reader.readexactly(int(self.headers["content-length"]))
        body = b""
        while piece := await self._chunk():
            body += piece
        return body

    async def _chunk(self) -> bytes:
        line = await self._reader.readline()
        if not line:
            raise Unmet("the connection was cut before the end of the answer")
        size = int(line, 16)
        data = await self._reader.readexactly(size)
        await self._reader.readexactly(2)
        if not data:
            self._writer.close()
        return data


class Pending:
    """A request that is sent, and whose answer nobody reads yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def head(self) -> Stream:
        """Read status and headers."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            raise Unmet("the connection was cut before an answer came") from None
        lines = head.split("\r\n")[:-2]
        pairs = (line.partition(": ") for line in lines[1:])
        headers = {name.lower(): value for name, _, value in pairs}
        return Stream(int(lines[0].split()[1]), headers, self._reader, self._writer)

    def leave(self) -> None:
        """Hang up."""
        self._writer.transport.abort()


async def send(port: int, body: Mapping[str, Any] | bytes, path: str) -> Pending:
    """Send a request on a connection of its own."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_HEAD_LIMIT)
    head = f"POST {path} HTTP/1.1\r\nhost: conformance\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    return Pending(reader, writer)


async def open_stream(port: int, body: Mapping[str, Any], path: str) -> Stream:
    """Send a request and return its answer as soon as it has a head."""
    pending = await send(port, body, path)
    try:
        return await pending.head()
    except BaseException:
        pending.leave()
        raise


async def post(port: int, body: Mapping[str, Any] | bytes, path: str) -> Answer:
    """Send a request and read its answer to the end."""
    pending = await send(port, body, path)
    try:
        return await (await pending.head()).whole()
    finally:
        pending.leave()
