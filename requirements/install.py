"""Install what lock files list, and this checkout itself, into the environment that runs this.

    .venv/bin/python requirements/install.py requirements/default.txt

Of every lock after the first, exactly what it lists is installed, whatever that asks for: a package whose
data alone is needed. Then:

    .venv/bin/python requirements/install.py requirements/dev.txt requirements/models-test.txt

Every file is checked against the lock's hashes. Standard library only, and quiet: one moving line on a
terminal, two lines elsewhere, pip's whole output after a failure.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKED = re.compile(r"([a-z0-9][a-z0-9._-]*)==")
FROM_LINE = re.compile(r"\(line (\d+)\)")


def pip(*arguments: str) -> Iterator[str]:
    """Run pip, yield its lines as they come; end this program with its output if it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            yield line
    if process.returncode:
        print(f"\n{''.join(said)}\npip ended with {process.returncode}: {' '.join(command)}")
        raise SystemExit(1)


def install_locked(lock: Path, *options: str) -> int:
    """Install the lock's packages, show how far it is, return how many it lists."""
    lines = enumerate(lock.read_text().splitlines(), 1)
    names = {number: found[1] for number, line in lines if (found := LOCKED.match(line))}
    places = {number: place for place, number in enumerate(names, 1)}
    shown = sys.stdout.isatty()
    for line in pip(
        "install", "--progress-bar", "off", "--require-hashes", *options, "--requirement", str(lock)
    ):
        found = FROM_LINE.search(line)  # pip names the line of the lock that it works on
        if shown and found and (number := int(found[1])) in names:
            print(f"\r\x1b[K  {places[number]}/{len(names)} {names[number]}", end="", flush=True)
        elif shown and line.startswith("Installing collected packages"):
            print("\r\x1b[K  unpacking", end="", flush=True)
    if shown:
        print("\r\x1b[K", end="")
    return len(names)


def main() -> None:
    """Install the locks named on the command line, then this checkout."""
    lock, *data = map(Path, sys.argv[1:])
    started = time.monotonic()
    print(f"installing what {lock} lists (once; the first time takes a minute or so)", flush=True)
    total = install_locked(lock)
    for more in data:
        total += install_locked(more, "--no-deps")
    # The build tools are locked too, so nothing is fetched here.
    for _ in pip("install", "--no-deps", "--no-build-isolation", "--editable", "."):
        pass
    print(
        f"{total} locked packages are in place after {time.monotonic() - started:.0f} s", flush=True
    )


if __name__ == "__main__":
    main()
