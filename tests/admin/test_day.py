"""The picture of the last day: all rules, a row for each, the worst first."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring.admin import day
from monitoring.models import MonitorRule, RuleState
from monitoring.tasklogs import buckets
from tests.admin.conftest import client_of, staff
from tests.admin.data import HOSTILE, event, state_of, url
from tests.factories import NOW, ago, execution, rule

pytestmark = pytest.mark.django_db


def look(client: Client, query: str = "") -> str:
    with time_machine.travel(NOW, tick=False):
        response = client.get(url(MonitorRule, "day") + query)
    assert response.status_code == 200
    return str(response.content.decode())


def drawn(page: str) -> list[str]:
    """Return the names of the rules, from the top."""
    return re.findall(r'<th scope="row"><a [^>]*>([^<]*)</a>', page)


def labels(page: str) -> list[str]:
    """Return what a screen reader says of each row."""
    return re.findall(r'role="img" aria-label="([^"]*)"', page)


def test_the_worst_come_first(root: Client) -> None:
    state_of(rule("fine"), "ok")
    rule("new")
    state_of(rule("unclear"), "unknown")
    state_of(rule("busy"), "in_progress")
    state_of(rule("fails"), "status_mismatch", failing_checks=1)
    state_of(rule("fails for long"), "no_execution", failing_checks=9)
    state_of(rule("off", enabled=False), "no_execution")

    assert drawn(look(root)) == [
        f"{name} rule" for name in ("fails for long", "fails", "unclear", "busy", "fine", "new")
    ]


def test_it_says_in_words_what_it_draws(root: Client) -> None:
    watched = rule("sync")
    state_of(watched, "status_mismatch")
    for hours in (3, 2, 1):
        execution("sync", started=ago(hours=hours))
    execution("sync", "Stopped", started=ago(minutes=5))
    event("sync", rule=watched, opened_at=ago(minutes=4))
    event("sync", rule=watched, opened_at=ago(hours=40), resolved_at=ago(hours=23))
    event("sync", rule=watched, opened_at=ago(hours=90), resolved_at=ago(hours=80))

    page = look(root)

    said = (
        "Completed from 09:00 to 11:15; Stopped from 11:45 to 12:00; "
        "Alert event from 12:00 to 13:00; Alert event from 11:56 to now"
    )
    assert labels(page) == [said]
    assert all(f"<li>{part}</li>" in page for part in said.split("; "))
    assert page.count('class="monitoring-open"') == 2


def test_a_rule_whose_task_did_nothing_says_so(root: Client) -> None:
    rule("sync")

    assert labels(look(root)) == ["No execution"]


def test_executions_and_events_are_there_for_those_who_may_view_them() -> None:
    execution("sync", "Stopped")
    event("sync", rule=rule("sync"))

    page = look(client_of(staff("rules only", "view_monitorrule")))

    assert drawn(page) == ["sync rule"]
    assert labels(page) == [""]


def test_what_was_not_read_is_marked(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rule("sync")

    def read(_log: Any, found: dict[str, Any], parts: Any) -> None:
        found["sync"].known_since = ago(hours=6)

    monkeypatch.setattr(buckets, "_seek", read)
    monkeypatch.setattr(buckets, "_read", read)

    page = look(root)

    assert 'class="monitoring-unread" width="720"' in page
    assert labels(page) == ["more executions before 06:00 than are drawn"]


def test_the_verdict_on_the_task_that_a_rule_watched_before_says_nothing(root: Client) -> None:
    watched = rule("before")
    state_of(watched, "no_execution")
    MonitorRule.objects.filter(pk=watched.pk).update(task_name="after")

    page = look(root)

    assert drawn(page) == ["before rule"]
    assert "Never checked" in page


@pytest.mark.parametrize(("bad", "fine", "new"), [(7, 5, 4), (0, 3, 6), (4, 0, 0), (0, 0, 5)])
def test_every_rule_is_on_one_page(
    root: Client, monkeypatch: pytest.MonkeyPatch, bad: int, fine: int, new: int
) -> None:
    monkeypatch.setattr(day, "ROWS_ON_PAGE", 3)
    for number in range(bad):
        state_of(rule(f"bad {number}"), "no_execution")
    for number in range(fine):
        state_of(rule(f"fine {number}"), "ok")
    for number in range(new):
        rule(f"new {number}")

    pages = -(-(bad + fine + new) // 3)
    found = [drawn(look(root, f"?p={number + 1}")) for number in range(pages)]

    assert all(len(names) == 3 for names in found[:-1])
    names = [name for names in found for name in names]
    assert [name.split()[0] for name in names] == ["bad"] * bad + ["fine"] * fine + ["new"] * new
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("page", ["0", "-1", "x", "²", "9" * 30, ""])
def test_a_page_that_is_none_is_the_first_or_the_last(root: Client, page: str) -> None:
    rule("sync")

    assert drawn(look(root, f"?p={page}")) == ["sync rule"]


def test_names_are_shown_as_text(root: Client) -> None:
    rule(HOSTILE, name=HOSTILE)

    assert "<script>alert" not in look(root)


def test_the_page_costs_the_same_with_2_rules_and_with_40(root: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            look(root)
        return len(queries)

    def store(count: int) -> None:
        for number in range(count):
            watched = rule(f"task {count} {number}")
            state_of(watched, "no_execution")
            event(watched.task_name, rule=watched)
            execution(watched.task_name)

    store(2)
    look(root)
    few = cost()
    store(38)

    assert cost() <= few <= 11
    assert RuleState.objects.count() == 40


def test_what_comes_to_the_page_is_bounded_however_often_a_task_runs(root: Client) -> None:
    rule("often")
    small = len(look(root))
    for minute in range(0, 1400, 7):
        execution("often", "Stopped" if minute % 2 else "Completed", started=ago(minutes=minute))
    assert len(look(root)) < small + 8_000
    for minute in range(0, 1400, 3):
        execution("often", "Stopped", started=NOW - timedelta(minutes=minute))
    assert len(look(root)) < small + 8_000
