"""A small OpenAI-compatible server that a test launches: ``python fake_server.py --port N --key-file FILE --folder FOLDER``.

Wishes come as files in the folder ``--folder``: while the file is there, the server behaves so.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ARGUMENTS = argparse.ArgumentParser()
ARGUMENTS.add_argument("--port", type=int, required=True)
ARGUMENTS.add_argument("--key-file", type=Path, required=True)
ARGUMENTS.add_argument("--folder", type=Path, required=True)
ARGUMENTS.add_argument("--name", default="parrot")
TOLD = ARGUMENTS.parse_args()
KEY = TOLD.key_file.read_text()


def wishes(name: str) -> bool:
    """Tell whether a test wishes for this."""
    return (TOLD.folder / name).exists()


class Handler(BaseHTTPRequestHandler):
    """Answers."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Tell how it does."""
        while wishes("deaf"):
            time.sleep(0.01)
        if self.path == "/ready":
            self._say(503 if wishes("unready") else 200, {})
        elif self.path == "/moves":
            self._say(503 if wishes("stuck") else 200, {})
        elif self.headers.get("authorization") != f"Bearer {KEY}":
            self._say(401, {"error": "Unauthorized"})
        elif self.path == "/v1/models":
            self._say(200, {"data": [{"id": TOLD.name}]})
        elif self.path == "/load":
            self._say(200, {"running": len(list(TOLD.folder.glob("running-*"))), "queued": 0})
        else:
            self._say(404, {})

    def do_POST(self) -> None:
        """Answer a chat."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        (TOLD.folder / f"asked-{time.monotonic_ns()}").write_text(json.dumps(body))
        if wishes("broken"):
            self._say(500, {"error": {"message": f"it broke, and the key is {KEY}"}})
        else:
            self._say(200, {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})

    def _say(self, status: int, what: object) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Load, as it were, and serve."""
    starts = TOLD.folder / "starts"
    with starts.open("a") as file:
        file.write(f"{TOLD.port} {os.getpid()}\n")
    count = len(starts.read_text().splitlines())
    print(f"my arguments: port={TOLD.port} key={KEY}", flush=True)
    if wishes("child"):  # which moves to a session of its own
        code = "import os, time; os.setsid(); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", code])
        (TOLD.folder / "child-pid").write_text(str(child.pid))
    if wishes("port-taken") and count == 1:
        print("[Errno 98] error while attempting to bind: address already in use", flush=True)
        sys.exit(1)
    if wishes("no-memory"):
        print("torch.OutOfMemoryError: CUDA out of memory.", flush=True)
        sys.exit(1)
    for step in range(1, 4):
        print(f"loading {step}/3", flush=True)
        while wishes("slow"):
            time.sleep(0.01)
    server = ThreadingHTTPServer(("127.0.0.1", TOLD.port), Handler)
    server.daemon_threads = True

    def leave(number: int, frame: object) -> None:
        (TOLD.folder / "terminated").touch()

        def wait() -> None:
            while list(TOLD.folder.glob("running-*")):
                time.sleep(0.01)
            os._exit(0)

        threading.Thread(target=wait).start()

    signal.signal(signal.SIGTERM, leave)
    server.serve_forever(0.05)


if __name__ == "__main__":
    main()
