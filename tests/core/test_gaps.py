"""When checks were missing, and when there were too many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitoring.core.gaps import gap_text, is_backlog, not_checked_from
from tests.core.building import NOW, ago

EVERY_MINUTE = [ago(minutes=minutes) for minutes in range(1, 20)]
NIGHTLY = [ago(hours=24 * day) for day in range(1, 10)]


class TestAGap:
    def test_is_admitted_from_the_last_check_on(self) -> None:
        assert not_checked_from([ago(minutes=55)], NOW, timedelta(minutes=1)) == ago(minutes=55)

    @pytest.mark.parametrize("minutes", [1, 2, 6])
    def test_of_a_few_minutes_is_none(self, minutes: int) -> None:
        assert not_checked_from([ago(minutes=minutes)], NOW, timedelta(minutes=1)) is None

    def test_is_measured_by_what_the_schedule_lets_pass(self) -> None:
        assert not_checked_from([ago(hours=62)], NOW, timedelta(hours=62)) is None
        assert not_checked_from([ago(hours=62)], NOW, timedelta(hours=24)) == ago(hours=62)

    def test_is_told_by_the_rhythm_where_there_is_no_schedule(self) -> None:
        late = [at - timedelta(minutes=30) for at in EVERY_MINUTE]

        assert not_checked_from(late, NOW, None) == late[0]
        assert not_checked_from(EVERY_MINUTE, NOW, None) is None
        assert not_checked_from(NIGHTLY, NOW, None) is None

    def test_cannot_be_told_from_a_few_checks(self) -> None:
        assert not_checked_from(NIGHTLY[-3:], NOW, None) is None

    def test_is_none_before_the_first_check(self) -> None:
        assert not_checked_from([], NOW, timedelta(minutes=1)) is None

    def test_is_none_when_the_clock_was_moved_back(self) -> None:
        assert not_checked_from([NOW + timedelta(hours=1)], NOW, timedelta(minutes=1)) is None


class TestItsWords:
    def test_are_times_of_one_day(self) -> None:
        since = datetime(2026, 3, 10, 2, 10, tzinfo=UTC)

        text = gap_text(since, since + timedelta(minutes=55))

        assert text == "not checked between 02:10 and 03:05 UTC"

    def test_name_the_days_if_there_are_two(self) -> None:
        since = datetime(2026, 3, 10, 22, 10, tzinfo=UTC)

        text = gap_text(since, since + timedelta(hours=3))

        assert text == "not checked between 2026-03-10 22:10 and 2026-03-11 01:10 UTC"


class TestABacklog:
    def test_is_a_check_right_after_the_last(self) -> None:
        assert is_backlog(ago(seconds=1), NOW, timedelta(hours=1))
        assert is_backlog(ago(seconds=1), NOW, None)

    def test_is_a_check_that_had_to_wait_while_another_was_done(self) -> None:
        assert is_backlog(NOW + timedelta(seconds=1), NOW, timedelta(hours=1))

    def test_is_over_after_half_a_minute(self) -> None:
        assert not is_backlog(ago(seconds=30), NOW, timedelta(hours=1))

    def test_leaves_a_schedule_of_seconds_alone(self) -> None:
        assert not is_backlog(ago(seconds=1), NOW, timedelta(seconds=2))

    def test_is_none_before_the_first_check_or_when_the_clock_was_moved_back(self) -> None:
        assert not is_backlog(None, NOW, None)
        assert not is_backlog(NOW + timedelta(hours=1), NOW, None)
