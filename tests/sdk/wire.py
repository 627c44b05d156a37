"""What really goes over the wire: requests by hand, answers byte by byte."""

from __future__ import annotations

import http.client
import json
from typing import Any


class Exchange:
    """One answer.

    Args:
        status: Its status.
        headers: Its headers, names in lower case.
        body: Its whole body.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body of an answer in one piece."""
        assert self.headers["content-type"] == "application/json"
        assert self.headers["content-length"] == str(len(self.body))
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events, framed exactly as OpenAI frames them; ``[DONE]`` is left out."""
        assert self.status == 200
        assert self.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "content-length" not in self.headers
        assert self.body.endswith(b"\n\n")
        events = self.body.removesuffix(b"\n\n").split(b"\n\n")
        assert all(b"\n" not in event and b"\r" not in event for event in events)
        events = [event for event in events if not event.startswith(b":")]
        assert all(event.startswith(b"data: ") for event in events)
        assert [event for event in events if event == b"data: [DONE]"] == events[-1:]
        return [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]


class Wire:
    """A kept connection to the router.

    Args:
        port: Where it listens on this machine.
        key: The API key to show.
    """

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Exchange:
        """Send a request and read its answer to the end."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, {**self._headers, **changed})
        answer = self._connection.getresponse()
        return Exchange(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )

    def post(self, path: str, body: dict[str, Any]) -> Exchange:
        """Send ``body`` as JSON."""
        return self.request("POST", path, json.dumps(body).encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
