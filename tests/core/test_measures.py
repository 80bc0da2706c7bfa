"""What a rule measures: durations beside what is usual, and how many end as expected."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.durations import duration, percentile
from monitoring.core.hindsight import Hindsight
from monitoring.core.measures import (
    FEWEST_FINISHED,
    FEWEST_SAMPLES,
    SAMPLES,
    SAMPLES_READ,
)
from monitoring.core.past import Past
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Evidence, Execution, Rule, VerdictKind, WhileRunning
from monitoring.core.verdicts import is_plainly_ok, judge
from tests.core import strategies
from tests.core.building import NOW, ago, evidence, execution, rule

WAIT, JUDGE = WhileRunning.WAIT, WhileRunning.JUDGE
OK, SLOW = VerdictKind.OK, VerdictKind.SLOW
MISMATCH, TOO_FEW = VerdictKind.STATUS_MISMATCH, VerdictKind.LOW_SUCCESS_RATE


def took(minutes: float, started_minutes_ago: float = 50, **fields: Any) -> Execution:
    """Return an execution that completed, or did what `status` says, after so many minutes."""
    start = ago(minutes=started_minutes_ago)
    values = {"finished_at": start + timedelta(minutes=minutes)} | fields
    return execution(started_at=start, **values)


def before(*minutes: float) -> list[Execution]:
    """Return what completed before that, the newest first, one an hour."""
    return [took(one, 120 + 60 * age) for age, one in enumerate(minutes)]


USUAL = before(*([3] * 50))
"""It always takes three minutes."""


def timed(latest: Execution | None, successes: list[Execution] = USUAL, **fields: Any) -> Any:
    """Judge by a rule that allows twice the usual duration."""
    some = rule(**({"max_duration_factor": 2} | fields))
    return judge(some, evidence(latest, successes=successes, **_finished(latest)), NOW)


def _finished(latest: Execution | None) -> dict[str, Any]:
    is_over = latest is not None and latest.status in FINISHED
    return {"latest_finished": latest if is_over else None}


def counted(**counts: int) -> dict[Status, int]:
    return {Status(name.title()): count for name, count in counts.items()}


def rated(finished: dict[Status, int], latest: Execution | None = None, **fields: Any) -> Any:
    """Judge by a rule that wants 90 percent, after an execution that was as expected."""
    some = rule(*fields.pop("expected", ()), **({"min_success_rate": 90} | fields))
    return judge(some, evidence(latest or execution(), finished=finished), NOW)


class TestThePercentile:
    @pytest.mark.parametrize(
        ("count", "rank"), [(1, 1), (19, 19), (20, 19), (21, 20), (40, 38), (50, 48), (100, 95)]
    )
    def test_is_the_nearest_rank(self, count: int, rank: int) -> None:
        durations = [timedelta(minutes=number) for number in range(count, 0, -1)]

        assert percentile(durations) == timedelta(minutes=rank)

    @given(
        st.lists(st.timedeltas(timedelta(0), timedelta(days=9)), min_size=1, max_size=60),
        st.integers(1, 100),
    )
    def test_is_the_least_that_so_many_do_not_exceed(
        self, durations: list[timedelta], percent: int
    ) -> None:
        found = percentile(durations, percent)

        def share(limit: timedelta) -> float:
            return 100 * sum(one <= limit for one in durations)

        assert found in durations
        assert share(found) >= percent * len(durations)
        shorter = [one for one in durations if one < found]
        assert not shorter or share(max(shorter)) < percent * len(durations)


class TestADuration:
    def test_over_the_limit_is_slow_with_its_evidence(self) -> None:
        slow = took(14)
        found = timed(slow)

        assert (found.kind, found.execution, found.current_status) == (SLOW, slow, "Completed")
        assert found.reason == "slower than usual"
        assert found.measured_in_words == (
            "it took 14 min; 95 % of the last 50 completed runs took at most 3 min; "
            "the rule allows 2 times that"
        )

    def test_at_the_limit_is_ok_with_the_same_evidence(self) -> None:
        found = timed(took(6))

        assert found.kind is OK
        assert found.measured_in_words.startswith(
            "it took 6 min; 95 % of the last 50 completed runs"
        )

    def test_a_microsecond_over_it_is_slow(self) -> None:
        assert timed(took(6 + 1 / 60e6)).kind is SLOW

    def test_is_held_against_the_95th_percentile_and_not_the_longest(self) -> None:
        two_slow = before(100, 100, *([3] * 48))
        three_slow = before(100, 100, 100, *([3] * 47))

        assert timed(took(14), two_slow).kind is SLOW
        assert timed(took(14), three_slow).kind is OK

    def test_is_not_held_against_itself_nor_against_what_began_later(self) -> None:
        slow = took(14)
        later = [took(100, 40), took(100, 30), took(100, 20), slow]

        assert timed(slow, [*later, *USUAL]).kind is SLOW

    def test_is_held_against_the_last_fifty(self) -> None:
        found = timed(took(14), before(*([3] * SAMPLES), *([100] * 50)))

        assert found.kind is SLOW
        assert "95 % of the last 50" in found.measured_in_words

    def test_of_too_few_runs_is_not_judged_yet(self) -> None:
        enough, too_few = USUAL[:FEWEST_SAMPLES], USUAL[: FEWEST_SAMPLES - 1]

        assert timed(took(14), enough).kind is SLOW
        assert timed(took(14), too_few).kind is OK
        assert (
            timed(took(14), USUAL[:3]).measured_in_words == "duration not judged yet: 3 of 20 runs"
        )

    def test_under_a_second_is_never_slow(self) -> None:
        always_1_ms = before(*([1 / 60_000] * 50))

        assert timed(took(1 / 60), always_1_ms).kind is OK
        assert timed(took(1.1 / 60), always_1_ms).kind is SLOW

    @pytest.mark.parametrize("status", [Status.STOPPED, Status.CANCELLED], ids=str)
    def test_of_one_that_did_not_complete_says_nothing(self, status: Status) -> None:
        found = timed(took(14, status=status), expected_statuses=(status,))

        assert (found.kind, found.measured_in_words) == (OK, "")

    def test_of_one_whose_finish_is_not_known_is_not_judged(self) -> None:
        found = timed(execution(), USUAL)

        assert found.kind is OK
        assert (
            found.measured_in_words == "duration not judged: the log does not say when it finished"
        )

    def test_of_one_that_ended_before_it_began_is_none(self) -> None:
        assert timed(took(-5)).measured_in_words.startswith("it took 0 ms; ")

    def test_changes_nothing_for_a_rule_without_a_factor(self) -> None:
        assert timed(took(14), max_duration_factor=None) == timed(
            took(14), [], max_duration_factor=None
        )


class TestOneThatStillRuns:
    @pytest.mark.parametrize("mode", WhileRunning, ids=str)
    def test_is_slow_as_soon_as_it_is_over_the_limit(self, mode: WhileRunning) -> None:
        running = execution(Status.RUNNING, ago(minutes=14))
        found = timed(
            running, while_running=mode, expected_statuses=(Status.COMPLETED, Status.RUNNING)
        )

        assert (found.kind, found.execution) == (SLOW, running)
        assert found.measured_in_words.startswith(
            "it has been running for 14 min; 95 % of the last 50"
        )

    def test_is_slow_although_the_one_before_it_was_fine(self) -> None:
        log = evidence(
            execution(Status.RUNNING, ago(minutes=14)), latest_finished=took(3), successes=USUAL
        )

        assert judge(rule(max_duration_factor=2, while_running=WAIT), log, NOW).kind is SLOW

    def test_is_waited_for_within_the_limit(self) -> None:
        found = timed(execution(Status.RUNNING, ago(minutes=4)), while_running=WAIT)

        assert found.kind is VerdictKind.IN_PROGRESS
        assert found.measured_in_words.startswith("it has been running for 4 min")

    def test_does_not_hide_that_the_one_before_it_was_slow(self) -> None:
        slow = took(14)
        log = evidence(
            execution(Status.RUNNING, ago(minutes=4)), latest_finished=slow, successes=USUAL
        )
        found = judge(rule(max_duration_factor=2, while_running=WAIT), log, NOW)

        assert (found.kind, found.execution) == (SLOW, slow)

    def test_is_what_its_status_says_where_that_fails_already(self) -> None:
        running = execution(Status.RUNNING, ago(minutes=14))

        assert timed(running, while_running=JUDGE).kind is MISMATCH

    def test_over_the_longest_runtime_is_overrunning(self) -> None:
        running = execution(Status.RUNNING, ago(minutes=14))
        found = timed(running, while_running=WAIT, max_runtime_minutes=10)

        assert found.kind is VerdictKind.OVERRUNNING

    def test_from_before_the_window_counts_with_a_longest_runtime(self) -> None:
        old = execution(Status.RUNNING, ago(minutes=90))
        log = evidence(old, latest_running=old, successes=before(*([3] * 50))[1:])
        limited = rule(max_duration_factor=2, max_runtime_minutes=600, while_running=WAIT)

        assert judge(limited, log, NOW).kind is SLOW


class TestASuccessRate:
    def test_below_what_the_rule_wants_fails_with_its_evidence(self) -> None:
        latest = execution()
        found = rated(counted(completed=7, stopped=2, cancelled=1), latest)

        assert (found.kind, found.execution, found.current_status) == (TOO_FEW, latest, "Completed")
        assert found.reason == "too few ended as expected"
        assert found.measured_in_words == (
            "7 of 10 runs since 2026-03-10 11:00 UTC were Completed (70 %), the rule wants 90 %"
        )

    def test_of_exactly_that_is_ok_with_the_same_evidence(self) -> None:
        found = rated(counted(completed=9, stopped=1))

        assert (found.kind, found.measured_in_words[:12]) == (OK, "9 of 10 runs")

    @pytest.mark.parametrize(("good", "kind"), [(999, OK), (998, TOO_FEW)])
    def test_may_be_wanted_in_fractions(self, good: int, kind: VerdictKind) -> None:
        counts = counted(completed=good, stopped=1000 - good)

        assert rated(counts, min_success_rate=99.9).kind is kind

    def test_is_never_rounded_up_to_what_it_is_not(self) -> None:
        assert "(89.9 %)" in rated(counted(completed=8999, stopped=1001)).measured_in_words

    def test_of_too_few_runs_is_not_judged_yet(self) -> None:
        enough = counted(completed=1, stopped=FEWEST_FINISHED - 1)
        too_few = counted(completed=1, stopped=FEWEST_FINISHED - 2)

        assert rated(enough).kind is TOO_FEW
        assert rated(too_few).kind is OK
        assert rated(too_few).measured_in_words == "success rate not judged yet: 4 of 5 runs"

    def test_counts_every_expected_status_that_ends_an_execution(self) -> None:
        expected = (Status.COMPLETED, Status.CANCELLED, Status.RUNNING)
        found = rated(counted(completed=5, cancelled=4, stopped=1), expected=expected)

        assert found.kind is OK
        assert "were Completed or Cancelled (90 %)" in found.measured_in_words

    def test_means_nothing_where_no_end_is_expected(self) -> None:
        running = execution(Status.RUNNING)
        found = rated(counted(stopped=10), running, expected=(Status.RUNNING,))

        assert (found.kind, found.measured_in_words) == (OK, "")

    def test_is_not_asked_while_the_latest_is_wrong(self) -> None:
        found = rated(counted(stopped=10), execution(Status.STOPPED))

        assert (found.kind, found.measured_in_words) == (MISMATCH, "")

    def test_is_told_beside_a_verdict_that_does_not_rest_on_it(self) -> None:
        wrong = rated(counted(completed=8, stopped=2), execution(Status.STOPPED))
        slow = judge(
            rule(max_duration_factor=2, min_success_rate=90),
            evidence(took(14), successes=USUAL, finished=counted(completed=10)),
            NOW,
        )

        assert (wrong.kind, slow.kind) == (MISMATCH, SLOW)
        assert wrong.all_measured_in_words.startswith("8 of 10 runs since ")
        assert slow.all_measured_in_words.split("; ")[-1].startswith("10 of 10 runs since ")
        assert "10 of 10" not in slow.measured_in_words

    def test_comes_after_a_duration(self) -> None:
        both = {"max_duration_factor": 2, "min_success_rate": 90}
        log = evidence(took(14), successes=USUAL, finished=counted(stopped=10))
        good = evidence(took(3), successes=USUAL, finished=counted(completed=10))

        assert judge(rule(**both), log, NOW).kind is SLOW
        told = judge(rule(**both), good, NOW).measured_in_words.split("; ")
        assert (told[0], told[-1][:14]) == ("it took 3 min", "10 of 10 runs ")


@given(strategies.rules, strategies.any_evidence)
def test_what_is_measured_only_turns_what_did_not_fail_into_one_of_two_failures(
    some: Rule, log: Evidence
) -> None:
    by_status = judge(replace(some, max_duration_factor=None, min_success_rate=None), log, NOW)
    found = judge(some, log, NOW)

    if found.kind is by_status.kind:
        assert found._replace(measured=(), also_measured=()) == by_status
    else:
        assert not by_status.is_failing
        assert by_status.kind is not VerdictKind.UNKNOWN
        assert found.kind in {SLOW, TOO_FEW}
        assert found.measured
    if not some.measures:
        assert found == by_status


@pytest.mark.parametrize("fields", [{"max_duration_factor": 2}, {"min_success_rate": 90}], ids=str)
def test_a_rule_that_measures_is_never_plainly_ok(fields: dict[str, Any]) -> None:
    assert is_plainly_ok(rule(), execution(), NOW)
    assert not is_plainly_ok(rule(**fields), execution(), NOW)


# As the log had it at a moment of the past


runs = st.lists(
    st.builds(
        lambda pk, start, length, status: execution(
            status,
            NOW + timedelta(minutes=start),
            pk=pk,
            finished_at=NOW + timedelta(minutes=start + length) if status in FINISHED else None,
        ),
        st.integers(1, 9),
        st.integers(0, 60),
        st.integers(-2, 30),
        st.sampled_from([*Status, Status.COMPLETED]),
    ),
    max_size=70,
).map(lambda some: sorted(some, key=lambda one: one.started_at))


@given(runs, st.lists(st.integers(0, 10), min_size=1, max_size=12), st.integers(1, 90))
def test_hindsight_is_what_counting_anew_at_each_moment_finds(
    log: list[Execution], steps: list[int], window: int
) -> None:
    told, now = Hindsight(Past.of(log), rule(lookback_hours=window / 60)), NOW
    for step in steps:
        now += timedelta(minutes=step)
        start = now - timedelta(minutes=window)
        told.move_to(now, start)

        over = [
            one for one in log if one.finished_at and max(one.finished_at, one.started_at) <= now
        ]
        for status in Status:
            assert told.finished.get(status, 0) == sum(
                one.status is status and one.started_at >= start for one in over
            )
        good = [one.started_at for one in over if one.status is Status.COMPLETED]
        assert [one.started_at for one in told.successes] == sorted(good)[::-1][:SAMPLES_READ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.04, "40 ms"),
        (3.21, "3.2 s"),
        (125, "2 min 5 s"),
        (7500, "2 h 5 min"),
        (180_000, "50 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
