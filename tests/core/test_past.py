"""Executions by column are the executions that they were made of."""

from __future__ import annotations

from datetime import timedelta

from monitoring.core.past import Past
from monitoring.core.statuses import Status
from tests.core.building import ago, execution

RUNS = [
    execution(Status.COMPLETED, ago(hours=3), pk=1, finished_at=ago(hours=1)),
    execution(Status.STOPPED, ago(hours=2), pk=2),
    execution(Status.RUNNING, ago(minutes=5), pk=3),
]


def by_column() -> Past:
    return Past(
        RUNS[0].task_name,
        [one.pk for one in RUNS],
        [one.status for one in RUNS],
        [one.started_at for one in RUNS],
        [one.finished_at for one in RUNS],
    )


def test_each_is_made_when_it_is_asked_for() -> None:
    assert list(by_column()) == RUNS
    assert by_column()[-1] == RUNS[-1]
    assert list(by_column()[1:]) == RUNS[1:]


def test_others_may_be_put_before_them() -> None:
    assert list(Past.of(RUNS[1:]).after(RUNS[:1])) == RUNS


def test_the_newest_that_was_over_is_not_the_newest() -> None:
    assert by_column().newest_over(3, ago()) == RUNS[1]
    assert by_column().newest_over(1, ago(hours=2)) is None


def test_one_runs_until_its_finish() -> None:
    running = by_column().newest_running(2, ago(hours=1, minutes=1))

    assert running is not None
    assert (running.pk, running.finished_at) == (1, None)
    assert by_column().newest_running(2, ago(hours=1)) is None


def test_successes_stand_in_the_order_in_which_they_ended() -> None:
    late = execution(Status.COMPLETED, ago(minutes=90), pk=9, finished_at=ago(minutes=80))
    known = Past.of([*RUNS[:2], late]).successes

    assert list(known.places) == [2, 0]
    assert list(known.took) == [600, 7200]
    assert not known.end_as_they_began
    assert Past.of(RUNS).longest > timedelta(hours=2)
