"""How a router's status looks on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hoonify_router.types.status import HomeSnapshot, Snapshot, Traffic

if TYPE_CHECKING:
    from rich.console import Group

COLUMNS = (
    "home",
    "backend",
    "state",
    "in flight",
    "req/min",
    "failed",
    "tok/s",
    "ttft p50/p99",
    "itl p50/p99",
    "note",
)
NUMBERS = frozenset(COLUMNS[3:9])
STYLES = {
    "ready": "green",
    "loading": "yellow",
    "starting": "yellow",
    "draining": "yellow",
    "stopped": "dim",
    "failed": "bold red",
    "unavailable": "red",
}
SHOWN_ERRORS = 5
_GIB = 1024**3


def title(status: Snapshot) -> str:
    """Return the first line."""
    heard = status.gateways_heard
    gateways = f"{status.gateways} gateway{'s' if status.gateways != 1 else ''}"
    if heard < status.gateways:
        gateways += f" (only {heard} answer)"
    return (
        f"Hoonify Router {status.version} at {status.address}, {status.config},"
        f" generation {status.generation}, up {duration(status.uptime)}, {gateways}"
    )


def rows(status: Snapshot) -> Iterator[tuple[str, ...]]:
    """Yield a row for each home, and one for all of them where there are several."""
    homes = [home for model in status.models for home in model.homes]
    for home in homes:
        numbers = _numbers(home.in_flight, home.traffic)
        yield (home.id, home.backend, home.state, *numbers, note_of(home))
    if len(homes) > 1:
        yield ("(all)", "", "", *_numbers(status.in_flight, status.traffic), "")


def lines(status: Snapshot) -> Iterator[str]:
    """Yield what stands below the table: GPUs, notes, the last errors."""
    for gpu in status.gpus:
        used, total = gpu.memory_used_bytes / _GIB, gpu.memory_total_bytes / _GIB
        busy = "" if gpu.utilization is None else f", {gpu.utilization:.0%} busy"
        yield f"GPU {gpu.index} {gpu.name}: {used:.1f} of {total:.1f} GiB{busy}"
    yield from status.notes
    for error in status.errors[:SHOWN_ERRORS]:
        when = datetime.fromtimestamp(error.at).strftime("%H:%M:%S")  # the operator's own clock
        yield f"{when} {error.home}: {error.kind}: {error.what}"


def note_of(home: HomeSnapshot) -> str:
    """Return what an operator should know of a home."""
    if home.loading is not None:
        stage = home.loading
        return f"{stage.stage}, {stage.done} of {stage.total}" if stage.total else stage.stage
    told = []
    if home.reason:
        told.append(f"{home.reason} {home.detail}".strip())
    if home.retry_after:
        told.append(f"next try in {home.retry_after:.0f} s")
    if home.breaker != "closed":
        told.append(f"circuit breaker {home.breaker}")
    if home.queued:
        told.append(f"{home.queued} queued")
    if not told and home.state == "stopped" and not home.always:
        told.append("starts with the next copy" if home.shadow else "starts on demand")
    if home.shadow:
        told.insert(0, "shadow")
    return "; ".join(told)


def duration(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} d"


def pause(seconds: float) -> str:
    """Return a short time with about two digits."""
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s"


def render(status: Snapshot) -> Group:
    """Return the whole view for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in COLUMNS:
        right = column in NUMBERS
        table.add_column(
            Text(column, "bold"),
            justify="right" if right else "left",
            no_wrap=column != "note",
            overflow="fold" if column == "note" else "ellipsis",
        )
    for row in rows(status):
        table.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
    return Group(Text(title(status)), table, *(Text(line, "dim") for line in lines(status)))


def plain(status: Snapshot) -> str:
    """Return the whole view for a pipe: one line per home."""
    table: list[Sequence[str]] = [[column.upper() for column in COLUMNS]]
    table += [[" ".join(cell.split()) or "-" for cell in row] for row in rows(status)]
    widths = [max(len(line[index]) for line in table) for index in range(len(COLUMNS))]
    text = [title(status)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text.append("  ".join(cells).rstrip())
    return "\n".join([*text, *lines(status)])


def _numbers(in_flight: int, traffic: Traffic) -> tuple[str, ...]:
    return (
        str(in_flight),
        str(traffic.requests),
        str(traffic.failed),
        f"{traffic.tokens_per_second:.0f}",
        _pair(traffic.ttft_p50, traffic.ttft_p99),
        _pair(traffic.itl_p50, traffic.itl_p99),
    )


def _pair(median: float | None, slow: float | None) -> str:
    if median is None or slow is None:
        return ""
    return f"{pause(median)} / {pause(slow)}"
