"""What is compared: the mock by itself, the router before it, and other proxies that are installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.native import CannotMeasure, Programs
from benchmarks.processes import Cores, Tree, free_port

KEY = re.compile(r"\bhoo_[0-9A-Za-z]{32,}\b")
MODEL = "bench-model"
ROOT = Path(__file__).resolve().parent.parent


class Entry(ABC):
    """One way from the load generator to the mock.

    Args:
        name: Its column in the table.
        cores: Where processes run.
        folder: For its configuration, state and log.
    """

    model = "mock"
    key: str | None = None
    headers: Sequence[str] = ()
    """Lines that every request needs beside."""
    slow = False
    """Whether it cannot keep up with the usual loads."""

    def __init__(self, name: str, cores: Cores, folder: Path) -> None:
        self.name = name
        self.cores = cores
        self.folder = folder
        self.folder.mkdir()
        self.port = free_port()
        self.tree = self.start()

    @abstractmethod
    def start(self) -> Tree:
        """Start it, return its processes once it answers."""


class Direct(Entry):
    """The mock itself; its cost is what an upstream costs at least, and no part of any gateway."""

    def __init__(self, cores: Cores, folder: Path, programs: Programs) -> None:
        self._program = programs.mock
        super().__init__("direct", cores, folder)

    def start(self) -> Tree:
        tree = Tree([str(self._program), str(self.port)], self.cores.mock, self.folder / "log")
        tree.wait_for(f"http://127.0.0.1:{self.port}/v1/models", 10)
        return tree


class Router(Entry):
    """A real ``hoonify-router serve`` with one home, the mock.

    Args:
        pipeline: Middleware that every request passes.
        upstream: Port of the mock.
        python: The interpreter that has it; ours where none is given.
    """

    model = MODEL

    def __init__(
        self,
        name: str,
        cores: Cores,
        folder: Path,
        pipeline: Sequence[str],
        upstream: int,
        *,
        python: str = sys.executable,
    ) -> None:
        self._pipeline = list(pipeline)
        self._upstream = upstream
        self._python = python
        super().__init__(name, cores, folder)

    def start(self) -> Tree:
        config = self.folder / "router.yaml"
        config.write_text(json.dumps(self._config()))  # JSON is YAML
        tree = Tree(
            [self._python, "-m", "hoonify_router", "serve", "--config", str(config)],
            self.cores.gateway,
            self.folder / "log",
            {"HOONIFY_STATE_DIR": str(self.folder / "state")},
        )
        try:
            tree.wait_for(f"http://127.0.0.1:{self.port}/ready")
            if "api_keys" in self._pipeline:
                self.key = self._first_key(tree)
        except CannotMeasure:
            tree.stop()
            raise
        return tree

    def _config(self) -> dict[str, Any]:
        home = {
            "provider": "Bench",
            "context_length": 131072,
            "backend": "openai",
            "url": f"http://127.0.0.1:{self._upstream}",
            "options": {"model": "mock"},
        }
        plugins = {}
        if (
            "rate_limits" in self._pipeline
        ):  # the first key is on the first plan, and limits cost something
            limits = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12}
            plugins = {"rate_limits": {"plans": {"bench": limits}}}
        return {
            "server": {"host": "127.0.0.1", "port": self.port, "workers": 1},
            "pipeline": self._pipeline,
            "plugins": plugins,
            "models": {MODEL: home},
        }

    def _first_key(self, tree: Tree) -> str:
        found = KEY.search(tree.log.read_text())
        if not found:
            raise CannotMeasure(
                f"the router announced no API key; it said:\n{tree.log.read_text()}"
            )
        return found.group()


def compiled_python() -> str:
    """Return the interpreter that has the compiled wheel.

    Raises:
        CannotMeasure: It was not made.
    """
    python = ROOT / ".venv-compiled" / "bin" / "python"
    if not (python.parent / "hoonify-router").is_file():
        raise CannotMeasure("the compiled wheel is not installed; `make compiled` does that")
    return str(python)


class Nginx(Entry):
    """nginx as a plain reverse proxy: about the least that a general-purpose proxy costs."""

    def __init__(self, cores: Cores, folder: Path, upstream: int) -> None:
        self._upstream = upstream
        super().__init__("nginx", cores, folder)

    @staticmethod
    def installed() -> bool:
        """Tell whether there is an nginx to compare with."""
        return shutil.which("nginx") is not None

    @staticmethod
    def version() -> str:
        """Return which it is."""
        done = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False)
        return done.stderr.rpartition("/")[2].strip()  # nginx version: nginx/1.22.1

    def start(self) -> Tree:
        config = self.folder / "nginx.conf"
        config.write_text(f"""
            daemon off; worker_processes 1; pid {self.folder}/pid; error_log stderr;
            events {{ worker_connections 4096; }}
            http {{
                access_log off;
                client_body_temp_path {self.folder}; proxy_temp_path {self.folder};
                fastcgi_temp_path {self.folder}; uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
                client_body_buffer_size 1m; keepalive_requests 10000000;
                upstream mock {{ server 127.0.0.1:{self._upstream}; keepalive 256; keepalive_requests 10000000; }}
                server {{
                    listen 127.0.0.1:{self.port};
                    location / {{
                        proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_buffering off;
                    }}
                }}
            }}""")
        tree = Tree(
            ["nginx", "-p", str(self.folder), "-c", str(config)],
            self.cores.gateway,
            self.folder / "log",
        )
        tree.wait_for(f"http://127.0.0.1:{self.port}/v1/models", 10)
        return tree
