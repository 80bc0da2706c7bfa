"""The filters that one types: always there, exact, and beside whatever else is asked for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from monitoring.models import AlertEvent, BackgroundTask, MonitorRule
from tests.admin.data import HOSTILE, event, state_of, url
from tests.factories import execution, rule

pytestmark = pytest.mark.django_db


def page_of(client: Client, model: type[Any], **query: str) -> str:
    response = client.get(url(model, "changelist"), query)
    assert response.status_code == 200
    return str(response.content.decode())


def names(client: Client, **query: str) -> list[str]:
    response = client.get(url(MonitorRule, "changelist"), query)
    return sorted(row.name for row in response.context["cl"].result_list)


@pytest.mark.parametrize("model", [MonitorRule, AlertEvent, BackgroundTask])
def test_a_task_can_be_typed_on_each_list(root: Client, model: type[Any]) -> None:
    page = page_of(root, model)

    assert '<input type="text" name="task_name" value="" aria-label="Task"' in page


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("ok", ["A"]),
        ("failing", ["B", "C"]),
        ("in_progress", ["D"]),
        ("unknown", ["E"]),
        ("never", ["F", "G"]),
    ],
)
def test_rules_are_found_by_what_the_last_check_said(
    root: Client, state: str, found: list[str]
) -> None:
    said = ("ok", "no_execution", "status_mismatch", "in_progress", "unknown", "")
    for name, verdict in zip("ABCDEF", said, strict=True):
        state_of(rule(name, name=name), verdict)
    state_of(rule("g", name="G"), "ok")
    MonitorRule.objects.filter(name="G").update(task_name="pointed elsewhere")

    assert names(root, state=state) == found


@pytest.mark.parametrize(
    ("limit", "found"),
    [("runtime", ["A"]), ("duration", ["B", "D"]), ("success", ["C", "D"]), ("none", ["E"])],
)
def test_rules_are_found_by_what_they_limit(root: Client, limit: str, found: list[str]) -> None:
    rule("a", name="A", max_runtime_minutes=30)
    rule("b", name="B", max_duration_factor=2)
    rule("c", name="C", min_success_rate=90)
    rule("d", name="D", max_duration_factor=3.5, min_success_rate=99.9)
    rule("e", name="E")

    assert names(root, limit=limit) == found
    assert names(root, limit="sometimes") == ["A", "B", "C", "D", "E"]


def test_the_list_of_rules_says_what_they_limit(root: Client) -> None:
    rule("d", max_runtime_minutes=30, max_duration_factor=3.5, min_success_rate=99.9)

    limits = "at most 30 min · at most 3.5 times the usual · 99.9 % must succeed"
    assert limits in page_of(root, MonitorRule)


def test_rules_are_found_by_their_task(root: Client) -> None:
    rule("sync", name="A")
    rule("synchronise", name="B")

    assert names(root, task_name="sync") == ["A"]


def test_rules_are_found_by_a_recipient_in_full(root: Client) -> None:
    rule("a", name="A", notify_to=["ops@example.com", "b@example.com"])
    rule("b", name="B", notify_to=["devops@example.com"])
    rule("c", name="C")

    assert names(root, recipient="ops@example.com") == ["A"]
    assert names(root, recipient="ops") == []


@pytest.mark.parametrize("broken", ["ops@example.com", 5, {"ops@example.com": 5}])
def test_a_row_whose_recipients_are_no_list_is_left_out(root: Client, broken: object) -> None:
    rule("a")
    MonitorRule.objects.update(notify_to=broken)

    assert names(root, recipient="ops@example.com") == []
    assert names(root, recipient="5") == []


def test_what_is_typed_comes_on_top_of_the_other_filters(root: Client) -> None:
    for name, verdict in (("A", "ok"), ("B", "no_execution")):
        state_of(rule(name, name=name, notify_to=["ops@example.com"]), verdict)

    page = page_of(root, MonitorRule, state="failing", q="B", p="1", recipient="x")
    forms = re.findall(r'<form class="monitoring-typed".*?</form>', page, re.DOTALL)

    kept = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', forms[1]))
    assert kept == {"state": "failing", "q": "B"}
    assert names(root, **kept, recipient="ops@example.com") == ["B"]


def test_it_shows_what_is_in_force_and_how_to_take_it_off(root: Client) -> None:
    execution("sync")
    event("sync")

    page = page_of(root, BackgroundTask, task_name="sync", status__exact="Completed")

    assert 'name="task_name" value="sync"' in page
    assert '<a href="?status__exact=Completed">All</a>' in page


def test_what_was_typed_is_shown_as_text(root: Client) -> None:
    assert "<script>alert" not in page_of(root, MonitorRule, recipient=HOSTILE, task_name=HOSTILE)
