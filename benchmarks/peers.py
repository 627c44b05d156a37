"""Other routers to compare with, each in an environment of its own: ``python -m benchmarks.peers`` installs them.

    make bench-peers                            # installs what is missing, some 900 MB; ARGS="smg portkey" names some
    make bench ARGS=--peers                     # measures all beside the router, in the same rounds
    make bench ARGS=--peers=litellm,portkey     # measures these

They are set up to do as little as possible: one upstream, one worker, round robin, no key, no log of requests.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.entries import Entry, Nginx
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
        version: Which of its releases.
        program: The command that it brings.
        command: How it is started.
        registry: Where it comes from.
        ready: Path that answers with 200 once it serves.
        headers: Lines that its requests need beside.
        slow: Whether it cannot keep up with the usual loads.
        patience: Seconds that its start may take.
        pins: Releases of packages that it depends on, by name (npm only).
    """

    name: str
    package: str
    version: str
    program: str
    command: Callable[[Setup], Sequence[str]]
    registry: Literal["pypi", "npm"] = "pypi"
    ready: str = "/v1/models"
    headers: Callable[[int], Sequence[str]] = lambda upstream: ()
    slow: bool = False
    patience: float = 120
    pins: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Return where its command is, or will be."""
        folder = "bin" if self.registry == "pypi" else "node_modules/.bin"
        return FOLDER / self.name / folder / self.program

    def install(self) -> None:
        """Make its environment.

        Raises:
            CannotMeasure: It cannot be had.
        """
        folder = FOLDER / self.name
        if self.path.exists():
            print(f"{self.name}: already in {folder}")
            return
        print(f"{self.name}: installing {self.package} {self.version}", flush=True)
        done = self._run_pip(folder) if self.registry == "pypi" else self._run_npm(folder)
        if done.returncode or not self.path.exists():
            raise CannotMeasure(f"{self.name} could not be installed")

    def installed_version(self) -> str:
        """Return which release its environment has."""
        folder = FOLDER / self.name
        if self.registry == "npm":
            told = json.loads((folder / "node_modules" / self.package / "package.json").read_text())
            return str(told["version"])
        place = [str(path) for path in folder.glob("lib/python*/site-packages")]
        name = self.package.partition("[")[0]
        (found,) = importlib.metadata.distributions(name=name, path=place)
        return found.version

    def _run_pip(self, folder: Path) -> subprocess.CompletedProcess[bytes]:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        wanted = f"{self.package}=={self.version}"
        return subprocess.run([*pip, "install", "--quiet", wanted], check=False)

    def _run_npm(self, folder: Path) -> subprocess.CompletedProcess[bytes]:
        npm = shutil.which("npm")
        if npm is None:
            raise CannotMeasure(f"{self.name} needs Node (on Debian: apt install nodejs npm)")
        folder.mkdir(parents=True, exist_ok=True)
        manifest = {"private": True, "overrides": dict(self.pins)}
        (folder / "package.json").write_text(json.dumps(manifest))
        quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        wanted = f"{self.package}@{self.version}"
        command = [npm, "install", *quiet, "--prefix", str(folder), wanted]
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL)


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
        "general_settings:\n"
        "  dangerously_permit_weak_or_unset_master_key: true\n"  # as the others: none asks for a key
    )
    address = ("--host", "127.0.0.1", "--port", str(setup.port))
    quiet = ("--telemetry", "False", "--num_workers", "1")
    return [str(setup.program), "--config", str(config), *address, *quiet]


def _portkey(setup: Setup) -> Sequence[str]:
    return [str(setup.program), f"--port={setup.port}", "--headless"]


def _portkey_headers(upstream: int) -> Sequence[str]:
    """Return what tells it whom to ask: it has no file for that."""
    return (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1",
        "authorization: Bearer none",
    )


KINDS = (
    Kind("sglang-router", "sglang-router", "0.3.2", "sglang-router", _rust("launch")),
    Kind("vllm-router", "vllm-router", "0.1.17", "vllm-router", _rust()),
    Kind("smg", "smg", "1.13.0", "smg", _rust("launch")),
    Kind(
        "litellm",
        "litellm[proxy]",
        "1.106.12",  # the proxy of later ones is a package that registries may lack
        "litellm",
        _litellm,
        slow=True,
        patience=300,  # it imports for half a minute on a quiet machine
    ),
    Kind(
        "portkey",
        "@portkey-ai/gateway",
        "1.15.2",
        "gateway",
        _portkey,
        registry="npm",
        ready="/",
        headers=_portkey_headers,
        pins={"@hono/node-server": "1.13.8"},  # every stream fails with later ones
    ),
)
NGINX = "nginx"


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
        self.headers = kind.headers(upstream)
        self.slow = kind.slow
        super().__init__(kind.name, cores, folder)

    def start(self) -> Tree:
        metrics = free_port()
        while metrics == self.port:
            metrics = free_port()
        setup = Setup(self._kind.path, self.port, metrics, self._upstream, self.folder)
        tree = Tree(self._kind.command(setup), self.cores.gateway, self.folder / "log")
        try:
            tree.wait_for(f"http://127.0.0.1:{self.port}{self._kind.ready}", self._kind.patience)
        except CannotMeasure:
            tree.stop()
            raise
        return tree


def installed() -> list[Kind]:
    """Return the peers that are there to be measured."""
    return [kind for kind in KINDS if kind.path.exists()]


def choose(named: str) -> list[Kind]:
    """Return the peers that ``--peers`` names by commas; all that are installed where it names none.

    Raises:
        CannotMeasure: One is unknown, or is not installed.
    """
    there = installed()
    names = [name for name in named.split(",") if name and name != NGINX]
    if not named and not there:
        raise CannotMeasure("no other router is installed; `make bench-peers` installs some")
    known = {kind.name: kind for kind in KINDS}
    for name in names:
        if name not in known:
            raise CannotMeasure(
                f"there is no peer {name} (there are: {', '.join([NGINX, *known])})"
            )
        if known[name] not in there:
            raise CannotMeasure(f'{name} is not installed: make bench-peers ARGS="{name}"')
    return [known[name] for name in names] if named else there


def install_nginx() -> None:
    """Install nginx by the system's package manager, where this process may.

    Raises:
        CannotMeasure: It may not, or it failed.
    """
    if Nginx.installed():
        print(f"nginx: already there, {Nginx.version()}")
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise CannotMeasure(
            "nginx is for an administrator to install (on Debian: apt install nginx-light)"
        )
    print("nginx: installing nginx-light", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "nginx-light"]):
        done = subprocess.run(
            [apt, "-qq", *command], check=False, env=quiet, stdout=subprocess.DEVNULL
        )
        if done.returncode:
            raise CannotMeasure("nginx could not be installed")


def main(argv: Sequence[str] | None = None) -> int:
    """Install peers; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    installers = {NGINX: install_nginx, **{kind.name: kind.install for kind in KINDS}}
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which of {', '.join(installers)}"
    )
    wanted = parser.parse_args(argv).names or list(installers)
    if unknown := set(wanted) - set(installers):
        parser.error(
            f"there is no {', '.join(sorted(unknown))} (there are: {', '.join(installers)})"
        )
    missing = False
    for name in wanted:
        try:
            installers[name]()
        except CannotMeasure as problem:
            print(f"benchmarks: {problem}", file=sys.stderr)
            missing = True
    return 2 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
