"""A page costs the same number of queries however many rows it has."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring.models import AlertEvent, MonitorRule, Notification, RuleState
from monitoring.rule_rows import key_of
from tests.admin.data import MODELS, channel, event, message, run, state_of, url, worker
from tests.factories import execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.matrix]

MOST = 14
"""Queries of the costliest page, the session and the user's permissions included."""


def queries(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return [query["sql"] for query in captured]


def store(count: int) -> None:
    for number in range(count):
        ran = execution(f"task {number}", "Stopped")
        watched = rule(f"task {number}", name=f"rule {count} {number}")
        state_of(watched, "status_mismatch", failing_checks=2)
        found = event(
            watched.task_name, rule=watched, open_key=key_of(watched), task_id=ran.task_id
        )
        message(found)
        message(found, state="pending")
        run()
        worker(f"celery@worker-{count}-{number}")
        channel(f"channel-{count}-{number}")


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_the_same_with_5_rows_and_with_50(root: Client, model: type[Any]) -> None:
    address = url(model, "changelist")
    store(5)
    queries(root, address)  # content types are looked up once
    few = queries(root, address)
    store(45)

    many = queries(root, address)

    assert len(many) == len(few), "\n".join(many)
    assert len(few) <= MOST


def test_the_page_of_an_event_costs_the_same_with_5_messages_and_with_500(root: Client) -> None:
    found = event("sync", rule=rule("sync"))
    address = url(AlertEvent, "change", found.pk)
    for _ in range(5):
        message(found)
    queries(root, address)
    few = queries(root, address)
    Notification.objects.bulk_create(
        Notification(alert_event=found, kind="alert", recipient="a@b.c", subject="s")
        for _ in range(495)
    )

    many = queries(root, address)

    assert len(many) == len(few), "\n".join(many)
    assert len(few) <= MOST


def test_the_page_of_a_rule_reads_its_state_and_its_event_once_each(root: Client) -> None:
    store(5)
    address = url(MonitorRule, "change", MonitorRule.objects.get(task_name="task 0").pk)
    queries(root, address)

    sent = queries(root, address)

    for table in ("monitoring_rulestate", "monitoring_alertevent", "monitoring_monitorrule"):
        assert sum(f'FROM "{table}"' in sql or f"FROM `{table}`" in sql for sql in sent) == 1, sent


@pytest.mark.parametrize(
    ("number", "columns"),
    [(2, ("text_body", "html_body", "facts")), (3, ("stack_trace_errors", "parameters"))],
    ids=["messages", "executions"],
)
def test_lists_leave_long_texts_in_the_database(
    root: Client, number: int, columns: tuple[str, ...]
) -> None:
    store(1)

    sent = queries(root, url(MODELS[number], "changelist"))

    for column in columns:
        assert not [sql for sql in sent if column in sql]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("state=ok", marks=pytest.mark.matrix),
        "state=failing",
        pytest.param("state=never", marks=pytest.mark.matrix),
        "recipient=a@b.example",
        pytest.param("recipient=ops", marks=pytest.mark.matrix),
        pytest.param("task_name=task 7", marks=pytest.mark.matrix),
    ],
)
def test_a_filter_of_rules_costs_the_same_with_5_rules_and_with_3000(
    root: Client, query: str
) -> None:
    """More than the thousand that SQLite is asked for at once."""
    address = f"{url(MonitorRule, 'changelist')}?{query}"
    store(5)
    queries(root, address)
    few = queries(root, address)
    rows = MonitorRule.objects.bulk_create(
        MonitorRule(
            name=f"many {n}", task_name=f"many {n}", notify_to=["a@b.example"], channels=["ops"]
        )
        for n in range(3000)
    )
    RuleState.objects.bulk_create(
        RuleState(key=key_of(row), rule=row, verdict="ok" if row.pk % 2 else "no_execution")
        for row in rows[:2000]
    )

    many = queries(root, address)

    # A page without rows asks for nothing beside them.
    assert len(few) <= len(many) <= MOST, "\n".join(many)


@pytest.mark.parametrize("model", MODELS)
def test_a_list_does_not_count_what_is_filtered_out(root: Client, model: type[Any]) -> None:
    store(2)

    sent = queries(root, url(model, "changelist") + "?q=zzz")

    assert len([sql for sql in sent if "COUNT(" in sql and "WHERE" not in sql]) == 0
