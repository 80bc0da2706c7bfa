"""Two months of made-up executions of two tasks, so that there is a past to try rules on.

What a rule would have done, the windows that Discover proposes and the timeline all need one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from operator import attrgetter
from random import Random
from typing import Any

from django.apps import apps

DAYS = 60
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_OUTAGE = range(12 * 24, 12 * 24 + 5)
"""Hours ago during which nothing ran."""
_LATE = {5 * 24 + 3: 25, 31 * 24 + 7: 40}
"""Minutes late by hours ago."""
_REFUSED = {2 * 24 + 9, 20 * 24, 20 * 24 + 1, 44 * 24 + 5}
"""Hours ago at which the task raised."""
_WITHOUT_PRICES, _SLOW = 9, 23
"""Days ago."""


def executions(now: datetime) -> list[Any]:
    """Return unsaved executions that ended before `now`, as the schedules would have run them."""
    both = [*_hourly(now), *_nightly(now)]
    return sorted(both, key=attrgetter("started_at"))  # lists show them in this order


def _hourly(now: datetime) -> Iterator[Any]:
    chance = Random(1)  # noqa: S311
    slot = now.replace(minute=5, second=0, microsecond=0)
    if slot + timedelta(minutes=2) > now:
        slot -= _HOUR
    for ago in range(DAYS * 24):
        took = timedelta(seconds=chance.uniform(35, 70))
        start = slot - ago * _HOUR + timedelta(minutes=_LATE.get(ago, 0))
        if ago in _OUTAGE:
            continue
        error = "ConnectionError: the weather service does not answer" if ago in _REFUSED else ""
        yield _execution("collect_weather", "Collect the weather", start, took, error)


def _nightly(now: datetime) -> Iterator[Any]:
    chance = Random(2)  # noqa: S311
    slot = now.replace(hour=2, minute=0, second=0, microsecond=0)
    if slot + 2 * _HOUR > now:
        slot -= _DAY
    for ago in range(DAYS):
        took = timedelta(minutes=95 if ago == _SLOW else chance.uniform(14, 22))
        error = "ValueError: no price for 3 articles" if ago == _WITHOUT_PRICES else ""
        yield _execution("send_invoices", "Send the invoices", slot - ago * _DAY, took, error)


def _execution(task: str, schedule: str, start: datetime, took: timedelta, error: str) -> Any:
    waited, end = timedelta(milliseconds=400), start + took
    return apps.get_model("monitoring", "BackgroundTask")(
        task_id=str(uuid.uuid4()),
        task_name=task,
        status="Stopped" if error else "Completed",
        submitted_at=start - waited,
        started_at=start,
        first_started_at=start,
        finished_at=end,
        last_update=end,
        errors=error,
        queue="celery",
        worker="celery@demo",
        periodic_task_name=schedule,
    )
