"""Other routers to compare with, each in an environment of its own: ``python -m benchmarks.peers`` installs them.

    make bench-peers                            # installs what is missing, some 600 MB
    make bench ARGS=--peers                     # measures them beside the router, in the same rounds

They are set up to do as little as possible: one upstream, round robin, no key, no log of requests.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.entries import Entry
from benchmarks.native import HERE, CannotMeasure
from benchmarks.processes import Cores, Tree, free_port

FOLDER = HERE / "build" / "peers"


@dataclass(frozen=True)
class Setup:
    """How a peer is started.

    Args:
        program: Of its environment.
        port: Where it is to listen.
        metrics: A port for what else it opens.
        upstream: Port of the mock.
        folder: For its configuration.
    """

    program: Path
    port: int
    metrics: int
    upstream: int
    folder: Path


@dataclass(frozen=True)
class Kind:
    """One router that there is to compare with.

    Args:
        name: Its column in the table.
        package: What is installed from the package registry.
        program: The command that it brings.
        command: How it is started.
    """

    name: str
    package: str
    program: str
    command: Callable[[Setup], Sequence[str]]

    @property
    def path(self) -> Path:
        """Return where its command is, or will be."""
        return FOLDER / self.name / "bin" / self.program

    def install(self) -> None:
        """Make its environment.

        Raises:
            CannotMeasure: It cannot be had.
        """
        folder = FOLDER / self.name
        if self.path.exists():
            print(f"{self.name}: already in {folder}")
            return
        print(f"{self.name}: installing {self.package}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        done = subprocess.run([*pip, "install", "--quiet", self.package], check=False)
        if done.returncode or not self.path.exists():
            raise CannotMeasure(f"{self.name} could not be installed")


def _rust(*subcommand: str) -> Callable[[Setup], Sequence[str]]:
    """Return how the routers of one family start: they share a beginning, and so their options."""

    def command(setup: Setup) -> Sequence[str]:
        return [
            str(setup.program),
            *subcommand,
            *("--worker-urls", f"http://127.0.0.1:{setup.upstream}"),
            *("--host", "127.0.0.1", "--port", str(setup.port)),
            *("--policy", "round_robin", "--log-level", "error"),
            *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(setup.metrics)),
        ]

    return command


def _litellm(setup: Setup) -> Sequence[str]:
    config = setup.folder / "config.yaml"
    config.write_text(
        "model_list:\n"
        "  - model_name: mock\n"
        "    litellm_params:\n"
        "      model: openai/mock\n"
        f"      api_base: http://127.0.0.1:{setup.upstream}/v1\n"
        "      api_key: none\n"
    )
    address = ("--host", "127.0.0.1", "--port", str(setup.port))
    return [str(setup.program), "--config", str(config), *address, "--telemetry", "False"]


KINDS = (
    Kind("sglang-router", "sglang-router==0.3.2", "sglang-router", _rust("launch")),
    Kind("vllm-router", "vllm-router==0.1.17", "vllm-router", _rust()),
    Kind("smg", "smg==1.13.0", "smg", _rust("launch")),
    Kind("litellm", "litellm[proxy]==1.110.2", "litellm", _litellm),
)


class Peer(Entry):
    """Another router before the mock.

    Args:
        kind: Which.
        cores: Where processes run.
        folder: For its configuration and log.
        upstream: Port of the mock.
    """

    def __init__(self, kind: Kind, cores: Cores, folder: Path, upstream: int) -> None:
        self._kind = kind
        self._upstream = upstream
        super().__init__(kind.name, cores, folder)

    def start(self) -> Tree:
        metrics = free_port()
        while metrics == self.port:
            metrics = free_port()
        setup = Setup(self._kind.path, self.port, metrics, self._upstream, self.folder)
        tree = Tree(self._kind.command(setup), self.cores.gateway, self.folder / "log")
        try:
            tree.wait_for(f"http://127.0.0.1:{self.port}/v1/models", 90)
        except CannotMeasure:
            tree.stop()
            raise
        return tree


def installed() -> list[Kind]:
    """Return the peers that are there to be measured."""
    return [kind for kind in KINDS if kind.path.exists()]


def main(argv: Sequence[str] | None = None) -> int:
    """Install peers; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    names = [kind.name for kind in KINDS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(names)}")
    wanted = parser.parse_args(argv).names or names
    if unknown := set(wanted) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))} (there are: {', '.join(names)})")
    missing = []
    for kind in KINDS:
        if kind.name in wanted:
            try:
                kind.install()
            except CannotMeasure as problem:
                print(f"benchmarks: {problem}", file=sys.stderr)
                missing.append(kind.name)
    if not shutil.which("nginx"):
        print("nginx is compared, too, where it is installed (on Debian: apt install nginx-light)")
    return 2 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
