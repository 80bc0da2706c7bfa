"""The past that the demo makes up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from config.demo.past import executions

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("hour", [0, 2, 3, 4, 23])
@pytest.mark.parametrize("minute", [0, 5, 6, 7, 59])
def test_ends_shortly_before_the_demo_begins(hour: int, minute: int) -> None:
    now = datetime(2026, 3, 1, hour, minute, tzinfo=UTC)
    found = executions(now)

    latest = {one.task_name: one.finished_at for one in found}
    assert max(latest.values()) <= now
    assert now - latest["collect_weather"] < HOUR + timedelta(minutes=7)
    assert now - latest["send_invoices"] < 28 * HOUR


def test_comes_in_order_and_holds_failures_a_late_run_and_an_outage() -> None:
    found = executions(datetime(2026, 3, 1, 12, tzinfo=UTC))

    starts = [one.started_at for one in found]
    assert starts == sorted(starts)
    hourly = [one for one in found if one.task_name == "collect_weather"]
    gaps = {later.started_at - earlier.started_at for earlier, later in pairwise(hourly)}
    assert max(gaps) == 6 * HOUR
    assert HOUR < sorted(gaps)[-2] < 2 * HOUR
    assert {one.status for one in hourly} == {"Completed", "Stopped"}
