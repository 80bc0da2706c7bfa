"""Who may do what: every address of the app, and every action of its list, for seven people."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.models import MonitorRule, WorkerHeartbeat
from monitoring.rule_rows import key_of
from tests.admin.conftest import client_of
from tests.admin.data import MODELS, channel, event, message, run
from tests.factories import NOW, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.any_database, pytest.mark.matrix]

PEOPLE = ("anonymous", "plain", "nora", "vera", "ed", "olga", "root")
NOBODY: tuple[str, ...] = ()
ROOT = ("root",)
EDITORS = ("ed", "root")
ON_CALL = ("olga", "root")
WATCHERS = ("vera", "olga", "root")
VIEWERS = ("vera", "ed", "olga", "root")
SNOOZERS = ("ed", "olga", "root")


class May(NamedTuple):
    """Who may open an address, and who may send a form to it."""

    get: tuple[str, ...]
    post: tuple[str, ...] = NOBODY
    row: str = ""
    """The row that the address names."""
    query: str = ""


def history(name: str) -> dict[str, May]:
    """Return the addresses of a page of history, which nobody writes."""
    return {
        f"{name}_changelist": May(WATCHERS, WATCHERS),
        f"{name}_add": May(NOBODY),
        f"{name}_change": May(WATCHERS, row=name),
        f"{name}_delete": May(NOBODY, row=name),
        f"{name}_history": May(WATCHERS, WATCHERS, row=name),
    }


ADDRESSES = {
    "monitorrule_changelist": May(VIEWERS, VIEWERS),
    "monitorrule_add": May(EDITORS, EDITORS),
    "monitorrule_change": May(VIEWERS, EDITORS, row="monitorrule"),
    "monitorrule_delete": May(EDITORS, EDITORS, row="monitorrule"),
    "monitorrule_history": May(VIEWERS, VIEWERS, row="monitorrule"),
    "monitorrule_timeline": May(VIEWERS, query="?task_name=sync"),
    "monitorrule_discover": May(EDITORS, EDITORS),
    "monitorrule_day": May(VIEWERS),
    "monitorrule_dependencies": May(VIEWERS),
    "monitorrule_suggest": May(EDITORS, query="?field=task_name"),
    "monitorrule_preview": May(NOBODY, EDITORS),
    "monitorrule_preview_mail": May(NOBODY, EDITORS),
    "monitorrule_backtest": May(NOBODY, EDITORS),
    "monitorrule_check": May(NOBODY, ON_CALL, row="monitorrule"),
    "monitorrule_snooze": May(NOBODY, SNOOZERS, row="monitorrule"),
    "monitorrule_test_mail": May(NOBODY, EDITORS, row="monitorrule"),
    "monitorrule_import": May(EDITORS, EDITORS),
    "monitorrule_process_import": May(NOBODY, EDITORS),
    "monitorrule_export": May(VIEWERS, VIEWERS),
    **history("alertevent"),
    "alertevent_acknowledge": May(NOBODY, ON_CALL, row="alertevent"),
    "alertevent_resolve": May(NOBODY, ON_CALL, row="alertevent"),
    "alertevent_export": May(WATCHERS, WATCHERS),
    **history("notification"),
    "notification_html": May(WATCHERS, row="notification"),
    **history("backgroundtask"),
    "backgroundtask_export": May(WATCHERS, WATCHERS),
    **history("monitorrun"),
    **history("workerheartbeat"),
    "channel_changelist": May(WATCHERS, WATCHERS),
    "channel_add": May(ROOT, ROOT),
    "channel_change": May(WATCHERS, ROOT, row="channel"),
    "channel_delete": May(ROOT, ROOT, row="channel"),
    "channel_history": May(WATCHERS, WATCHERS, row="channel"),
    "channel_send_test": May(NOBODY, ROOT, row="channel"),
    "periodictask_to_rules": May(ROOT, ROOT, row="periodictask"),
}
FORMS: dict[str, dict[str, str]] = {
    "monitorrule_snooze": {"length": "1"},
    "monitorrule_delete": {"post": "yes"},
    "channel_delete": {"post": "yes"},
}
RULE = {
    "task_name": "sync",
    "expected_statuses": '["Completed"]',
    "lookback_hours": "1",
    "while_running": "wait",
    "alert_after": "1",
}


@pytest.fixture
def people(request: pytest.FixtureRequest) -> dict[str, Client]:
    known = {name: request.getfixturevalue(name) for name in PEOPLE[2:]}
    plain = client_of(get_user_model().objects.create(username="plain"))
    return {"anonymous": Client(), "plain": plain, **known}


@pytest.fixture
def rows() -> dict[str, Any]:
    """Store a row of each kind; the rule fails."""
    ran = execution("sync", "Stopped", started=timezone.now())
    watched = rule("sync", notify_to=["ops@example.com"])
    found = event("sync", rule=watched, rule_name=watched.name, open_key=key_of(watched))
    schedule = IntervalSchedule.objects.create(every=5, period="minutes")
    documented = [{"report": {"expected_statuses": ["Completed"]}}]
    return {
        "monitorrule": watched,
        "alertevent": found,
        "notification": message(found, html_body="<p>x</p>"),
        "backgroundtask": ran,
        "monitorrun": run(),
        "workerheartbeat": WorkerHeartbeat.objects.create(
            node="celery@w1", booted_at=NOW, seen_at=NOW
        ),
        "channel": channel("ops"),
        "periodictask": PeriodicTask.objects.create(
            name="Monitor",
            task="monitor_task_status",
            interval=schedule,
            args=json.dumps(documented),
        ),
    }


def snapshot() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (*MODELS, PeriodicTask)]


def was_let_in(response: Any) -> bool:
    """Say whether an answer is more than "log in", "you may not" or "there is no such thing"."""
    is_login = response.status_code == 302 and "/login/" in response["Location"]
    return response.status_code not in (403, 404, 405) and not is_login


def address_of(name: str, rows: dict[str, Any]) -> str:
    may = ADDRESSES[name]
    args = [rows[may.row].pk] if may.row else []
    return reverse(f"admin:monitoring_{name}", args=args) + may.query


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_opens_for_those_who_may_see_it(
    people: dict[str, Client], rows: dict[str, Any], name: str
) -> None:
    before = snapshot()

    let_in = [who for who in PEOPLE if was_let_in(people[who].get(address_of(name, rows)))]

    assert sorted(let_in) == sorted(ADDRESSES[name].get)
    assert snapshot() == before
    assert mail.outbox == []


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_form_is_taken_from_those_who_may_send_it(
    people: dict[str, Client], rows: dict[str, Any], name: str
) -> None:
    may = ADDRESSES[name]
    before = snapshot()
    refused = [who for who in PEOPLE if who not in may.post]
    form = FORMS.get(name, RULE)

    for who in refused:
        response = people[who].post(address_of(name, rows), form)
        assert not was_let_in(response), (who, response.status_code)
    assert snapshot() == before
    assert mail.outbox == []

    for who in may.post:
        with transaction.atomic():
            response = people[who].post(address_of(name, rows), form)
            transaction.set_rollback(True)
        assert was_let_in(response), (who, response.status_code)


def test_no_form_is_taken_from_another_site(rows: dict[str, Any]) -> None:
    user = get_user_model().objects.create(username="r", is_staff=True, is_superuser=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    before = snapshot()

    for name, may in ADDRESSES.items():
        if may.post:
            response = client.post(address_of(name, rows), FORMS.get(name, RULE))
            assert response.status_code == 403, name
    assert snapshot() == before


CHANGING = {
    "check_now": ON_CALL,
    "snooze_1": SNOOZERS,
    "snooze_4": SNOOZERS,
    "snooze_tomorrow": SNOOZERS,
    "wake": SNOOZERS,
    "enable": EDITORS,
    "disable": EDITORS,
    "delete_selected": EDITORS,
}


@pytest.mark.parametrize("action", CHANGING)
def test_an_action_of_the_list_works_for_those_who_may_take_it(
    people: dict[str, Client], rows: dict[str, Any], action: str
) -> None:
    watched = MonitorRule.objects.filter(pk=rows["monitorrule"].pk)
    watched.update(enabled=action != "enable", snoozed_until=timezone.now())
    form = {"action": action, "_selected_action": [rows["monitorrule"].pk], "post": "yes"}
    address = address_of("monitorrule_changelist", rows)
    before = snapshot()

    for who in PEOPLE:
        if who not in CHANGING[action]:
            people[who].post(address, form)
            assert snapshot() == before, who
    assert mail.outbox == []

    for who in CHANGING[action]:
        with transaction.atomic():
            people[who].post(address, form)
            assert snapshot() != before, who
            transaction.set_rollback(True)


def test_picked_rules_are_written_into_a_file_for_those_who_may_view_them(
    people: dict[str, Client], rows: dict[str, Any]
) -> None:
    form = {"action": "export_selected", "_selected_action": [rows["monitorrule"].pk]}
    address = address_of("monitorrule_changelist", rows)

    got = [who for who in PEOPLE if b"sync rule" in people[who].post(address, form).content]

    assert sorted(got) == sorted(VIEWERS)


def test_the_overview_opens_for_whoever_may_view_anything(people: dict[str, Client]) -> None:
    address = reverse("admin:app_list", args=["monitoring"])

    let_in = [who for who in PEOPLE if was_let_in(people[who].get(address))]

    assert sorted(let_in) == sorted(VIEWERS)


def test_every_address_of_the_app_is_in_the_table() -> None:
    admin_urls = next(
        one for one in get_resolver().url_patterns if getattr(one, "app_name", "") == "admin"
    )
    names = {
        pattern.name
        for include in admin_urls.url_patterns
        for pattern in getattr(include, "url_patterns", [])
        if pattern.name and pattern.name.startswith("monitoring_")
    }

    assert {name.removeprefix("monitoring_") for name in names} == set(ADDRESSES)
