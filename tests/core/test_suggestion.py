"""The suggested window and threshold, held against the replay that they promise something about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from monitoring.core.backtest import backtest, check_times
from monitoring.core.statuses import Status
from monitoring.core.suggestion import (
    Reason,
    Refusal,
    Suggestion,
    false_alarms,
    suggest,
)
from monitoring.core.tolerance import window_step
from monitoring.core.values import Execution, WhileRunning
from tests.core.building import NOW, ago, execution, stored_rule

LONG = ago(days=90)
EVERY = timedelta(minutes=5)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def runs(
    starts: Iterable[datetime], minutes: float = 2, failed: Iterable[datetime] = ()
) -> list[Execution]:
    wrong = set(failed)
    return [
        execution(
            Status.STOPPED if start in wrong else Status.COMPLETED,
            start,
            pk=number,
            finished_at=start + timedelta(minutes=minutes),
        )
        for number, start in enumerate(starts)
    ]


def every(length: timedelta, days: float = 60, late: Any = None) -> list[datetime]:
    """Return starts so far apart; late: by the number of a run, how much later it came."""
    count = int(timedelta(days=days) / length)
    first = NOW - count * length
    return [first + n * length + (late or {}).get(n, timedelta(0)) for n in range(count)]


def checks(days: float = 60) -> list[datetime]:
    return list(check_times(ago(days=days), NOW, EVERY))


def asked(
    executions: list[Execution], log_since: Any = LONG, days: float = 60, **fields: Any
) -> Suggestion | Refusal:
    delay = fields.pop("delay", None)
    values = {"while_running": WhileRunning.WAIT} | fields
    return suggest(stored_rule(**values), executions, checks(days), log_since, delay)


def suggested(executions: list[Execution], **fields: Any) -> Suggestion:
    found = asked(executions, **fields)
    assert isinstance(found, Suggestion), found
    return found


def refused(executions: list[Execution], **fields: Any) -> Refusal:
    found = asked(executions, **fields)
    assert isinstance(found, Refusal), found
    return found


class TestTheWindow:
    @pytest.mark.parametrize(
        ("length", "hours"),
        [
            (timedelta(minutes=1), 0.05),
            (timedelta(minutes=30), 0.5),
            (HOUR, 1),
            (2 * HOUR, 2),
            (DAY, 24),
            (7 * DAY, 168),
        ],
    )
    def test_is_the_interval_where_every_run_was_in_time(
        self, length: timedelta, hours: float
    ) -> None:
        found = suggested(runs(every(length)))

        assert (found.lookback_hours, found.alert_after) == (hours, 1)
        assert (found.usual, found.beyond) == (length, 0)

    def test_holds_the_latest_of_those_that_came_within_the_delay(self) -> None:
        late = {100: timedelta(minutes=22), 200: timedelta(minutes=40)}
        found = suggested(runs(every(HOUR, late=late)))

        assert (found.delay, found.beyond) == (timedelta(minutes=30), 1)
        assert (found.lookback_hours, found.latest) == (1.5, timedelta(minutes=22))
        assert found.told_after == timedelta(minutes=35)
        assert len(found.backtest.incidents) == 1

    def test_grows_with_the_delay_that_is_chosen(self) -> None:
        late = {100: timedelta(minutes=22), 200: timedelta(minutes=40)}
        found = suggested(runs(every(HOUR, late=late)), delay=timedelta(minutes=45))

        assert (found.lookback_hours, found.beyond) == (1.75, 0)
        assert found.backtest.incidents == []

    def test_learns_nothing_from_an_outage(self) -> None:
        starts = [at for at in every(HOUR) if not ago(days=9) < at < ago(days=7)]

        found = suggested(runs(starts))

        assert (found.lookback_hours, found.beyond) == (1, 1)

    def test_learns_nothing_from_what_stands_beside_a_failure(self) -> None:
        starts = every(HOUR, late={100: timedelta(minutes=20), 200: timedelta(minutes=20)})
        failed = [starts[100], starts[199]]

        assert suggested(runs(starts, failed=failed)).lookback_hours == 1

    def test_reaches_over_nights_and_weekends_that_come_again(self) -> None:
        starts = [at for at in every(HOUR) if at.weekday() < 5 and 8 <= at.hour <= 18]

        found = suggested(runs(starts))

        assert found.usual == timedelta(hours=62)  # Friday at six to Monday at eight
        assert found.lookback_hours == 62
        assert found.backtest.incidents == []

    def test_reaches_over_weekends_although_the_clocks_changed(self) -> None:
        changed = ago(days=30)
        starts = [
            at - (HOUR if at > changed else timedelta(0)) for at in every(DAY) if at.weekday() < 5
        ]

        found = suggested(runs(starts))

        assert found.usual == 3 * DAY
        assert found.backtest.incidents == []

    def test_is_the_later_rhythm_if_the_schedule_became_rarer(self) -> None:
        starts = [at for at in every(HOUR) if at < ago(days=30) or at.hour % 3 == 0]

        assert suggested(runs(starts)).lookback_hours == 3

    def test_of_a_rule_with_a_longest_runtime_counts_what_still_runs(self) -> None:
        found = suggested(runs(every(HOUR), minutes=20), max_runtime_minutes=30)

        assert (found.lookback_hours, found.alert_after) == (1, 1)


class TestTheThreshold:
    def test_lets_runs_end_that_are_judged_meanwhile(self) -> None:
        found = suggested(runs(every(HOUR), minutes=12), while_running=WhileRunning.JUDGE)

        assert found.alert_after == 4
        assert found.backtest.incidents == []

    def test_lets_runs_end_that_overrun_for_a_little(self) -> None:
        found = suggested(runs(every(2 * HOUR), minutes=42), max_runtime_minutes=30)

        assert found.alert_after == 4
        assert found.backtest.incidents == []

    def test_does_not_wait_for_longer_than_the_delay(self) -> None:
        starts = every(2 * HOUR)
        slow = [
            one._replace(finished_at=starts[9] + HOUR) if one.started_at == starts[9] else one
            for one in runs(starts, minutes=42)
        ]
        found = suggested(slow, max_runtime_minutes=30, delay=timedelta(minutes=20))

        assert (found.lookback_hours, found.alert_after) == (2, 4)
        assert [one.opened_at for one in found.backtest.incidents] == [
            starts[9] + timedelta(minutes=50)
        ]


class TestARefusal:
    def test_of_a_young_log_says_how_much_it_takes(self) -> None:
        found = refused(runs(every(HOUR, days=5)), log_since=ago(days=5))

        assert found == Refusal(
            reason=Reason.TOO_YOUNG, text="the log covers 5 days; it takes 14 days to tell"
        )

    def test_of_a_log_that_holds_nothing(self) -> None:
        assert refused([], log_since=None).reason is Reason.TOO_YOUNG

    @pytest.mark.parametrize("count", [0, 1, 6])
    def test_of_a_few_runs_says_how_many_it_takes(self, count: int) -> None:
        found = refused(runs(every(7 * DAY)[:count]))

        assert found == Refusal(
            reason=Reason.TOO_FEW, text=f"runs in the history: {count}; it takes 7 to tell"
        )

    def test_of_a_task_that_runs_when_somebody_asks(self) -> None:
        chance = Random(1)
        starts = [ago(days=60)]
        while starts[-1] < NOW:
            starts.append(starts[-1] + chance.expovariate(1 / 3) * HOUR)
        found = refused(runs(starts[:-1]))

        assert found.reason is Reason.NO_RHYTHM
        assert "no steady rhythm" in found.text

    def test_of_a_rule_that_expects_nothing_finished(self) -> None:
        rule = stored_rule(Status.RUNNING)
        found = suggest(rule, runs(every(HOUR)), checks(), LONG)

        assert isinstance(found, Refusal)
        assert found.reason is Reason.NOT_FINISHING

    def test_of_executions_that_are_judged_and_never_seen_to_end(self) -> None:
        found = refused(
            runs(every(timedelta(minutes=30)), minutes=28),
            while_running=WhileRunning.JUDGE,
            delay=HOUR,
        )

        assert found.reason is Reason.IN_PROGRESS
        assert (
            found.text == "executions are judged while they run, and follow each other too closely"
        )

    def test_of_executions_that_run_longer_than_one_wants_to_wait(self) -> None:
        found = refused(
            runs(every(2 * HOUR), minutes=42), max_runtime_minutes=10, delay=timedelta(minutes=20)
        )

        assert found.reason is Reason.IN_PROGRESS
        assert found.text == "720 runs took too long to be told from those that hang"

    def test_of_a_delay_that_is_none(self) -> None:
        with pytest.raises(ValueError, match="above 0"):
            asked(runs(every(HOUR)), delay=timedelta(0))


gaps = st.lists(
    st.one_of(
        st.integers(55, 70),
        st.integers(55, 70),
        st.integers(60, 150),
        st.integers(600, 900),
    ),
    min_size=12,
    max_size=25,
)


UNIT = timedelta(minutes=6)
RARELY = 5 * UNIT
"""Between two checks, so that two weeks of them are soon replayed."""


def history(lengths: list[int], took: int, wrong: set[int]) -> list[Execution]:
    """Return runs that took so long with such gaps between them, some of which failed."""
    starts = list(accumulate(lengths, lambda at, gap: at + gap * UNIT, initial=BEGIN))
    failed = [starts[number] for number in wrong if number < len(starts)]
    return runs(starts, took * 6, failed)


def ended_by(one: Execution, at: datetime) -> bool:
    return one.finished_at is not None and one.finished_at <= at


BEGIN = ago(days=20)


class TestAnyHistory:
    """Executions end well before the next start, so that no event is open that excuses another."""

    @given(
        lengths=gaps,
        took=st.integers(1, 12),
        wrong=st.sets(st.integers(0, 25), max_size=3),
        waits=st.sampled_from(WhileRunning),
        delay=st.sampled_from([None, 20 * UNIT, 120 * UNIT]),
    )
    @example(
        lengths=[55, 55, 55, 55, 58, 59, 71, 70, 70, 60, 77, 100, 648, 649, 655, 864],
        took=1,
        wrong=set(),
        waits=WhileRunning.JUDGE,
        delay=None,
    )
    @settings(max_examples=min(25, settings.default.max_examples))
    def test_gets_the_smallest_window_without_a_false_alarm(
        self,
        lengths: list[int],
        took: int,
        wrong: set[int],
        waits: WhileRunning,
        delay: timedelta | None,
    ) -> None:
        # One that starts or ends between the ends of two phases would show them other histories.
        executions = [one for one in history(lengths, took, wrong) if ended_by(one, times()[-1])]
        rule = stored_rule(while_running=waits)
        found = suggest(rule, executions, times(), LONG, delay)
        assume(isinstance(found, Suggestion))
        assert isinstance(found, Suggestion)

        def alarms(window: timedelta, phase: timedelta) -> int:
            tried = replace(rule, lookback_hours=window / HOUR, alert_after=found.alert_after)
            replayed = backtest(tried, executions, times(phase), LONG)
            return len(false_alarms(replayed, tried, executions, times(phase), delay))

        window = timedelta(hours=found.lookback_hours)
        phases = [n * UNIT - timedelta.resolution for n in range(1, 6)]
        assert [alarms(window, phase) for phase in phases] == [0] * 5
        assert alarms(window + HOUR, phases[0]) == 0
        assert any(alarms(window - window_step(window), phase) for phase in phases)

    @given(lengths=gaps, took=st.integers(1, 12), delay=st.integers(10, 200))
    @settings(max_examples=min(40, settings.default.max_examples))
    def test_is_told_of_a_missing_run_within_the_delay_a_check_and_a_step(
        self, lengths: list[int], took: int, delay: int
    ) -> None:
        chosen = delay * UNIT
        rule = stored_rule(while_running=WhileRunning.WAIT)
        found = suggest(rule, history(lengths, took, set()), times(), LONG, chosen)
        assume(isinstance(found, Suggestion))
        assert isinstance(found, Suggestion)

        step = window_step(timedelta(hours=found.lookback_hours))
        assert found.told_after <= chosen + RARELY + step


def times(phase: timedelta = timedelta(0)) -> list[datetime]:
    """Return when the checks come, some time later than on the full half hour."""
    return list(check_times(BEGIN - RARELY + phase, BEGIN + 15 * DAY + phase, RARELY))
