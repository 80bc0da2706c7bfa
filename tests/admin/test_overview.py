"""The first page of the app: what fails, sleeps, waits, and is watched by nobody."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring.models import AlertEvent, MonitorRule, Notification
from monitoring.rule_rows import key_of
from monitoring.tasklogs import names
from tests.admin.conftest import client_of, staff
from tests.admin.data import HOSTILE, event, message, run, state_of, url
from tests.factories import NOW, ago, execution, rule

pytestmark = pytest.mark.django_db
ADDRESS = "/admin/monitoring/"


def look(client: Client) -> str:
    with time_machine.travel(NOW, tick=False):
        response = client.get(ADDRESS)
    assert response.status_code == 200
    return str(response.content.decode())


def said(page: str) -> str:
    """Return what stands above the picture and Django's own list of models, on one line."""
    own = page.split('class="monitoring-overview"')[1].split('class="app-monitoring')[0]
    own = own.split('class="monitoring-last-day"')[0]
    return " ".join(re.sub(r"<[^>]+>", " ", own).split())


def test_of_an_empty_installation_it_says_what_to_do(root: Client) -> None:
    text = said(look(root))

    assert "No check has run yet. A periodic task named monitor_task_status runs it" in text
    assert "monitor install-schedules makes one" in text
    assert "Failing now No alert event is open." in text
    assert "No rule is snoozed." in text
    assert "No task has run yet." in text


def test_a_task_that_every_worker_refused_is_none_that_has_run(root: Client) -> None:
    execution("sync")
    rule("sync")
    execution("snyc", "Stopped", started_at=None, errors="NotRegistered: no task named snyc")

    assert "Every task that has run is watched by a rule." in said(look(root))


def test_all_is_fine_once_a_check_has_found_it_so(root: Client) -> None:
    execution("sync")
    state_of(rule("sync"), "ok")
    run()

    text = said(look(root))

    assert "All fine No alert event is open." in text
    assert "Every task that has run is watched by a rule." in text


def test_nothing_is_fine_that_fails_without_an_open_event(root: Client) -> None:
    state_of(rule("sync"), "status_mismatch", failing_checks=0)
    state_of(rule("off", enabled=False), "no_execution")
    state_of(rule("fine"), "ok")
    known = rule("known")
    state_of(known, "overrunning")
    event("known", rule=known, open_key=key_of(known), resolved_at=None)
    run()

    page = look(root)

    assert "1 rule fails without an open alert event" in said(page)
    link = re.search(r'href="([^"]+)">1 rule fails', page)
    assert link is not None
    shown = root.get(link[1].replace("&amp;", "&")).context["cl"].result_list
    assert [row.task_name for row in shown] == ["sync"]

    AlertEvent.objects.update(open_key=None, resolved_at=NOW)
    text = said(look(root))
    assert "2 rules fail without" in text
    assert "All fine" not in text


def test_it_says_what_fails_since_when_and_who_is_on_it(root: Client) -> None:
    event("sync", opened_at=ago(hours=30))
    event("report", verdict="no_execution", opened_at=ago(minutes=5), acknowledged_at=NOW)
    event("resumed", acknowledged_at=ago(hours=2), acknowledged_until=ago(hours=1))
    event("long_over", resolved_at=NOW)

    text = said(look(root))

    assert "sync JSON arguments Status mismatch for 1 d 6 h" in text
    assert "report JSON arguments No execution for 5 min, acknowledged" in text
    assert "resumed JSON arguments Status mismatch for 2 h report" in text
    assert "long_over" not in text


def test_it_tells_two_that_watch_one_task_apart(root: Client) -> None:
    event("sync", rule_name="Data is in sync")
    event("sync", periodic_task="Hourly check")

    text = said(look(root))

    assert "sync Data is in sync Status mismatch" in text
    assert "sync JSON arguments of Hourly check Status mismatch" in text


