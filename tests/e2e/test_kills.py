"""A few rounds of the kill benchmark: what is killed comes back, and nobody is lied to."""

from __future__ import annotations

import pytest
from benchmarks.kills import VICTIMS, kill_again_and_again

pytestmark = pytest.mark.slow  # it kills and waits for a minute or two


@pytest.mark.timeout(900)
def test_each_process_may_be_killed_under_load() -> None:
    """Streams end truthfully, service is back, nothing stays behind, no counter leaks."""
    record = kill_again_and_again(6, seed=1, clients=6)
    assert not record.wrong, record.table()
    assert set(record.back) == set(VICTIMS)
    assert record.endings["whole"] > 10
