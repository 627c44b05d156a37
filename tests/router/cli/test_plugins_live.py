"""The numbers of a running router's plugins."""

from __future__ import annotations

from hoonify_router.cli.plugins_live import LiveNumbers


def told(**more: object) -> dict[str, object]:
    plain = {"phase": "observe", "calls": 2, "seconds": 0.5, "failures": 1, "stalls": 0, "off": ""}
    return {**plain, **more}


def test_gateways_add_up() -> None:
    """Calls, time and faults of all of them; off in one is worth telling."""
    live = LiveNumbers("spy")
    live.add(told())
    live.add(told(off="it failed 2 times in a row"))
    live.add(told(phase="settle"))
    assert live.cells[:3] == ("spy", "observe", "4")
    assert live.failures == 2
    assert live.state == "off: it failed 2 times in a row"
    assert "4 calls, 375000 µs each" in live.story