def test_it_says_what_sleeps_and_until_when(root: Client) -> None:
    rule("sync", snoozed_until=NOW + timedelta(hours=1))
    rule("slept", snoozed_until=ago(hours=1))
    rule("off", snoozed_until=NOW + timedelta(hours=1), enabled=False)

    text = said(look(root))

    assert "sync rule until 2026-03-10 13:00:00" in text
    assert "slept" not in text
    assert "off rule" not in text


def test_it_names_tasks_that_no_enabled_rule_watches(root: Client) -> None:
    rule("watched")
    rule("switched_off", enabled=False)
    for name in ("watched", "switched_off", "a&b", "celery.backend_cleanup"):
        execution(name)

    page = look(root)

    text = said(page)
    assert "a&amp;b Add a rule" in text
    assert "switched_off Add a rule" in text
    assert "watched Add" not in text.replace("switched_off", "")
    assert f'{url(type(rule("x")), "add")}?task_name=a%26b"' in page


def test_it_says_when_the_last_check_ran_and_how_it_ended(root: Client) -> None:
    run(state="failed", started_at=ago(minutes=90))

    assert "The last check started 1 h 30 min ago (2026-03-10 10:30:00): Failed." in said(
        look(root)
    )


def test_a_check_of_one_rule_is_not_the_last_check(root: Client) -> None:
    rule("sync")
    run(started_at=ago(minutes=90))
    run(rule_set="rules with name sync rule", started_at=ago(minutes=1))

    assert "The last check started 1 h 30 min ago" in said(look(root))


def test_the_messages_that_it_counts_are_the_ones_that_it_links_to(root: Client) -> None:
    for state in ("pending", "sending", "failed", "sent", "suppressed"):
        message(event("sync"), state=state)

    page = look(root)

    assert "3 messages are not delivered" in said(page)
    link = re.search(rf'href="({url(Notification, "changelist")}\?[^"]+)"', page)
    assert link is not None
    shown = root.get(link[1].replace("&amp;", "&")).context["cl"].result_list
    assert {row.state for row in shown} == {"pending", "sending", "failed"}


def test_more_than_twenty_lines_lead_to_the_list(root: Client) -> None:
    for number in range(25):
        event(f"task {number:02}", opened_at=ago(hours=30 - number))

    page = look(root)

    assert "task 19" in page
    assert "task 20" not in page
    assert "alertevent/?state=open" in page


def test_names_are_shown_as_text(root: Client) -> None:
    event(HOSTILE)
    execution(HOSTILE)
    rule(HOSTILE, name=HOSTILE, enabled=True, snoozed_until=timezone.now() + timedelta(days=9999))

    assert "<script>alert" not in look(root)


PARTS = {
    "alertevent": "Failing now",
    "monitorrule": "Snoozed",
    "monitorrun": "No check has run yet.",
}


@pytest.mark.parametrize("model", PARTS)
def test_each_part_is_there_for_those_who_may_view_its_rows(model: str) -> None:
    execution("sync")
    text = said(look(client_of(staff(f"only-{model}", f"view_{model}"))))

    assert {part for part in PARTS.values() if part in text} == {PARTS[model]}
    assert "watched by nobody" not in text


def test_it_costs_the_same_with_1_row_of_each_and_with_40(root: Client) -> None:
    def store(numbers: range) -> None:
        for number in numbers:
            event(f"task {number}")
            execution(f"task {number}")
            state_of(rule(f"rule {number}", snoozed_until=NOW + timedelta(hours=1)), "ok")

    def cost() -> int:
        names.forget()
        with CaptureQueriesContext(connection) as queries:
            look(root)
        return len(queries)

    store(range(1))
    look(root)
    few = cost()
    store(range(1, 40))

    assert cost() <= few <= 20


def test_it_draws_the_worst_rules_and_leads_to_all(root: Client) -> None:
    state_of(rule("sync"), "ok")
    state_of(rule("report"), "no_execution")

    page = look(root)

    drawn = page.split('class="monitoring-last-day"')[1]
    assert drawn.index("report rule") < drawn.index("sync rule")
    assert url(MonitorRule, "day") in drawn
    assert url(MonitorRule, "dependencies") in drawn
