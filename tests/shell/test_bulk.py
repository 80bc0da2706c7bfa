"""Rows that a check writes in one statement are the rows that the ORM would have written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from monitoring.bulk import insert, replace
from monitoring.models import AlertEvent, Notification, RuleState
from tests.factories import NOW, rule

pytestmark = pytest.mark.django_db

TEXTS = ("sync", 'it\'s 100 % "done" \\ {}', "наряд ☃ 😀", "a,b\nc\td")


def events(**columns: Any) -> list[AlertEvent]:
    watched = rule("sync")
    return [
        AlertEvent(
            rule=watched if number else None,
            key=f"key {number}",
            open_key=f"key {number}",
            task_name=text,
            verdict="status_mismatch",
            current_status="Stopped",
            expected_statuses=["Completed", text],
            lookback_hours=1.5,
            rule_settings={"description": text, "remind_hours": None},
            opened_at=NOW + timedelta(microseconds=number),
            last_checked_at=NOW,
            started_at=NOW if number else None,
            alert_owed=bool(number),
            **columns,
        )
        for number, text in enumerate(TEXTS)
    ]


def stored() -> list[dict[str, Any]]:
    return [
        model_to_dict(row) | {"id": None, "key": row.key, "open_key": row.open_key}
        for row in AlertEvent.objects.order_by("pk")
    ]


def test_inserted_rows_are_those_of_the_orm() -> None:
    AlertEvent.objects.bulk_create(rows := events())
    theirs = stored()
    AlertEvent.objects.all().delete()

    insert(AlertEvent, [vars(row) for row in rows])

    assert stored() == theirs
    assert len(theirs) == len(TEXTS)


def test_the_keys_of_inserted_rows_are_told_where_the_database_knows_them() -> None:
    keys = insert(AlertEvent, [vars(row) for row in events()])

    if connection.features.can_return_rows_from_bulk_insert:
        assert keys == list(AlertEvent.objects.order_by("pk").values_list("pk", flat=True))


def test_a_value_that_is_left_out_is_the_default_of_its_field() -> None:
    insert(RuleState, [{"key": "one", "task_name": "sync"}])

    (stored,) = RuleState.objects.values("verdict", "failing_checks", "last_checked_at")
    assert stored == {"verdict": "", "failing_checks": 0, "last_checked_at": None}


@pytest.mark.parametrize("model", [AlertEvent, Notification, RuleState])
def test_no_row_of_a_batch_has_fields_that_set_themselves(model: Any) -> None:
    assert not any(
        getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        for field in model._meta.concrete_fields
    )


def test_replaced_fields_are_written_and_no_others() -> None:
    AlertEvent.objects.bulk_create(events())
    rows = list(AlertEvent.objects.order_by("pk"))
    for row in rows:
        row.verdict, row.dependent_tasks, row.task_name = "no_execution", [TEXTS[1]], "other"

    replace(AlertEvent, [vars(row) for row in rows], ("verdict", "dependent_tasks"))

    for row, text in zip(AlertEvent.objects.order_by("pk"), TEXTS, strict=True):
        assert (row.verdict, row.dependent_tasks) == ("no_execution", [TEXTS[1]])
        assert row.task_name == text


def test_what_is_there_already_stays_as_it_is() -> None:
    RuleState.objects.create(key="one", task_name="before")

    new = [{"key": key, "task_name": "after"} for key in ("one", "two")]
    insert(RuleState, new, ignore_conflicts=True)

    assert dict(RuleState.objects.values_list("key", "task_name")) == {
        "one": "before",
        "two": "after",
    }


@pytest.mark.parametrize(("rows", "statements"), [(0, 0), (1, 1), (1000, 1), (1001, 2)])
def test_a_thousand_rows_are_one_statement(rows: int, statements: int) -> None:
    new = [{"key": str(number), "task_name": "sync"} for number in range(rows)]

    with CaptureQueriesContext(connection) as queries:
        insert(RuleState, new)

    assert len(queries) == statements
    assert RuleState.objects.count() == rows
