"""A record as text, for the terminal and for the page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.engines.ways import STREAMS

Rates = dict[str, dict[str, dict[int, float]]]
"""By way, then greedy or sampled, then number of streams."""

_BEGIN, _END = "<!-- measured -->", "<!-- end of what was measured -->"


def written(record: dict[str, Any]) -> str:
    """Return all tables of a record."""
    return "\n".join(_lines(record))


def put_into_page(page: Path, record: dict[str, Any]) -> None:
    """Replace what a page says was measured."""
    before, _, rest = page.read_text().partition(_BEGIN)
    _, found, after = rest.partition(_END)
    assert found, f"{page} has no {_BEGIN} followed by {_END}"
    machine = record["machine"]
    versions = ", ".join(
        f"{name} {machine['versions'][name]}"
        for name in ("onnxruntime", "onnxruntime-genai", "numpy")
        if name in machine["versions"]
    )
    head = (
        f"{record['when'][:10]}, {machine['cores']} cores of an {machine['cpu']}, Python {machine['python']}, {versions};"
        f" {record['settings']['rounds']} rounds, load average {machine['load_average'][0]}:"
    )
    if machine["load_average"][0] > 2 * machine["cores"]:
        head += "\nthe machine was busy with other work, so rows may be compared a little and numbers not at all:"
    text = f"{_BEGIN}\n\n{head}\n\n```text\n{written(record)}\n```\n\n{_END}"
    page.write_text(before + text + after)


def rates_lines(title: str, rates: Rates) -> Iterator[str]:
    """Yield a table: a row for each way and kind, a column for each number of streams."""
    yield f"{title:44}" + "".join(f"{streams:>9}" for streams in STREAMS)
    for way, kinds in rates.items():
        for kind, numbers in kinds.items():
            cells = (numbers.get(streams) for streams in STREAMS)
            texts = ("" if cell is None else f"{cell:,.0f}" for cell in cells)
            yield (f"{way + ', ' + kind:44}" + "".join(f"{text:>9}" for text in texts)).rstrip()
    yield ""


def _lines(record: dict[str, Any]) -> Iterator[str]:
    yield from rates_lines("tokens/s, median round; streams:", record["tokens_per_second"])
    yield from rates_lines("tokens/s, best round; streams:", record["best_tokens_per_second"])
    yield from rates_lines("CPU us a token; streams:", record["cpu_us_per_token"])
    yield "one greedy stream, times the plain loop with bound memory"
    for name, ratio in record["one_stream_times_plain_loop"].items():
        yield f"  {name:42}{ratio:9.2f}"
    yield "eight streams, times one (greedy, sampled)"
    for name, pair in record["eight_streams_times_one"].items():
        yield f"  {name:42}{pair['greedy']:9.2f}{pair['sampled']:9.2f}"
    yield ""
    yield from rates_lines("model alone, us a step; rows:", {"model": record["model_step_us"]})
    yield "operators in one thread, us of a step with 1 row and 8"
    for kind, micros in record["operators_us"].items():
        yield f"  {kind:42}{micros.get(1, 0):9.0f}{micros.get(8, 0):9.0f}"
    yield ""
    waits = record["waits_ms"]
    yield f"{'milliseconds':50}" + "".join(f"{name:>22}" for name in waits)
    for what in next(iter(waits.values())):
        yield f"{what:50}" + "".join(f"{some[what]:>22.1f}" for some in waits.values())
    yield ""
    yield "memory that a step of eight streams allocates, in rows of scores for each stream"
    for name, rows in record["rows_allocated"].items():
        yield f"  {name:42}{rows:9.2f}"
    for reason in record["missing"]:
        yield f"not measured: {reason}"
