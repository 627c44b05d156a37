"""Move a model from home to home, again and again, under load: how many answers suffer?

    python -m benchmarks.rehome --moves 100 --streams 200 --workers 2 --homes echo:5,onnxruntime:5

Holds streams and short requests on one model while its home is edited in the configuration file. Every answer must be,
to the letter, what one of the homes says to its prompt. In between, edits that are broken in all ways that there are.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.native import CannotMeasure
from benchmarks.processes import Tree, free_port
from benchmarks.streams import Load, Record, ask, percentile, split_by

MODEL = "nomad"
TOKENS = 24
PROMPTS = [
    f"{what} {number} {rest}"
    for number, (what, rest) in enumerate(
        itertools.product(
            ("What is", "Tell me of", "Who has seen", "How many are"),
            (
                "the sun and the moon over the sea at night",
                "a cat that sleeps on a warm stone by the door",
                "the river that runs down from the old grey hills",
                "bread and salt on the table of a good friend",
                "a small green bird in the tallest tree of the wood",
            ),
        )
    )
]
TINY_CHAT = Path(__file__).parents[1] / "models" / "tiny-chat"
PATIENCE = 300.0

BROKEN: tuple[tuple[str, str, str], ...] = (
    ("syntax", "refused", "    backend: [echo\n"),
    ("unknown backend", "refused", "    backend: ecco\n"),
    ("no load", "failed", "    backend: echo\n    options: {{load_error: no weights {n}}}\n"),
    ("no warm-up", "failed", "    backend: echo\n    options: {{crash_after: 0, slots: {n}}}\n"),
)


def _echo(number: int, folder: Path) -> str:
    options = f"{{token_delay: 0.05, slots: 256, context_length: {8192 + number}}}"
    return f"    backend: echo\n    options: {options}\n"


def _onnxruntime(number: int, folder: Path) -> str:
    run = f"model: {TINY_CHAT / 'onnx'}, provider: cpu, threads: 1, slots: 64, max_waiting: {1000 + number}"
    sampling = "sampling: {temperature: 0}"  # always the same answer
    return f"    backend: onnxruntime\n    options: {{{run}, {sampling}}}\n"


def _sglang(number: int, folder: Path) -> str:
    """Return a home on SGLang's own server; its environment is found as ever: HOONIFY_ENVIRONMENTS."""
    model = folder / "tiny-chat"
    if not model.exists():
        model.mkdir()
        for file in (TINY_CHAT / "hf").iterdir():
            (model / file.name).symlink_to(file)
        (model / "generation_config.json").unlink()
        (model / "generation_config.json").write_text('{"temperature": 0.0}')  # one answer each
    run = f"model: {model}, device: cpu, context_length: 1024"
    return (
        f"    backend: sglang\n    options: {{{run}, extra_args: ['--random-seed', '{number}']}}\n"
    )


HOMES: dict[str, Callable[[int, Path], str]] = {
    "echo": _echo,
    "onnxruntime": _onnxruntime,
    "sglang": _sglang,
}


