"""Which running executions have lost their worker."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from monitoring.core.workers import (
    Heartbeat,
    Limits,
    Running,
    is_lost,
    is_silent,
    limits,
    seen_every,
)
from tests.core.building import NOW, ago

TEN_MINUTES = timedelta(minutes=10)
DAY = timedelta(hours=24)
BOTH = Limits(TEN_MINUTES, DAY)
NO_RULE = timedelta(0)


def running(started_at: datetime) -> Running:
    return Running(1, "sync", "a@host", started_at, 3)


def heartbeat(seen_at: datetime, **times: datetime) -> Heartbeat:
    return Heartbeat(**({"booted_at": ago(days=9), "stopped_at": None, "seen_at": seen_at} | times))


def test_a_limit_of_nothing_is_none() -> None:
    assert limits(0, 0) == (None, None)
    assert limits(0, 0).shortest is None
    assert limits(10, 24) == BOTH
    assert BOTH.shortest == TEN_MINUTES
    assert limits(0, 24).shortest == DAY


def test_absurd_limits_are_ten_years() -> None:
    assert limits(1e300, 1e300) == (timedelta(hours=87_600),) * 2


@pytest.mark.parametrize(
    ("silent", "every"),
    [
        (None, timedelta(minutes=1)),
        (TEN_MINUTES, timedelta(minutes=1)),
        (timedelta(seconds=6), timedelta(seconds=2)),
    ],
    ids=["never missed", "ten minutes", "six seconds"],
)
def test_a_worker_speaks_once_a_minute_or_often_enough_not_to_be_missed(
    silent: timedelta | None, every: timedelta
) -> None:
    assert seen_every(silent) == every


class TestAWorker:
    def test_that_was_just_seen_is_not_silent(self) -> None:
        assert not is_silent(heartbeat(ago(minutes=10)), NOW, TEN_MINUTES)

    def test_that_was_not_seen_for_too_long_is(self) -> None:
        assert is_silent(heartbeat(ago(minutes=10, seconds=1)), NOW, TEN_MINUTES)

    def test_that_shut_down_is_not(self) -> None:
        stopped = heartbeat(ago(days=1), stopped_at=ago(days=1))

        assert not is_silent(stopped, NOW, TEN_MINUTES)

    def test_is_never_missed_if_nobody_wants_to_know(self) -> None:
        assert not is_silent(heartbeat(ago(days=1)), NOW, None)


class TestAnExecutionThatRuns:
    def test_on_a_silent_worker_is_lost(self) -> None:
        assert is_lost(running(ago(hours=1)), heartbeat(ago(minutes=11)), NO_RULE, NOW, BOTH)

    def test_on_a_worker_that_lives_is_not(self) -> None:
        assert not is_lost(running(ago(hours=1)), heartbeat(ago(minutes=1)), NO_RULE, NOW, BOTH)

    def test_on_a_worker_that_waits_for_it_before_it_stops_is_not(self) -> None:
        stopping = heartbeat(ago(hours=2), stopped_at=ago(hours=2))

        assert not is_lost(running(ago(hours=3)), stopping, NO_RULE, NOW, BOTH)

    def test_on_a_worker_that_never_had_heartbeats_is_not(self) -> None:
        assert not is_lost(running(ago(hours=23)), None, NO_RULE, NOW, BOTH)

    def test_since_before_its_worker_was_booted_is_lost(self) -> None:
        booted = heartbeat(NOW, booted_at=ago(minutes=20))

        assert is_lost(running(ago(minutes=21)), booted, NO_RULE, NOW, BOTH)
        assert not is_lost(running(ago(minutes=19)), booted, NO_RULE, NOW, BOTH)

    def test_and_was_begun_long_after_the_last_heartbeat_shows_that_the_worker_lives(self) -> None:
        """It was restarted without heartbeats, and could not say so."""
        seen = heartbeat(ago(days=1))

        assert not is_lost(running(ago(hours=1)), seen, NO_RULE, NOW, BOTH)

    @pytest.mark.parametrize("seen", [None, heartbeat(NOW)], ids=["without", "with heartbeats"])
    def test_for_too_many_hours_is_lost(self, seen: Heartbeat | None) -> None:
        assert is_lost(running(ago(hours=24, seconds=1)), seen, NO_RULE, NOW, BOTH)
        assert not is_lost(running(ago(hours=24)), seen, NO_RULE, NOW, BOTH)

    def test_is_not_lost_while_a_rule_allows_it_to_run(self) -> None:
        allowed = timedelta(hours=48)

        assert not is_lost(running(ago(hours=47)), None, allowed, NOW, BOTH)
        assert is_lost(running(ago(hours=49)), None, allowed, NOW, BOTH)

    def test_is_never_lost_if_both_limits_are_off(self) -> None:
        off = Limits(None, None)

        assert not is_lost(running(ago(days=99)), heartbeat(ago(days=98)), NO_RULE, NOW, off)
