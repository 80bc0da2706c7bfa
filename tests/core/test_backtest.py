"""What a rule would have done: events, messages, late runs, and where the log could not tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from monitoring.core.backtest import Backtest, backtest, check_times, in_words
from monitoring.core.statuses import Status
from monitoring.core.values import Execution, VerdictKind, WhileRunning
from tests.core.building import NOW, ago, execution, stored_rule

LONG = ago(days=90)
START = ago(days=2)
LATE_RUN = {"while_running": WhileRunning.WAIT}


def ran(hours: float, status: Status = Status.COMPLETED, minutes: float = 5) -> Execution:
    """Return an execution that began so long ago and took so many minutes."""
    start = ago(hours=hours)
    return execution(status, start, finished_at=start + timedelta(minutes=minutes))


def hourly(*but: Execution, without: set[int] = frozenset()) -> list[Execution]:  # type: ignore[assignment]
    """Return runs at every full hour of three days; `but` stand in for those they are near to."""
    replaced = {round((NOW - one.started_at) / timedelta(hours=1)) for one in but}
    runs = [ran(hour) for hour in range(72) if hour not in replaced | set(without)]
    return sorted([*runs, *but], key=lambda one: one.started_at)


def replay(executions: list[Execution], log_since: Any = LONG, **fields: Any) -> Backtest:
    values = {"lookback_hours": 1.25, **LATE_RUN} | fields
    times = list(check_times(START, NOW, timedelta(minutes=5)))
    return backtest(stored_rule(**values), executions, times, log_since)


class TestEvents:
    def test_there_are_none_while_all_is_well(self) -> None:
        found = replay(hourly())

        assert found.incidents == []
        assert found.changes == [(START, VerdictKind.OK)]
        assert in_words(found) == "would have opened no events in 2 days; no messages"

    def test_a_failure_is_one_until_the_next_run(self) -> None:
        found = replay(hourly(ran(10, Status.STOPPED)))

        (one,) = found.incidents
        assert (one.verdict, one.current_status) == (VerdictKind.STATUS_MISMATCH, "Stopped")
        assert one.opened_at == ago(hours=10) + timedelta(minutes=5)
        assert one.resolved_at == ago(hours=9) + timedelta(minutes=5)
        assert (one.messages, one.was_a_late_run) == (2, False)
        assert in_words(found) == "would have opened 1 event in 2 days: 1 failure; 2 messages"

    def test_one_that_lasts_is_open_at_the_end(self) -> None:
        found = replay(hourly(without={0, 1, 2}))

        (one,) = found.incidents
        assert one.verdict is VerdictKind.NO_EXECUTION
        assert one.resolved_at is None
        assert found.changes[-1] == (one.opened_at, VerdictKind.NO_EXECUTION)

    def test_a_run_that_comes_late_is_told_from_a_failure(self) -> None:
        found = replay(hourly(ran(9.6)))

        (one,) = found.incidents
        assert (one.verdict, one.was_a_late_run) == (VerdictKind.NO_EXECUTION, True)
        assert in_words(found) == "would have opened 1 event in 2 days: 1 late run; 2 messages"

    def test_a_missing_run_that_is_never_made_up_for_is_resolved_by_the_next(self) -> None:
        found = replay(hourly(without={10}))

        assert [one.was_a_late_run for one in found.incidents] == [True]

    def test_one_after_a_failure_is_no_late_run(self) -> None:
        found = replay(hourly(ran(10, Status.STOPPED), ran(9, Status.STOPPED)))

        assert [one.was_a_late_run for one in found.incidents] == [False]

    def test_a_threshold_leaves_short_ones_out(self) -> None:
        late = hourly(ran(9.5))

        assert len(replay(late).incidents) == 1
        assert replay(late, alert_after=4).incidents == []

    def test_reminders_are_messages_too(self) -> None:
        found = replay(hourly(without=set(range(4, 8))), remind_hours=1, notify_on_recovery=False)

        (one,) = found.incidents
        assert one.messages == 1 + 3

    def test_a_snooze_of_today_does_not_silence_the_past(self) -> None:
        found = replay(hourly(ran(10, Status.STOPPED)), snoozed_until=NOW + timedelta(days=1))

        assert found.messages == 2


class TestAnExecutionInProgress:
    def test_is_seen_as_running_until_its_finish(self) -> None:
        found = replay(hourly(), while_running=WhileRunning.JUDGE)

        assert len(found.incidents) == 49
        assert {one.current_status for one in found.incidents} == {"Running"}
        assert all(one.was_a_late_run for one in found.incidents[:-1])

    def test_is_passed_over_by_a_rule_that_waits(self) -> None:
        assert replay(hourly(), while_running=WhileRunning.WAIT).incidents == []

    def test_overruns_its_limit(self) -> None:
        found = replay(hourly(ran(10, minutes=50)), max_runtime_minutes=30)

        (one,) = found.incidents
        assert one.verdict is VerdictKind.OVERRUNNING
        assert one.opened_at == ago(hours=10) + timedelta(minutes=35)

    def test_overruns_although_it_began_before_the_window(self) -> None:
        hangs = execution(Status.RUNNING, ago(hours=10))
        found = replay(hourly(hangs, without=set(range(10))), max_runtime_minutes=30)

        assert [one.verdict for one in found.incidents] == [VerdictKind.OVERRUNNING]

    def test_that_never_ends_hides_no_finished_one(self) -> None:
        hangs = execution(Status.RUNNING, ago(hours=10.5))
        runs = sorted([*hourly(), hangs], key=lambda one: one.started_at)

        assert replay(runs, while_running=WhileRunning.WAIT).incidents == []


class TestTheLog:
    def test_that_is_too_young_opens_nothing(self) -> None:
        since = ago(hours=6)
        found = replay([one for one in hourly() if one.started_at >= since], since)

        assert found.incidents == []
        assert found.unknown_checks > 0
        assert found.covered == timedelta(hours=6)
        assert in_words(found) == (
            "would have opened no events in 2 days; no messages; the log covers 6 h of these"
        )

    @pytest.mark.parametrize("since", [None, NOW])
    def test_that_holds_nothing_says_so_and_never_no_event(self, since: Any) -> None:
        found = replay([], since)

        assert found.covered == timedelta(0)
        assert in_words(found) == "cannot be told: the log holds nothing of the last 2 days"

    def test_that_is_younger_than_the_window_tells_no_event_either(self) -> None:
        found = replay([], ago(minutes=7))

        assert found.unknown_checks == found.checks
        assert in_words(found) == (
            "cannot be told: the log covers 7 min of the last 2 days, less than the rule looks back"
        )

    def test_that_is_young_still_tells_of_what_it_holds(self) -> None:
        assert in_words(replay([ran(0.2)], ago(minutes=20))) == (
            "would have opened no events in 2 days; no messages; the log covers 20 min of these"
        )

    def test_that_holds_no_run_of_the_task_tells_that_it_did_not_run(self) -> None:
        found = replay([], LONG)

        assert [one.verdict for one in found.incidents] == [VerdictKind.NO_EXECUTION]


def test_checks_need_some_time_between_them() -> None:
    with pytest.raises(ValueError, match="some time between them"):
        list(check_times(START, NOW, timedelta(0)))
