"""django-celery-beat's form says what the monitor would refuse, at the field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.core import mail
from django.test import Client
from django_celery_beat.admin import PeriodicTaskAdmin
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.admin.periodic_task import CheckedPeriodicTaskAdmin, replace_stock_admin
from monitoring.doors import check
from monitoring.models import AlertEvent, MonitorRule
from monitoring.runs import Request
from tests.admin.data import HOSTILE

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

ADD = "/admin/django_celery_beat/periodictask/add/"
GOOD = '[{"sync": {"expected_statuses": ["Completed"], "lookback_hours": 1.5}}]'


def form(**changes: str) -> dict[str, Any]:
    schedule, _ = IntervalSchedule.objects.get_or_create(every=5, period="minutes")
    return {
        "name": "Check all rules",
        "regtask": "monitor_task_status",
        "task": "",
        "enabled": "on",
        "interval": schedule.pk,
        "args": "[]",
        "kwargs": "{}",
        "headers": "{}",
    } | changes


def errors(client: Client, **changes: str) -> dict[str, list[str]]:
    response = client.post(ADD, form(**changes))
    assert response.status_code == 200
    assert not PeriodicTask.objects.exists()
    found = response.context["adminform"].form.errors
    return {field: [str(error) for error in messages] for field, messages in found.items()}


def test_the_task_is_offered_without_a_worker(root: Client) -> None:
    page = root.get(ADD).content.decode()

    assert '<option value="monitor_task_status">monitor_task_status</option>' in page


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"args": GOOD},
        {"kwargs": '{"rules": ["Daily report"]}'},
        {"kwargs": '{"tasks": ["sync"]}'},
        {"regtask": "", "task": "monitor_task_status", "args": GOOD},
    ],
)
def test_good_arguments_are_saved(root: Client, changes: dict[str, str]) -> None:
    assert root.post(ADD, form(**changes)).status_code == 302
    assert PeriodicTask.objects.get().task == "monitor_task_status"


@pytest.mark.parametrize(
    ("field", "text", "beginning"),
    [
        ("args", "null", "Must be a JSON array, got null: write [] to check all rules"),
        ("args", "7", "Must be a JSON array, got 7"),
        ("args", '{"sync": {}}', "Must be a JSON array, got"),
        ("args", "[{}]", "arguments[0]: the dictionary names no task"),
        ("args", "[null]", "arguments[0]: expected one dictionary, got null"),
        ("args", '["sync"]', "arguments: expected one dictionary, got the text"),
        ("args", '[{"sync": {}}]', 'arguments[0]["sync"]: expected_statuses is required'),
        (
            "args",
            '[{"sync": {"expected_statuses": ["Complete"]}}]',
            'arguments[0]["sync"]: expected_statuses "Complete" is not a status: did you mean',
        ),
        (
            "args",
            '[{"sync": {"expected_statuses": ["Completed"], "lookback_hours": NaN}}]',
            'arguments[0]["sync"]: lookback_hours must be a finite number, got NaN',
        ),
        (
            "args",
            '[{"sync": {"expected_statuses": ["Completed"], "lookback_hours": 1e400}}]',
            'arguments[0]["sync"]: lookback_hours must be a finite number, got Infinity',
        ),
        (
            "args",
            '[{"sync": {"expected_statuses": ["Completed"], "notify_to": ["nobody"]}}]',
            'arguments[0]["sync"].notify_to: "nobody" is not an e-mail address',
        ),
        (
            "args",
            '[{"sync": {"expected_statuses": ["Completed"], "notify": []}}]',
            'arguments[0]["sync"]: unknown key "notify" (did you mean "notify_to"?)',
        ),
        ("args", "[", "Unable to parse JSON"),
        ("kwargs", "[]", "Must be a JSON object, got []: write {} for none"),
        ("kwargs", '{"rule": ["x"]}', 'keyword argument "rule": unknown (did you mean "rules"?)'),
        ("kwargs", '{"rules": []}', "rules: is empty"),
        ("kwargs", '{"tasks": "sync"}', 'tasks: must be a list, got the text "sync"'),
    ],
)
def test_arguments_that_the_monitor_would_refuse_are_refused_at_their_field(
    root: Client, field: str, text: str, beginning: str
) -> None:
    found = errors(root, **{field: text})

    assert list(found) == [field]
    assert len(found[field]) == 1
    assert found[field][0].startswith(beginning)


def test_each_problem_is_listed_and_escaped(root: Client) -> None:
    text = '[{"<script>": {}, "b": {"expected_statuses": []}}]'

    found = errors(root, args=text)

    assert len(found["args"]) == 2
    assert "<script>&quot;" not in root.post(ADD, form(args=text)).content.decode()


def test_arguments_of_other_tasks_are_none_of_our_business(root: Client) -> None:
    response = root.post(ADD, form(regtask="", task="other", args='["x", null]'))

    assert response.status_code == 302


def test_a_stored_task_with_refused_arguments_can_be_opened_and_repaired(root: Client) -> None:
    schedule = IntervalSchedule.objects.create(every=1, period="hours")
    row = PeriodicTask.objects.create(
        name=HOSTILE, task="monitor_task_status", interval=schedule, args='[{"a": {}}]'
    )
    address = f"/admin/django_celery_beat/periodictask/{row.pk}/change/"

    assert "<script>alert" not in root.get(address).content.decode()
    assert root.post(address, form(args=GOOD)).status_code == 302


@pytest.fixture
def site() -> AdminSite:
    return AdminSite()


def test_the_stock_page_is_replaced() -> None:
    assert type(admin.site._registry[PeriodicTask]) is CheckedPeriodicTaskAdmin


def test_a_page_of_the_hosts_own_is_left_alone(site: AdminSite) -> None:
    class HostsAdmin(PeriodicTaskAdmin):  # type: ignore[misc]
        pass

    site.register(PeriodicTask, HostsAdmin)

    assert not replace_stock_admin(site)
    assert type(site._registry[PeriodicTask]) is HostsAdmin


def test_a_site_without_such_a_page_does_not_get_one(site: AdminSite) -> None:
    assert not replace_stock_admin(site)
    assert PeriodicTask not in site._registry


class TestDocumentedArgumentsBecomeRules:
    @pytest.fixture
    def row(self) -> PeriodicTask:
        schedule, _ = IntervalSchedule.objects.get_or_create(every=5, period="minutes")
        return PeriodicTask.objects.create(
            name="Old", task="monitor_task_status", interval=schedule, args=GOOD, description="Ours"
        )

    def address(self, row: PeriodicTask) -> str:
        return f"/admin/django_celery_beat/periodictask/{row.pk}/to-rules/"

    def test_by_a_link_that_only_such_a_task_has(self, root: Client, row: PeriodicTask) -> None:
        page = f"/admin/django_celery_beat/periodictask/{row.pk}/change/"
        assert self.address(row) in root.get(page).content.decode()

        PeriodicTask.objects.update(args="[]")
        assert self.address(row) not in root.get(page).content.decode()

    def test_which_are_shown_before_anything_changes(self, root: Client, row: PeriodicTask) -> None:
        page = root.get(self.address(row)).content.decode()

        assert "<td>sync</td><td>Completed</td><td>1.5</td>" in page
        assert not MonitorRule.objects.exists()

    def test_and_the_task_then_checks_them_and_keeps_its_old_arguments(
        self, root: Client, row: PeriodicTask
    ) -> None:
        root.post(self.address(row))

        rule = MonitorRule.objects.get()
        row.refresh_from_db()
        assert (rule.name, rule.lookback_hours, rule.remind_hours) == ("sync", 1.5, 0)
        assert (row.args, row.kwargs) == ("[]", '{"rules": ["sync"]}')
        assert row.description == f"Ours\nArguments before they became rules: {GOOD}"

    def test_and_the_open_events_of_the_arguments_are_closed_without_a_message(
        self, root: Client, row: PeriodicTask
    ) -> None:
        check(json.loads(row.args), {}, request=Request(periodic_task="Old"))
        mail.outbox.clear()

        root.post(self.address(row))

        event = AlertEvent.objects.get()
        assert (event.is_open, event.resolution) == (False, "rule_retargeted")
        assert mail.outbox == []

    def test_under_a_name_that_no_rule_has_yet(self, root: Client, row: PeriodicTask) -> None:
        MonitorRule.objects.create(name="sync", task_name="another")

        assert "<td>sync (2)</td>" in root.get(self.address(row)).content.decode()
        root.post(self.address(row))

        assert MonitorRule.objects.get(name="sync (2)").task_name == "sync"
        row.refresh_from_db()
        assert row.kwargs == '{"rules": ["sync (2)"]}'

    def test_or_else_the_page_says_what_is_wrong_with_them(
        self, root: Client, row: PeriodicTask
    ) -> None:
        PeriodicTask.objects.update(args='[{"sync": {"expected_statuses": ["<b>Done</b>"]}}]')
        page = root.get(f"/admin/django_celery_beat/periodictask/{row.pk}/change/").content.decode()

        assert self.address(row) not in page
        assert "The stored arguments have mistakes" in page
        assert "&lt;b&gt;Done&lt;/b&gt;" in page
        assert "<b>Done" not in page

    def test_only_for_those_who_may_add_rules_and_change_the_task(
        self, ed: Client, row: PeriodicTask
    ) -> None:
        assert ed.post(self.address(row)).status_code == 403
        assert not MonitorRule.objects.exists()
