"""The page that draws what happened to a task: the same in the picture and in the table."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, Notification
from tests.admin.conftest import client_of, staff
from tests.admin.data import HOSTILE, event, message, url
from tests.factories import NOW, ago, execution, rule

pytestmark = pytest.mark.django_db
ADDRESS = reverse("admin:monitoring_monitorrule_timeline")


def look(client: Client, **query: Any) -> str:
    with time_machine.travel(NOW, tick=False):
        response = client.get(ADDRESS, query)
    assert response.status_code == 200
    return str(response.content.decode())


def table(page: str) -> list[str]:
    """Return the lines of the table as text, the newest first."""
    body = page.split('id="monitoring-timeline-table"')[1].split("<tbody>")[1]
    lines = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in lines]


def test_it_tells_of_executions_windows_events_and_messages(root: Client) -> None:
    ran = execution("sync", "Stopped", started=ago(hours=3), finished_at=ago(hours=2.9))
    opened = event("sync", opened_at=ago(hours=2))
    told = message(opened)
    Notification.objects.update(created_at=ago(hours=1))

    page = look(root, task_name="sync")

    assert table(page) == [
        "2026-03-10 11:00:00 Message ✉ Alert, Sent: ops@example.com",
        "2026-03-10 10:00:00 Alert event ! Status mismatch",
        "2026-03-10 09:00:00 Failed window · Looked at by the check that failed, 1 h",
        "2026-03-10 09:00:00 Execution ✕ Stopped, 6 min",
    ]
    for row in (ran, opened, told):
        # Once in the picture and once in the table; an event also by its window.
        links = page.count(f'href="{url(type(row), "change", row.pk)}"')
        assert links == (4 if row is opened else 2)
    assert page.count("<rect ") == 4


def test_of_a_rule_it_tells_only_of_the_rules_own_events(root: Client) -> None:
    watched = rule("sync")
    event("sync", rule=watched)
    event("sync", rule=rule("sync", name="Another"), verdict="no_execution")

    said = " ".join(table(look(root, rule=watched.pk)))

    assert "Status mismatch" in said
    assert "No execution" not in said


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, {"a@example.com", "b@example.com", "Status mismatch", "No execution"}),
        ({"verdict": "no_execution"}, {"b@example.com", "No execution"}),
        ({"state": "open"}, {"a@example.com", "Status mismatch"}),
        ({"state": "resolved"}, {"b@example.com", "No execution"}),
        ({"state": "resolved", "verdict": "status_mismatch"}, set()),
        ({"state": "nonsense"}, {"a@example.com", "b@example.com", "Status mismatch"}),
    ],
)
def test_events_are_filtered_together_with_their_messages(
    root: Client, query: dict[str, str], told: set[str]
) -> None:
    message(event("sync"), recipient="a@example.com")
    closed = event("sync", verdict="no_execution", resolved_at=ago(minutes=30))
    message(closed, recipient="b@example.com")
    Notification.objects.update(created_at=ago(hours=1))

    said = " ".join(table(look(root, task_name="sync", **query)))

    every = {"a@example.com", "b@example.com", "Status mismatch", "No execution"}
    shown = {text for text in every if text in said}
    assert told <= shown if query.get("state") == "nonsense" else told == shown


@pytest.mark.parametrize(
    ("query", "count"),
    [({}, 1), ({"hours": "1"}, 0), ({"hours": "168"}, 2), ({"until": "2026-03-09"}, 1)],
)
def test_a_period_is_chosen_by_its_length_and_its_last_day(
    root: Client, query: dict[str, str], count: int
) -> None:
    for when in (ago(hours=3), ago(hours=30)):
        execution("sync", started=when, finished_at=when + timedelta(minutes=1))

    executions = [line for line in table(look(root, task_name="sync", **query)) if "✓" in line]

    assert len(executions) == count


def test_the_history_of_a_deleted_rule_is_told_by_its_task(root: Client) -> None:
    watched = rule("sync")
    event("sync", rule=watched, rule_name=watched.name, resolved_at=ago(hours=1))
    watched.delete()

    assert "Status mismatch" in " ".join(table(look(root, task_name="sync")))
    assert root.get(ADDRESS, {"rule": "1"}).status_code == 404


def test_each_part_is_told_only_to_those_who_may_view_its_rows() -> None:
    execution("sync", started=ago(hours=1))
    message(event("sync"))
    Notification.objects.update(created_at=ago(hours=1))
    kinds = {"backgroundtask": "Execution", "alertevent": "Alert event"}
    for model, kind in kinds.items():
        client = client_of(staff(f"only-{model}", "view_monitorrule", f"view_{model}"))
        said = " ".join(table(look(client, task_name="sync")))
        assert kind in said
        assert all(other not in said for other in (*kinds.values(), "Message") if other != kind)


def test_executions_and_events_lead_to_it_those_who_may_open_it(root: Client) -> None:
    rows = [execution("a&b"), event("a&b")]
    watcher = client_of(staff("watcher", "view_alertevent", "view_backgroundtask"))

    for row in rows:
        address = url(type(row), "change", row.pk)
        assert f'href="{ADDRESS}?task_name=a%26b"' in root.get(address).content.decode()
        assert ADDRESS not in watcher.get(address).content.decode()


def test_names_are_shown_as_text(root: Client) -> None:
    execution(HOSTILE)

    assert "<script>alert" not in look(root, task_name=HOSTILE)


@pytest.mark.parametrize("query", [{}, {"task_name": "a\0"}, {"rule": "x"}, {"rule": "999"}])
def test_nothing_is_drawn_of_what_is_not_there(root: Client, query: dict[str, str]) -> None:
    assert root.get(ADDRESS, query).status_code == 404


def test_it_costs_the_same_with_1_row_of_each_and_with_50(
    root: Client, django_assert_num_queries: Any
) -> None:
    for count in (1, 49):
        for _ in range(count):
            execution("sync", started=ago(hours=1))
            message(event("sync"))
        look(root, task_name="sync")
        with django_assert_num_queries(5):
            look(root, task_name="sync")
    assert {AlertEvent.objects.count(), BackgroundTask.objects.count()} == {50}
    assert not MonitorRule.objects.exists()
