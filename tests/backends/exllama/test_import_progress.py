"""Signs of life while an engine is imported."""

from __future__ import annotations

import asyncio

from hoonify_backends.exllama.import_progress import IMPORTING, ImportProgress


async def test_seconds_are_counted_only_while_it_is_imported() -> None:
    """A load that stalls later is still seen to stall."""
    told: list[tuple[str, int, int]] = []
    counted = asyncio.Event()

    def hear(*stage: object) -> None:
        told.append(stage)  # type: ignore[arg-type]
        if stage[0] == IMPORTING and len(told) > 3:
            counted.set()

    progress = ImportProgress(hear, interval=1.0 / 64)
    counting = asyncio.create_task(progress.count())
    progress("reading the model's folder", 0, 0)
    progress(IMPORTING, 0, 0)
    await counted.wait()
    progress("loading weights", 1, 9)
    after = len(told)
    for _ in range(4):
        await asyncio.sleep(1.0 / 64)
    counting.cancel()
    assert told[0] == ("reading the model's folder", 0, 0)
    assert {stage for stage, _, _ in told[1 : after - 1]} == {IMPORTING}
    assert len(told) == after
    seconds = [done for stage, done, _ in told if stage == IMPORTING]
    assert seconds == sorted(seconds)
