"""What is suggested for a rule that limits durations or wants a share of successes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitoring.core.backtest import backtest, check_times
from monitoring.core.statuses import Status
from monitoring.core.suggestion import Reason, Refusal, Suggestion, false_alarms, suggest
from monitoring.core.values import Execution, VerdictKind, WhileRunning
from tests.core.building import NOW, ago, execution, stored_rule

LONG = ago(days=90)
MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE


def history(
    every: timedelta,
    *,
    days: float = 30,
    failed: Sequence[int] = (),
    took: dict[int, float] | None = None,
) -> list[Execution]:
    """Return runs of ten minutes, or a sixth of the time between two; `took` in minutes."""
    count = int(timedelta(days=days) / every)
    usual = min(10 * MINUTE, every / 6)
    runs = []
    for number in range(count):
        start = NOW - (count - number) * every
        length = timedelta(minutes=took[number]) if took and number in took else usual
        status = Status.STOPPED if number in failed else Status.COMPLETED
        runs.append(execution(status, start, pk=number, finished_at=start + length))
    return runs


CHECKS = list(check_times(ago(days=29), NOW, 5 * MINUTE))


def asked(runs: list[Execution], **fields: Any) -> Suggestion | Refusal:
    rule = stored_rule(**{"while_running": WhileRunning.WAIT} | fields)
    return suggest(rule, runs, CHECKS, LONG)


def suggested(runs: list[Execution], **fields: Any) -> Suggestion:
    found = asked(runs, **fields)
    assert isinstance(found, Suggestion), found
    return found


def refused(runs: list[Execution], **fields: Any) -> Refusal:
    found = asked(runs, **fields)
    assert isinstance(found, Refusal), found
    return found


class TestWithASuccessRate:
    def test_the_window_holds_as_many_runs_as_bear_one_that_fails(self) -> None:
        runs = history(HOUR, failed=[400])

        found = suggested(runs, min_success_rate=90)

        assert (found.lookback_hours, found.runs) == (10.5, 10)
        (one,) = found.backtest.incidents
        assert one.verdict is VerdictKind.STATUS_MISMATCH
        # By the next run, not when the failure has left the window.
        assert one.resolved_at is not None
        assert one.resolved_at - one.opened_at <= HOUR + 5 * MINUTE

    def test_a_window_that_one_failure_spoils_is_a_false_alarm(self) -> None:
        # It has run again before anybody has checked.
        runs = history(2 * MINUTE, failed=[19_001])
        rule = stored_rule(while_running=WhileRunning.WAIT, min_success_rate=90)
        short = replace(rule, lookback_hours=0.2)

        replayed = backtest(short, runs, CHECKS, LONG)
        found = suggested(runs, min_success_rate=90)

        assert [one.verdict for one in replayed.incidents] == [VerdictKind.LOW_SUCCESS_RATE]
        assert false_alarms(replayed, short, runs, CHECKS) == replayed.incidents
        assert (found.lookback_hours, found.backtest.incidents) == (0.35, [])

    def test_two_failures_in_a_window_are_none(self) -> None:
        runs = history(2 * MINUTE, failed=[19_001, 19_003])

        found = suggested(runs, min_success_rate=90)

        assert [one.verdict for one in found.backtest.incidents] == [VerdictKind.LOW_SUCCESS_RATE]

    def test_who_wants_all_to_end_well_is_told_of_one_that_fails(self) -> None:
        runs = history(2 * MINUTE, failed=[19_001])

        found = suggested(runs, min_success_rate=100)

        assert found.runs == 5
        assert [one.verdict for one in found.backtest.incidents] == [VerdictKind.LOW_SUCCESS_RATE]

    def test_nothing_is_suggested_if_so_many_never_followed_each_other(self) -> None:
        found = refused(history(24 * HOUR), min_success_rate=99)

        assert found.reason is Reason.TOO_FEW
        assert found.text == "only 29 runs in the history: its success rate takes 101 in a row"

    def test_of_a_task_that_fails_now_and_then_the_window_holds_more_runs(self) -> None:
        failed = range(0, 720, 50)

        found = suggested(history(HOUR, failed=failed), min_success_rate=85)

        assert found.runs > 30

    def test_nothing_is_suggested_if_more_fail_anyway(self) -> None:
        found = refused(history(HOUR, failed=range(0, 720, 4)), min_success_rate=85)

        assert found.reason is Reason.FAILS_ANYWAY
        assert found.text == "usually 75 % of its runs end as expected, the rule wants 85 %"

    def test_an_outage_makes_no_window_longer(self) -> None:
        runs = history(HOUR)

        found = suggested(runs[:300] + runs[340:], min_success_rate=90)

        assert found.lookback_hours == 10.5


class TestWithALimitOnDurations:
    def test_one_is_suggested_that_no_run_exceeded(self) -> None:
        runs = history(HOUR, took={400: 19, 500: 12})

        found = suggested(runs, max_duration_factor=1.1)

        assert (found.max_duration_factor, found.slower) == (2, 0)
        assert found.backtest.incidents == []

    def test_a_run_that_is_little_slower_than_usual_is_a_false_alarm(self) -> None:
        runs = history(HOUR, took={400: 19, 500: 31})
        rule = stored_rule(while_running=WhileRunning.WAIT, max_duration_factor=1.1)

        replayed = backtest(rule, runs, CHECKS, LONG)

        assert len(replayed.incidents) == 2
        assert false_alarms(replayed, rule, runs, CHECKS) == replayed.incidents[:1]

    def test_what_takes_three_times_as_long_stays_an_alert(self) -> None:
        runs = history(HOUR, took={400: 19, 500: 31})

        found = suggested(runs, max_duration_factor=1.1)

        assert (found.max_duration_factor, found.slower) == (2, 1)
        assert [one.verdict for one in found.backtest.incidents] == [VerdictKind.SLOW]

    def test_one_is_told_to_who_has_none_and_the_replay_stays_without(self) -> None:
        found = suggested(history(HOUR, took={400: 19, 500: 31}))

        assert found.max_duration_factor == 2
        assert found.backtest.incidents == []

    def test_nothing_is_suggested_if_no_duration_is_usual(self) -> None:
        slow: dict[int, float] = dict.fromkeys(range(30, 700, 30), 40)

        found = refused(history(HOUR, took=slow | {400: 19}), max_duration_factor=1.5)

        assert found.reason is Reason.NO_USUAL_DURATION
        assert found.text == "runs differ too much for a limit of 1.5 times what is usual"

    def test_the_window_is_the_same_as_without(self) -> None:
        runs = history(HOUR, took={400: 19})

        limited = suggested(runs, max_duration_factor=2)

        assert limited.lookback_hours == suggested(runs).lookback_hours == 1


UNIT = 6 * MINUTE
BEGIN = ago(days=20)
RARELY = 5 * UNIT


def any_history(seed: int) -> list[Execution]:
    """Return runs with gaps of an hour to five, some of which fail or are slow."""
    chance = Random(seed)
    runs, at = [], BEGIN
    for number in range(130):
        is_slow, fails = chance.random() < 0.05, chance.random() < 0.02
        took = chance.randint(6, 9) if is_slow else chance.choice((2, 3))
        status = Status.STOPPED if fails else Status.COMPLETED
        runs.append(execution(status, at, pk=number, finished_at=at + took * UNIT))
        at += chance.choice((10, 20, 20, 30, 50)) * UNIT
    return runs


def times(phase: timedelta) -> list[datetime]:
    return list(check_times(BEGIN - RARELY + phase, BEGIN + 15 * 24 * HOUR + phase, RARELY))


@given(
    seed=st.integers(0, 10_000),
    wanted=st.sampled_from([None, 50, 80, 90]),
    factor=st.sampled_from([None, 1.1, 3, 10]),
    waits=st.sampled_from(WhileRunning),
)
@settings(max_examples=20, deadline=None)
def test_no_limit_raises_a_false_alarm_with_what_is_suggested_for_it(
    seed: int, wanted: float | None, factor: float | None, waits: WhileRunning
) -> None:
    runs, delay = any_history(seed), 120 * UNIT
    rule = stored_rule(while_running=waits, min_success_rate=wanted, max_duration_factor=factor)
    found = suggest(rule, runs, times(timedelta(0)), LONG, delay)
    assume(isinstance(found, Suggestion))
    assert isinstance(found, Suggestion)
    fitted = replace(
        rule,
        lookback_hours=found.lookback_hours,
        alert_after=found.alert_after,
        max_duration_factor=factor and (found.max_duration_factor or factor),
    )

    for phase in (UNIT, 3 * UNIT, 5 * UNIT - timedelta.resolution):
        replayed = backtest(fitted, runs, times(phase), LONG)
        wrong = false_alarms(replayed, fitted, runs, times(phase), delay)
        # What is judged while it runs may open the event that a limit was about to open.
        assert [one for one in wrong if waits is WhileRunning.WAIT or one.measured] == []
