"""From what is known of a task to the rule that is worth having, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.discovery import (
    REASONS,
    Proposal,
    Reason,
    Task,
    Watched,
    is_open,
    needed_hours,
    propose,
)
from monitoring.core.rhythm import Run
from monitoring.core.statuses import Status
from tests.factories import NOW

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = 24 * HOUR
DAILY = Task(name="report", entries=(("Daily report", "0 8 * * *"),), gap=DAY)


def runs(
    count: int, every: timedelta = DAY, status: Status = Status.COMPLETED, **columns: timedelta
) -> list[Run]:
    """Return executions, the newest an hour ago; columns: delay and duration of each."""
    delay, took = columns.get("delay"), columns.get("took")
    starts = [NOW - HOUR - number * every for number in range(count)]
    return [
        Run(
            at,
            status,
            at - delay if delay is not None else None,
            at + took if took is not None else None,
        )
        for at in starts
    ]


def only(task: Task, some: list[Run] | None = None, interval: timedelta = 5 * MINUTE) -> Proposal:
    (found,) = propose(task, some or [], interval, NOW)
    return found


def watched(hours: float, **fields: Any) -> Task:
    rule = Watched(7, "Mine", hours, **fields)
    return replace(DAILY, rules=(rule,))


class TestANewRule:
    def test_is_proposed_for_a_periodic_task_that_nobody_watches(self) -> None:
        found = only(DAILY, runs(3, delay=MINUTE, took=20 * MINUTE))

        assert (found.reason, found.is_new) == (Reason.SCHEDULED, True)
        assert (found.name, found.task_name) == ("Daily report", "report")
        assert found.lookback_hours == 24.5  # 24 h + 1 min + 20 min + 5 min, rounded up
        assert [ground.text for ground in found.grounds] == [
            "its schedule leaves up to 24 h between two runs (0 8 * * *)",
            "95 % of its runs waited at most 1 min for a worker",
            "95 % of its runs took at most 20 min",
            "a check comes every 5 min",
            "3 of its last 3 runs completed",
        ]

    def test_says_what_it_does_not_know(self) -> None:
        (found,) = propose(DAILY, [], None, NOW)

        assert [ground.text for ground in found.grounds][1:] == [
            "no wait for a worker is known yet",
            "no duration is known yet",
            "no check is scheduled, 5 min are assumed",
            "it has not been seen to end yet",
        ]

    def test_bears_the_name_of_the_task_if_several_schedules_run_it(self) -> None:
        task = replace(DAILY, entries=(("a", "0 8 * * *"), ("b", "0 20 * * *")), gap=12 * HOUR)

        found = only(task)

        assert found.name == "report"
        assert found.grounds[0].text.endswith("(0 8 * * *; 0 20 * * *)")

    def test_is_proposed_for_a_steady_rhythm_without_a_schedule(self) -> None:
        found = only(Task(name="ingest"), runs(20, HOUR))

        assert (found.reason, found.name) == (Reason.STEADY, "ingest")
        assert found.lookback_hours == 1.25
        assert found.grounds[0].text == "up to 1 h passed between its last 20 runs"

    @pytest.mark.parametrize(
        "task",
        [
            replace(DAILY, is_listed=True),
            replace(DAILY, is_silenced=True),
            replace(DAILY, rules=(Watched(7, "Mine", 25),), is_silenced=True),
            watched(25),
            Task(name="now and then"),
            replace(DAILY, is_refused=True),
        ],
        ids=["JSON arguments", "decided", "decided and watched", "watched", "no rhythm", "refused"],
    )
    def test_is_not_proposed_for_what_is_watched_decided_or_irregular(self, task: Task) -> None:
        assert propose(task, [], 5 * MINUTE, NOW) == []


class TestExpectedStatuses:
    @pytest.mark.parametrize(
        ("ends", "expected", "why"),
        [
            (
                {Status.STOPPED: 2, Status.COMPLETED: 8},
                "Completed",
                "8 of its last 10 runs completed",
            ),
            (
                {Status.CANCELLED: 3, Status.COMPLETED: 9},
                "Completed, Cancelled",
                "9 of its last 12 runs completed, 3 were cancelled",
            ),
            (
                {Status.CANCELLED: 2, Status.COMPLETED: 2},
                "Completed",
                "2 of its last 4 runs completed",
            ),
            (
                {Status.STOPPED: 4},
                "Completed",
                "none of its last 4 runs completed: the rule alerts until one does",
            ),
            ({Status.RUNNING: 4}, "Completed", "it has not been seen to end yet"),
        ],
        ids=["some fail", "some are cancelled", "two are cancelled", "all fail", "none ended"],
    )
    def test_follow_from_how_the_task_ends_and_failing_is_never_expected(
        self, ends: dict[Status, int], expected: str, why: str
    ) -> None:
        some = [run for status, count in ends.items() for run in runs(count, status=status)]

        found = only(DAILY, some)

        assert ", ".join(found.expected_statuses) == expected
        assert found.grounds[-1].text == why


class TestARuleThatIsThere:
    def test_of_a_task_that_nothing_runs_is_not_said_to_have_run_once(self) -> None:
        assert REASONS[Reason.GONE] == (
            "nothing runs it: no schedule, no code, no execution in the window"
        )

    def test_is_left_alone_if_it_fits(self) -> None:
        for hours in (24, 25, 48, 71):
            assert not is_open(watched(hours))

    def test_has_drifted_if_it_looks_back_less_far_than_the_largest_gap(self) -> None:
        found = only(watched(23.9))

        assert (found.reason, found.rule_id) == (Reason.TOO_SHORT, 7)
        assert (found.name, found.was_hours, found.lookback_hours) == ("Mine", 23.9, 24.5)

    def test_has_drifted_if_its_schedule_has_become_much_closer(self) -> None:
        found = only(watched(170))

        assert (found.reason, found.lookback_hours) == (Reason.SCHEDULE_CHANGED, 24.5)

    def test_may_look_back_far_if_it_watches_one_variant_of_the_task(self) -> None:
        assert propose(watched(170, has_context=True), [], 5 * MINUTE, NOW) == []
        assert only(watched(2, has_context=True)).reason is Reason.TOO_SHORT

    def test_is_worth_disabling_when_nothing_runs_its_task_any_more(self) -> None:
        task = Task(name="old", rules=(Watched(7, "Mine", 25),))

        assert only(task).reason is Reason.GONE
        assert only(task, runs(3)[2:]).reason is Reason.GONE
        assert propose(task, runs(3), 5 * MINUTE, NOW) == []
        assert propose(replace(task, is_in_code=True), [], 5 * MINUTE, NOW) == []

    def test_never_looks_back_further_than_any_rule_may(self) -> None:
        rare = replace(watched(87_600), gap=4000 * DAY)

        assert not is_open(rare)


@given(
    st.timedeltas(min_value=timedelta(seconds=1), max_value=4000 * DAY),
    st.timedeltas(min_value=timedelta(0), max_value=DAY),
    st.timedeltas(min_value=timedelta(0), max_value=DAY),
    st.timedeltas(min_value=MINUTE, max_value=DAY),
)
def test_what_is_proposed_is_never_shorter_than_needed_and_hardly_longer(
    gap: timedelta, delay: timedelta, took: timedelta, interval: timedelta
) -> None:
    needed = (gap + delay + took + interval) / HOUR

    hours = needed_hours(gap, runs(3, delay=delay, took=took), interval)

    assert min(needed, 87_600) <= hours < needed + 1
    assert hours - needed < max(0.25, needed / 10)


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=3000 * DAY))
def test_what_was_accepted_is_not_proposed_again(gap: timedelta) -> None:
    task = replace(DAILY, gap=gap)
    accepted = Watched(7, "Mine", only(task).lookback_hours)

    assert propose(replace(task, rules=(accepted,)), [], 5 * MINUTE, NOW) == []


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(Reason)
