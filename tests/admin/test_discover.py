"""The page that proposes rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask

from monitoring import schedules
from monitoring.admin.rule_discovery import ProposalForm
from monitoring.discovery import discover
from monitoring.models import MonitorRule
from monitoring.tasklogs import names
from tests.admin.conftest import client_of, staff
from tests.admin.data import HOSTILE, url
from tests.factories import NOW, ago, execution, rule
from tests.shell.test_discovery import scheduled

pytestmark = pytest.mark.django_db

PAGE = "/admin/monitoring/monitorrule/discover/"


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def filled(*chosen: str, **changes: dict[str, str]) -> dict[str, str]:
    """Return the form as the page shows it, with these tasks chosen and these values typed."""
    data = {}
    for proposal in discover(NOW):
        form = ProposalForm(proposal)
        for name in form.fields:
            if name != "accept":
                data[form.add_prefix(name)] = str(form.initial[name])
        for name, value in changes.get(proposal.task_name, {}).items():
            data[form.add_prefix(name)] = value
        if proposal.task_name in chosen:
            data[form.add_prefix("accept")] = "on"
    return data


def said(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def test_the_list_of_rules_leads_to_it(root: Client, vera: Client) -> None:
    assert f'href="{PAGE}"' in root.get(url(MonitorRule, "changelist")).content.decode()
    assert f'href="{PAGE}"' not in vera.get(url(MonitorRule, "changelist")).content.decode()


def test_it_shows_what_is_proposed_and_why(root: Client) -> None:
    scheduled("Daily report", "generate_daily_report")
    at = ago(hours=5)
    execution(
        "generate_daily_report",
        started=at,
        submitted_at=at - timedelta(minutes=2),
        finished_at=at + timedelta(minutes=20),
    )

    page = root.get(PAGE).content.decode()

    assert 'value="Daily report"' in page
    assert 'value="25.5"' in page
    assert "95 % of its runs took at most 20 min" in page
    assert "its schedule leaves up to 25 h between two runs" in page


def test_it_says_when_nothing_is_proposed(root: Client) -> None:
    assert "Nothing is proposed" in root.get(PAGE).content.decode()


def test_what_is_chosen_is_added_and_linked_and_written_into_the_history(root: Client) -> None:
    scheduled("Daily report", "report")
    scheduled("Nightly sync", "sync")

    response = root.post(PAGE, filled("report"), follow=True)

    stored = MonitorRule.objects.get()
    assert (stored.name, stored.lookback_hours) == ("Daily report", 25.5)
    assert url(MonitorRule, "change", stored.pk) in said(response)
    assert said(response).startswith("1 rule was added: ")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == (str(stored.pk), "Added.")
    assert "Nightly sync" in response.content.decode()


def test_name_and_window_may_be_changed_before(root: Client) -> None:
    scheduled("Daily report", "report")

    root.post(PAGE, filled("report", report={"name": "Report", "lookback_hours": "30"}))

    stored = MonitorRule.objects.get()
    assert (stored.name, stored.lookback_hours) == ("Report", 30)


def test_all_are_accepted_by_one_button(root: Client) -> None:
    scheduled("Daily report", "report")
    scheduled("Nightly sync", "sync")

    root.post(PAGE, filled() | {"all": "yes"})

    assert MonitorRule.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("name", "", "This field is required."),
        ("name", "Taken", "Rule with this Name already exists."),
        ("lookback_hours", "0", "Must be greater than 0."),
        ("lookback_hours", "nan", "Enter a number."),
        ("lookback_hours", "99999", "less than or equal to 87600"),
    ],
)
def test_what_is_wrong_is_said_at_its_place_and_nothing_is_lost(
    root: Client, field: str, value: str, error: str
) -> None:
    rule("other", name="Taken")
    scheduled("Daily report", "report")
    scheduled("Nightly sync", "sync")
    data = filled("report", "sync", report={field: value}, sync={"name": "My sync"})

    response = root.post(PAGE, data)

    page = response.content.decode()
    assert "Nothing was accepted: correct the errors below." in said(response)
    assert error in page
    assert 'value="My sync"' in page
    assert page.count("checked") == 2
    assert MonitorRule.objects.count() == 1


def test_two_with_one_name_are_refused_together(root: Client) -> None:
    scheduled("Daily report", "report")
    scheduled("Nightly sync", "sync")
    same = {"name": "Same"}

    response = root.post(PAGE, filled("report", "sync", report=same, sync=same))

    assert "Nothing was accepted: Rule with this Name already exists." in said(response)
    assert not MonitorRule.objects.exists()


def test_what_is_not_chosen_may_be_wrong(root: Client) -> None:
    scheduled("Daily report", "report")
    scheduled("Nightly sync", "sync")

    root.post(PAGE, filled("report", sync={"lookback_hours": "x"}))

    assert MonitorRule.objects.get().task_name == "report"


def test_choosing_nothing_is_told(root: Client) -> None:
    scheduled("Daily report", "report")

    assert "choose at least one" in said(root.post(PAGE, filled()))


def test_sending_the_form_twice_adds_a_rule_once(root: Client) -> None:
    scheduled("Daily report", "report")
    data = filled("report")

    root.post(PAGE, data)
    response = root.post(PAGE, data)

    assert MonitorRule.objects.count() == 1
    assert "Nothing was accepted" in said(response)


def test_a_rule_that_drifted_is_changed_and_one_that_is_left_is_disabled(root: Client) -> None:
    short = rule("sync", lookback_hours=2)
    scheduled("Sync", "sync")
    gone = rule("no_longer_there")

    response = root.post(PAGE, filled("sync", "no_longer_there"), follow=True)

    short.refresh_from_db()
    gone.refresh_from_db()
    assert (short.lookback_hours, gone.enabled) == (25.5, False)
    assert "1 rule was changed" in said(response)
    assert "1 rule was disabled" in said(response)
    told = {entry.object_id: entry.get_change_message() for entry in LogEntry.objects.all()}
    assert told == {
        str(short.pk): "Changed Look back, in hours.",
        str(gone.pk): "Changed Enabled.",
    }


def test_edit_first_opens_the_form_with_what_is_proposed(root: Client) -> None:
    scheduled("Daily report", "report")
    for number in range(5):
        execution("report", "Cancelled" if number else "Completed", finished_at=NOW)
    (address,) = re.findall(r'href="([^"]*/add/\?[^"]*)"', root.get(PAGE).content.decode())

    form = root.get(unescape(address)).context["adminform"].form

    assert form.initial["task_name"] == "report"
    assert form.initial["name"] == "Daily report"
    assert form.initial["lookback_hours"] == "25.5"
    assert form.initial["expected_statuses"] == ["Completed", "Cancelled"]


class TestPermissions:
    def test_who_may_only_add_is_not_offered_changes(self) -> None:
        adder = staff("ada", "add_monitorrule", "view_monitorrule")
        adder.user_permissions.add(Permission.objects.get(codename="view_periodictask"))
        rule("sync", lookback_hours=2)
        scheduled("Sync", "sync")
        scheduled("Daily report", "report")
        client = client_of(adder)

        page = client.get(PAGE).content.decode()
        client.post(PAGE, filled("sync", "report"))

        assert "Daily report" in page
        assert "Drifted" not in page
        assert MonitorRule.objects.get(task_name="sync").lookback_hours == 2
        assert MonitorRule.objects.filter(task_name="report").exists()

    def test_who_may_not_view_schedules_or_executions_learns_nothing_of_them(
        self, ed: Client
    ) -> None:
        scheduled("Secret schedule", "secret_task")
        for number in range(15):
            execution("secret_run", started=ago(hours=number))

        page = ed.get(PAGE).content.decode()

        assert "ecret" not in page
        assert "You may not view periodic tasks" in page
        assert "You may not view executions" in page

    def test_who_may_not_add_gets_403(self, vera: Client, nora: Client) -> None:
        for client in (vera, nora):
            assert client.get(PAGE).status_code == 403
            assert client.post(PAGE, {"all": "yes"}).status_code == 403


def test_names_are_never_html(root: Client) -> None:
    scheduled(HOSTILE, HOSTILE)

    page = root.get(PAGE).content.decode()
    response = root.post(PAGE, filled(HOSTILE), follow=True)

    assert HOSTILE not in page
    assert HOSTILE not in response.content.decode()
    assert MonitorRule.objects.get().task_name == HOSTILE


def test_it_costs_the_same_for_many(root: Client) -> None:
    counts = []
    for number in (3, 60):
        for task in range(number):
            scheduled(f"Daily {number} {task}", f"task-{task}")
        names.forget()
        with CaptureQueriesContext(connection) as queries:
            root.get(PAGE)
        counts.append(len(queries))
        PeriodicTask.objects.all().delete()

    assert counts[0] == counts[1]


def test_more_than_one_page_holds_is_told(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.admin.rule_discovery.MOST", 1)
    scheduled("Daily report", "report")
    scheduled("Nightly sync", "sync")

    assert "There is more" in root.get(PAGE).content.decode()


def test_the_list_of_rules_offers_it_without_the_pages_for_files_too(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = admin.site._registry[MonitorRule]
    monkeypatch.setattr(own, "change_list_template", type(own).change_list_template)

    assert f'href="{PAGE}"' in root.get(url(MonitorRule, "changelist")).content.decode()


def test_no_more_schedules_are_looked_into_than_fill_a_page(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.admin.rule_discovery.MOST", 3)
    for number in range(20):
        scheduled(f"Daily {number:02d}", f"task-{number:02d}", hour=str(number))

    with patch("monitoring.schedules.coming_gap", wraps=schedules.coming_gap) as looked_into:
        page = root.get(PAGE).content.decode()

    assert page.count("a periodic task runs it") == 3
    assert looked_into.call_count <= 6
