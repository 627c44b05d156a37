"""The environments that are built on this machine: one folder, a link for each that is in use."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from hoonify_router.api import EngineEnvironment
from hoonify_router.config import LoadedConfig

FOLDER_VARIABLE = "HOONIFY_ENVIRONMENTS"
_MARK = "hoonify-environment.json"
_DIGITS = 12


class Mark(msgspec.Struct):
    """What is written into an environment when all else is in place.

    Args:
        digest: Of all that it was made of.
        python: Version of its Python, such as ``3.11``.
        packages: Its distributions and their versions.
    """

    digest: str
    python: str
    packages: dict[str, str]


class Built(msgspec.Struct, frozen=True):
    """A complete environment.

    Args:
        link: Where the one in use is found; it moves when another takes its place.
        folder: Where it really is.
        mark: What it holds.
    """

    link: Path
    folder: Path
    mark: Mark

    @property
    def python(self) -> Path:
        """Return its interpreter, by the folder's real name: a running engine stays in what it began with."""
        return self.folder / "bin" / "python"


def environments_folder(loaded: LoadedConfig) -> Path:
    """Return where environments are kept: in ``HOONIFY_ENVIRONMENTS``, else in the state folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser().absolute() if named else loaded.state_dir / "environments"


def digest_of(environment: EngineEnvironment, locks: tuple[Path, ...], python: str) -> str:
    """Return a fingerprint of all that makes an environment what it is.

    Args:
        environment: What the backend asks for.
        locks: All requirement files, the router's own among them.
        python: Version of the Python, such as ``3.11``.
    """
    found = hashlib.sha256(python.encode())
    for lock in locks:
        found.update(lock.read_bytes())
    for folder in environment.files:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            if "__pycache__" not in file.parts:
                found.update(str(file.relative_to(folder)).encode())
                found.update(file.read_bytes())
    return found.hexdigest()


def key_of(environment: EngineEnvironment) -> str:
    """Return the name under which an environment is kept."""
    return f"{environment.name}-{environment.accelerator}"


class EnvironmentStore:
    """All environments in one folder.

    Args:
        folder: Need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def link_of(self, environment: EngineEnvironment) -> Path:
        """Return the link that leads to the environment in use."""
        return self.folder / key_of(environment)

    def place_for(self, environment: EngineEnvironment, digest: str) -> Path:
        """Return the folder in which an environment of that digest is built and stays."""
        return self.folder / f"{key_of(environment)}-{digest[:_DIGITS]}"

    def log_of(self, environment: EngineEnvironment) -> Path:
        """Return the file that holds all that the last build said."""
        return self.folder / f"{key_of(environment)}.log"

    def current(self, environment: EngineEnvironment) -> Built | None:
        """Return the environment in use, if it is complete and its interpreter still there."""
        link = self.link_of(environment)
        try:
            folder = link.resolve(strict=True)
        except OSError:
            return None
        return _complete(link, folder)

    def adopt(self, environment: EngineEnvironment, folder: Path) -> Built:
        """Take a complete environment into use, in one step."""
        link = self.link_of(environment)
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder.name)
        fresh.replace(link)
        found = self.current(environment)
        assert found is not None
        return found

    def finish(self, folder: Path, mark: Mark) -> None:
        """Mark a built environment as complete."""
        fresh = folder / f".{_MARK}"
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(mark))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(folder / _MARK)

    def complete(self, environment: EngineEnvironment, folder: Path) -> bool:
        """Tell whether a build in this folder came to its end."""
        return _complete(self.link_of(environment), folder) is not None

    def clear(self, environment: EngineEnvironment) -> None:
        """Remove what killed builds have left, and old environments that no process runs from."""
        current = self.current(environment)
        wanted = re.compile(rf"{re.escape(key_of(environment))}-[0-9a-f]{{{_DIGITS}}}")
        for folder in self.folder.iterdir():
            if not wanted.fullmatch(folder.name) or (
                current and current.folder == folder.resolve()
            ):
                continue
            if not self.complete(environment, folder) or not _in_use(folder):
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, environment: EngineEnvironment, waiting: Callable[[], None]) -> Iterator[int]:
        """Hold the right to build an environment; yield the descriptor that holds it.

        A child that inherits it holds it too: what a killed build has left running still writes.

        Args:
            environment: Which.
            waiting: Called when another build has it and must be waited for.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(
            self.folder / f"{key_of(environment)}.lock", os.O_RDWR | os.O_CREAT, 0o600
        )
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _complete(link: Path, folder: Path) -> Built | None:
    try:
        mark = msgspec.json.decode((folder / _MARK).read_bytes(), type=Mark)
    except (OSError, msgspec.DecodeError):
        return None
    found = Built(link, folder, mark)
    return found if os.access(found.python, os.X_OK) else None


def _in_use(folder: Path) -> bool:
    """Tell whether a process runs from a folder, as far as can be seen; where it cannot, say yes."""
    needle = f"{folder.resolve()}{os.sep}".encode()
    processes = Path("/proc")
    if (processes / "self" / "cmdline").exists():
        for line in processes.glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if needle in line.read_bytes():
                    return True
        return False
    try:
        listed = subprocess.run(
            ["ps", "-axww", "-o", "command="], capture_output=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return True
    return needle in listed.stdout
