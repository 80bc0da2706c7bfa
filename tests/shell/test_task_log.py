"""The one statement that writes a signal does what `core.lifecycle.merge` says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.lifecycle import Record, position
from monitoring.core.statuses import Status
from monitoring.models import BackgroundTask
from monitoring.tasklogs.upsert import upsert
from tests.core.test_lifecycle import LIVES, row_of, whole_lives
from tests.factories import NOW, ago, execution

pytestmark = pytest.mark.django_db


def written(signals: Iterable[Record]) -> Record:
    """Write signals in this order and return the row as the database has it then."""
    BackgroundTask.objects.all().delete()
    for one in signals:
        upsert(one, "default")
    row = BackgroundTask.objects.get()
    values = {item.name: getattr(row, item.name) for item in fields(Record)}
    record = Record(**values | {"status": Status(row.status)})
    assert row.retries == record.retries
    return record


@pytest.mark.parametrize(("signals", "expected"), LIVES.values(), ids=LIVES.keys())
def test_a_life_told_in_order_or_backwards_ends_in_the_same_row(
    signals: list[Record], expected: dict[str, Any]
) -> None:
    assert written(signals) == row_of(signals)
    assert written(reversed(signals)) == row_of(signals)


@given(whole_lives(), st.data())
def test_a_life_told_in_any_order_and_partly_twice_ends_in_the_row_of_the_ordered_one(
    signals: list[Record], data: st.DataObject
) -> None:
    doubled = [*signals, *data.draw(st.lists(st.sampled_from(signals), max_size=3))]

    assert written(data.draw(st.permutations(doubled))) == row_of(signals)


moments = st.one_of(
    st.timedeltas(timedelta(hours=-1), timedelta(hours=1)),
    st.sampled_from([timedelta(0), timedelta(microseconds=1)]),  # often the same
).map(lambda offset: NOW + offset)
words = st.sampled_from(["", "a", "B", "ä\n日本 %s '\""])
records = st.builds(
    Record,
    task_id=st.just("id"),
    task_name=st.just("sync"),
    status=st.sampled_from(Status),
    position=st.builds(
        position, st.sampled_from(Status), st.integers(0, 3), redelivered=st.booleans()
    ),
    last_update=moments,
    **dict.fromkeys(
        ("submitted_at", "started_at", "first_started_at", "finished_at"), st.none() | moments
    ),
    **dict.fromkeys(
        (
            *("parameters", "context_id", "errors", "stack_trace_errors"),
            *("worker", "queue", "periodic_task_name"),
        ),
        words,
    ),
)
"""Signals whose parts need not agree with one another."""


@given(st.lists(records, min_size=1, max_size=4))
def test_the_statement_merges_as_the_specification_does(signals: list[Record]) -> None:
    assert written(signals) == row_of(signals)


def test_other_executions_are_left_alone() -> None:
    other = execution("sync", "Running")
    signals, _ = LIVES["is retried to failure"]

    upsert(signals[0], "default")

    other.refresh_from_db()
    assert other.status == "Running"
    assert BackgroundTask.objects.count() == 2


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="others choose by what they counted")
def test_the_latest_execution_of_a_window_is_found_by_its_index() -> None:
    rows = BackgroundTask.objects.filter(task_name="sync", started_at__gte=ago(hours=1))
    latest = rows.order_by("-started_at", "-pk")[:1]
    sql, parameters = latest.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        plan = " ".join(str(row[-1]) for row in cursor.fetchall())

    assert "monitoring_latest_start (task_name=? AND started_at>?)" in plan
    assert "SORT" not in plan.upper()
