"""What a rule would have done: events, messages, late runs, and where the log could not tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.backtest import Backtest, backtest, check_times, in_words
from monitoring.core.hindsight import Hindsight
from monitoring.core.replay import Replay
from monitoring.core.statuses import Status
from monitoring.core.values import Execution, VerdictKind, WhileRunning
from monitoring.core.verdicts import judge
from tests.core.building import NOW, ago, execution, stored_rule
from tests.core.strategies import evidence_of

MISMATCH = VerdictKind.STATUS_MISMATCH
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
        assert in_words(found) == "would have opened 1 event in 2 days: 1 still open; 1 message"
        assert found.changes[-1] == (one.opened_at, VerdictKind.NO_EXECUTION)

    def test_one_that_lasts_is_counted_beside_failures_and_late_runs(self) -> None:
        found = replay(hourly(ran(20, Status.STOPPED), without={0, 1, 2, 30, 40}))

        assert (found.failures, found.late_runs, found.still_open) == (1, 2, 1)
        assert "4 events in 2 days: 1 failure, 2 late runs, 1 still open;" in in_words(found)

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


class TestARunBetweenChecks:
    """A task that runs every minute and is checked every five, with a pause of twelve minutes."""

    def runs(self, failed: Any = None) -> list[Execution]:
        minutes = [minute for minute in range(600, -1, -1) if not 300 < minute < 312]
        return [
            ran(minute / 60, Status.STOPPED if minute == failed else Status.COMPLETED, minutes=0.5)
            for minute in minutes
        ]

    def replayed(self, failed: Any = None) -> list[Any]:
        found = replay(self.runs(failed), lookback_hours=0.1, log_since=ago(minutes=600))
        return list(found.incidents)

    def test_is_one_of_those_that_came_late(self) -> None:
        (one,) = self.replayed()

        assert (one.opened_at, one.resolved_at) == (ago(minutes=305), ago(minutes=295))
        assert one.was_a_late_run
        assert one.resolved_by is not None
        assert one.resolved_by.started_at == ago(minutes=296)

    def test_may_have_failed_and_then_it_was_none_that_came_late(self) -> None:
        assert [one.was_a_late_run for one in self.replayed(failed=298)] == [False]


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


histories = st.lists(
    st.tuples(
        st.integers(-200, 300),  # start, in minutes after the first check
        st.integers(0, 90) | st.none(),  # how long it took; None: it never ended
        st.sampled_from([Status.COMPLETED, Status.COMPLETED, Status.STOPPED]),
    ),
    max_size=12,
    unique_by=lambda run: run[0],
)


dense = st.lists(
    st.tuples(
        st.integers(-60, 120),
        st.integers(0, 12),
        st.sampled_from([Status.COMPLETED] * 9 + [Status.STOPPED]),
    ),
    min_size=20,
    max_size=80,
    unique_by=lambda run: run[0],
)
"""Of a task that runs more often than it is checked, sometimes with several at once."""


def executed(history: list[Any]) -> list[Execution]:
    """Return executions by start."""
    return sorted(
        (
            execution(
                status if took is not None else Status.RUNNING,
                START + timedelta(minutes=start),
                pk=number,
                finished_at=None if took is None else START + timedelta(minutes=start + took),
            )
            for number, (start, took, status) in enumerate(history)
        ),
        key=lambda one: one.started_at,
    )


@given(
    history=histories | dense,
    hours=st.sampled_from([0.05, 0.25, 0.5, 1, 2]),
    waits=st.sampled_from(WhileRunning),
    limit=st.sampled_from([None, 20]),
    alert_after=st.integers(1, 3),
    remind_hours=st.sampled_from([None, 0, 0.05, 0.5, 1e9]),
    max_duration_factor=st.sampled_from([None, 1, 2]),
    min_success_rate=st.sampled_from([None, 50, 90]),
    recorded_from=st.sampled_from([-300_000, 0, 60, None]),  # in minutes after the first check
)
def test_checks_that_are_passed_over_would_have_changed_nothing(
    history: list[Any], recorded_from: int | None, hours: float, waits: WhileRunning, **limits: Any
) -> None:
    past = executed(history)
    watched = stored_rule(
        lookback_hours=hours,
        while_running=waits,
        max_runtime_minutes=limits.pop("limit"),
        **limits,
    )
    checks = [START + number * timedelta(minutes=5) for number in range(60)]
    since = None if recorded_from is None else START + timedelta(minutes=recorded_from)

    few = patch.multiple("monitoring.core.measures", FEWEST_SAMPLES=2, FEWEST_FINISHED=2)
    with few:
        found = backtest(watched, past, checks, since)

    with (
        few,
        patch.object(Replay, "_same_until", return_value=None),
        patch.object(Replay, "_fine_until", return_value=None),
        patch.object(Replay, "_goes_on", return_value=False),
        patch.object(Replay, "pass_plainly_fine", lambda _replay, _checks, number: number),
        patch.object(Hindsight, "is_plainly_fine", return_value=False),
    ):
        assert backtest(watched, past, checks, since) == found


@given(
    history=histories,
    hours=st.sampled_from([0.25, 0.5, 1, 2]),
    waits=st.sampled_from(WhileRunning),
    limit=st.sampled_from([None, 20]),
)
def test_each_check_finds_what_it_would_have_found_in_the_log_of_that_time(
    history: list[Any], hours: float, waits: WhileRunning, limit: float | None
) -> None:
    past = executed(history)
    watched = stored_rule(lookback_hours=hours, while_running=waits, max_runtime_minutes=limit)
    checks = [START + number * timedelta(minutes=5) for number in range(60)]
    log_since = ago(days=5000)

    found = backtest(watched, past, checks, log_since)

    for now in checks:
        log = [
            one._replace(status=Status.RUNNING, finished_at=None)
            if one.finished_at is not None and one.finished_at > now
            else one
            for one in past
            if one.started_at <= now
        ]
        live = judge(replace(watched, watched_since=log_since), evidence_of(log), now)
        replayed = [kind for at, kind in found.changes if at <= now][-1]
        assert live.kind is replayed, now


class TestWhatIsMeasured:
    def test_a_slow_run_is_an_event_until_the_next(self) -> None:
        found = replay(hourly(ran(10, minutes=50)), max_duration_factor=2)

        (one,) = found.incidents
        assert (one.verdict, one.current_status) == (VerdictKind.SLOW, "Running")
        # Over the ten minutes it may take, at the next check.
        assert one.opened_at == ago(hours=10) + timedelta(minutes=15)
        assert one.resolved_at == ago(hours=9) + timedelta(minutes=5)
        assert in_words(found) == "would have opened 1 event in 2 days: 1 failure; 2 messages"

    def test_too_many_failures_are_one_until_they_leave_the_window(self) -> None:
        failed = (ran(30, Status.STOPPED), ran(27, Status.STOPPED))
        by_status = replay(hourly(*failed), lookback_hours=10)
        found = replay(hourly(*failed), lookback_hours=10, min_success_rate=85)

        assert [one.resolved_at for one in by_status.incidents] == [
            ago(hours=29) + timedelta(minutes=5),
            ago(hours=26) + timedelta(minutes=5),
        ]
        assert [one.resolved_at for one in found.incidents] == [
            ago(hours=29) + timedelta(minutes=5),  # 9 of 10
            ago(hours=20) + timedelta(minutes=5),
        ]
        kinds = [kind for _, kind in found.changes]
        assert kinds[-3:] == [MISMATCH, VerdictKind.LOW_SUCCESS_RATE, VerdictKind.OK]

    def test_nothing_is_while_too_few_runs_are_known(self) -> None:
        few = [one for one in hourly(ran(40, minutes=50)) if one.started_at > ago(hours=50)]

        assert replay(few, max_duration_factor=2).incidents == []

    def test_a_limit_that_no_run_could_be_held_against_is_told_of(self) -> None:
        failed = ran(30, Status.STOPPED)

        def said(runs: int, **limit: Any) -> str:
            some = [failed, *(ran(age) for age in range(runs, 0, -1))]
            return in_words(replay(some, lookback_hours=60, **limit))

        note = "; the limit on duration was not judged: 19 of 20 completed runs"
        assert said(20, max_duration_factor=2).endswith(note)
        assert "was not judged" not in said(21, max_duration_factor=2)
        assert "was not judged" not in said(20)

    def test_a_success_rate_that_no_window_held_enough_runs_for_is_told_of(self) -> None:
        def said(hours: float, **rate: Any) -> str:
            return in_words(replay(hourly(), lookback_hours=hours, **rate))

        note = "; the success rate was not judged: no window held more than 4 of 5 finished runs"
        assert said(3.5, min_success_rate=90).endswith(note)
        assert "was not judged" not in said(4, min_success_rate=90)
        assert "was not judged" not in said(3.5)

    def test_runs_from_before_the_first_window_say_what_is_usual(self) -> None:
        few = [one for one in hourly(ran(40, minutes=50)) if one.started_at > ago(hours=50)]
        earlier = [ran(200 + age) for age in range(20, 0, -1)]

        (one,) = replay([*earlier, *few], max_duration_factor=2).incidents
        assert one.verdict is VerdictKind.SLOW


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

    def test_that_lacks_a_moment_covers_all(self) -> None:
        found = replay(hourly(), START + timedelta(seconds=30))

        assert in_words(found) == "would have opened no events in 2 days; no messages"

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
