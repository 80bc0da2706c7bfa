"""Which tasks seem to run after which."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitoring.core.order import followers
from monitoring.core.rhythm import Run
from tests.factories import NOW

MINUTE = timedelta(minutes=1)
TICKS = [NOW - number * timedelta(hours=1) for number in range(12)]


def at(moments: list[datetime], after: timedelta = timedelta(0)) -> list[Run]:
    """Return runs of two minutes."""
    starts = [moment + after for moment in moments]
    return [Run(start, finished_at=start + 2 * MINUTE) for start in starts]


def test_a_task_that_always_starts_right_after_another_follows_it() -> None:
    found = followers({"load": at(TICKS), "report": at(TICKS, 2.5 * MINUTE)})

    assert found == {"load": ("report",)}


def test_one_that_runs_all_the_time_follows_nobody() -> None:
    each_minute = [NOW - number * MINUTE for number in range(12 * 60)]

    assert followers({"load": at(TICKS), "ping": at(each_minute)}) == {}


def test_one_that_starts_at_the_same_time_or_much_later_does_not_follow() -> None:
    assert followers({"load": at(TICKS), "same": at(TICKS), "later": at(TICKS, 5 * MINUTE)}) == {}


def test_a_few_times_are_chance() -> None:
    assert followers({"load": at(TICKS[:4]), "report": at(TICKS[:4], 2.5 * MINUTE)}) == {}


def test_one_that_follows_only_now_and_then_does_not() -> None:
    assert followers({"load": at(TICKS), "report": at(TICKS[::2], 2.5 * MINUTE)}) == {}


def test_a_longer_history_of_the_other_does_not_hide_it() -> None:
    found = followers({"load": at(TICKS[:6]), "report": at(TICKS, 2.5 * MINUTE)})

    assert found == {"load": ("report",)}
