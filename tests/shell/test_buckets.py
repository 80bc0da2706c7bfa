"""What happened to some tasks in each part of a stretch of time."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.core.buckets import last
from monitoring.core.statuses import Status
from monitoring.tasklogs import buckets
from monitoring.tasklogs.buckets import courses
from monitoring.tasklogs.source import task_log
from tests.factories import NOW, ago, execution
from tests.sources import Source

pytestmark = pytest.mark.django_db

HOURS = last(timedelta(hours=4), NOW, 4)


def marks(name: str) -> str:
    """Return how a task did in the last four hours, one letter for each."""
    return "".join(part.value[0] if part else "." for part in courses([name], HOURS)[name].parts)


def test_each_part_shows_what_began_in_it(source: Source) -> None:
    execution("sync", started=ago(hours=5))
    execution("sync", started=ago(hours=4))
    execution("sync", "Running", started=ago(minutes=1))
    execution("report", "Stopped", started=ago(hours=2))

    assert marks("sync") == "C..R"
    assert marks("report") == "..S."
    assert marks("never ran") == "...."


def test_a_failure_is_shown_before_what_came_after_it(source: Source) -> None:
    execution("sync", "Stopped", started=ago(minutes=30))
    execution("sync", "Completed", started=ago(minutes=20))
    execution("report", "Cancelled", started=ago(minutes=30))
    execution("report", "Completed", started=ago(minutes=20))

    assert marks("sync") == "...S"
    assert marks("report") == "...C"


def test_what_waits_has_not_begun(source: Source) -> None:
    execution("sync", "Pending", started=None, submitted_at=ago(minutes=5), started_at=None)

    assert marks("sync") == "...."


def test_names_that_differ_in_case_only_are_two() -> None:
    execution("sync", "Stopped")
    execution("Sync")

    assert (marks("sync"), marks("Sync")) == ("...S", "...C")


@pytest.mark.parametrize("seed", range(5))
def test_the_same_is_found_by_seeking_and_by_reading(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        name, status = chance.choice("ab"), chance.choice(list(Status)[2:])
        execution(name, status.value, started=ago(minutes=chance.randrange(1, 300)))
    sought = courses("ab", HOURS)

    found = {name: buckets.Course([None] * HOURS.count) for name in "ab"}
    buckets._read(task_log(), found, HOURS)

    assert sought == found


def test_what_was_not_read_is_not_told_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MOST_READ", 3)
    for minutes in (10, 20, 30, 40):
        execution("often", started=ago(minutes=minutes))
        execution("seldom", started=ago(hours=minutes))

    found = {name: buckets.Course([None] * HOURS.count) for name in ("often", "seldom")}
    buckets._read(task_log(), found, HOURS)

    assert found["often"].known_since == ago(minutes=30)
    assert found["seldom"].known_since is None


def test_any_number_of_tasks_costs_one_query() -> None:
    for number in range(50):
        execution(f"task {number}")

    with CaptureQueriesContext(connection) as queries:
        courses((f"task {number}" for number in range(50)), HOURS)

    assert len(queries) == 1