@dataclass
class Report:
    """What came out.

    Args:
        record: Of all requests.
        moves: Spans of time in which a move was under way.
        unexpected: Edits that did not come to what they should.
    """

    record: Record = field(default_factory=Record)
    moves: list[tuple[float, float]] = field(default_factory=list)
    broken: int = 0
    unexpected: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Return whether nobody has suffered."""
        return set(self.record.verdicts) == {"whole"} and not self.unexpected

    def lines(self) -> Iterator[str]:
        """Yield what there is to tell."""
        verdicts = self.record.verdicts
        spent = [end - begin for begin, end in self.moves]
        yield (
            f"{len(self.moves)} moves, {self.broken} broken edits, {verdicts.total()} answers:"
            f" {verdicts['failed']} failed, {verdicts['truncated']} truncated, {verdicts['mixed']} mixed"
        )
        yield f"answers by home: {dict(self.record.by_home)}"
        yield f"a move took {percentile(spent, 0.5):.1f} s (median), {max(spent, default=0):.1f} s at most"

        def moving(at: float) -> bool:
            return any(begin <= at <= end for begin, end in self.moves)

        yield "time to first text, ms      streams      p50      p99"
        for name, values in zip(
            ("during moves", "at rest"), split_by(self.record.firsts, moving), strict=True
        ):
            p50, p99 = (1000 * percentile(values, share) for share in (0.5, 0.99))
            yield f"  {name:24}{len(values):9}{p50:9.0f}{p99:9.0f}"
        yield from self.unexpected
        yield from self.record.complaints


class Router:
    """A router whose one model is moved by editing its file.

    Args:
        folder: For its file, its state and its log.
        workers: Gateway processes.
        first: The model's first home.
    """

    def __init__(self, folder: Path, workers: int, first: str) -> None:
        self.port = free_port()
        self._workers = workers
        self._folder = folder
        self._path = folder / "router.yaml"
        self._write(first)
        command = [str(Path(sys.executable).with_name("hoonify-router")), "serve"]
        self.tree = Tree(
            [*command, "--config", str(self._path)],
            frozenset(),
            folder / "router.log",
            {"HOONIFY_STATE_DIR": str(folder / "state"), "HOONIFY_LOG_LEVEL": "WARNING"},
        )
        self.tree.wait_for(f"http://127.0.0.1:{self.port}/ready", PATIENCE)

    async def move(self, home: str) -> Mapping[str, Any]:
        """Edit the file and return what became of it."""
        before = await self._last()
        self._write(home)
        async with asyncio.timeout(PATIENCE):
            while (now := await self._last()) == before:  # noqa: ASYNC110 - asked over HTTP
                await asyncio.sleep(0.1)
        return now

    async def _last(self) -> Mapping[str, Any]:
        from hoonify_router.supervisor.client import SupervisorClient

        socket = next(self._sockets())
        client = SupervisorClient(socket, lambda table: None, role="cli")
        await client.connect()
        try:
            status = await client.ask("status")
        finally:
            client.close()
        return status["reload"] or {}

    def _sockets(self) -> Iterator[str]:
        import msgspec

        for note in (self._folder / "state").glob("running-*.json"):
            yield msgspec.json.decode(note.read_bytes())["supervisor"]

    def _write(self, home: str) -> None:
        text = (
            f"server: {{port: {self.port}, workers: {self._workers}, allow_anonymous: true}}\n"
            f"models:\n  {MODEL}:\n    provider: Nobody\n    context_length: 1024\n    attempts: 1\n{home}"
        )
        new = self._path.with_suffix(".new")
        new.write_text(text)
        new.replace(self._path)


async def run(
    folder: Path,
    *,
    moves: int,
    streams: int,
    workers: int = 2,
    homes: Sequence[str] = ("echo", "onnxruntime"),
    broken: int = 4,
    rate: float = 10.0,
    rest: float = 0.5,
    say: Callable[[str], object] = print,
) -> Report:
    """Run the whole thing and return what came out.

    Args:
        folder: For the router's files.
        moves: So often the model moves.
        streams: So many are open at any time.
        workers: Gateway processes.
        homes: Where it moves, in turn; a name may come several times.
        broken: So many broken edits come in between.
        rate: Short requests per second beside the streams.
        rest: Seconds between two edits.
        say: Hears how it goes.
    """
    report = Report()
    router = Router(folder, workers, HOMES[homes[0]](0, folder))
    try:
        says = await _learn(router, folder, homes)
        load = Load(router.port, MODEL, says, streams=streams, rate=rate, tokens=TOKENS)
        report.record = load.record
        load.start()
        await asyncio.sleep(2 + rest)
        edits = _edits(moves, homes, broken, folder)
        for number, (name, expected, home) in enumerate(edits, 1):
            began = time.monotonic()
            told = await router.move(home)
            ended = time.monotonic()
            if expected == "applied":
                report.moves.append((began, ended))
            else:
                report.broken += 1
            if told["result"] != expected:
                report.unexpected.append(f"edit {number} ({name}): {told}")
            counts = dict(load.record.verdicts)
            say(f"{number:4} {name:16} {told['result']:8} {ended - began:5.1f} s  {counts}")
            await asyncio.sleep(rest)
        await load.stop()
    finally:
        router.tree.stop()
    return report


async def _learn(router: Router, folder: Path, homes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what each home says to each prompt, by the prompt; nobody else asks meanwhile."""
    says: dict[str, dict[str, str]] = {prompt: {} for prompt in PROMPTS}
    for number, name in enumerate(dict.fromkeys(homes)):
        if number:
            told = await router.move(HOMES[name](0, folder))
            if told["result"] != "applied":
                raise CannotMeasure(f"{name} does not run here: {told['problems']}")
        for prompt in PROMPTS:
            answer = await ask(router.port, MODEL, prompt, TOKENS, stream=False)
            says[prompt][name] = answer.text
    return says


def _edits(
    moves: int, homes: Sequence[str], broken: int, folder: Path
) -> list[tuple[str, str, str]]:
    """Return the edits in their order: what each is called, what it must come to, and the model's home in it."""
    turns = itertools.cycle(homes)
    edits = [
        (name, "applied", HOMES[name](n, folder))
        for n, name in zip(range(1, moves + 1), turns, strict=False)
    ]
    every = max(1, len(edits) // max(1, broken))
    for number, (name, result, home) in zip(range(broken), itertools.cycle(BROKEN), strict=False):
        at = min(len(edits), (number + 1) * every + number)
        edits.insert(at, (name, result, home.format(n=number + 1)))
    return edits


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rehome", description=__doc__)
    parser.add_argument("--moves", type=int, default=100)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="gateway processes")
    parser.add_argument("--homes", default="echo:1,onnxruntime:1", help="with their shares")
    parser.add_argument("--broken", type=int, default=20, help="broken edits in between")
    parser.add_argument("--rate", type=float, default=10.0, help="short requests per second")
    parser.add_argument("--rest", type=float, default=0.5, help="seconds between two edits")
    given = parser.parse_args()
    shares = [part.partition(":") for part in given.homes.split(",")]
    left = {name: int(share or 1) for name, _, share in shares}
    homes = []
    while any(left.values()):  # echo:2,onnxruntime:1 is echo, onnxruntime, echo
        for name, share in left.items():
            if share:
                left[name] = share - 1
                homes.append(name)
    with tempfile.TemporaryDirectory(prefix="rehome") as folder:
        report = asyncio.run(
            run(
                Path(folder),
                moves=given.moves,
                streams=given.streams,
                workers=given.workers,
                homes=homes,
                broken=given.broken,
                rate=given.rate,
                rest=given.rest,
            )
        )
    print("\n".join(report.lines()))
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(_main())
