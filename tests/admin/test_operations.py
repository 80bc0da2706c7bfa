"""Who may do what: every address of the app, and every button, for six kinds of people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from monitoring.models import AlertEvent, MonitorRule
from monitoring.rule_rows import key_of
from tests.admin.conftest import client_of, staff
from tests.admin.data import event, message, url
from tests.factories import execution, rule

pytestmark = pytest.mark.django_db

SIX = ("anonymous", "plain", "nora", "vera", "ed", "olga", "root")


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Callable[[str], Client]:
    def get(name: str) -> Client:
        if name == "anonymous":
            return Client()
        if name == "plain":
            return client_of(get_user_model().objects.create(username="plain"))
        client: Client = request.getfixturevalue(name)
        return client

    return get


@pytest.fixture
def rows() -> dict[str, Any]:
    watched = rule("sync", notify_to=["ops@example.com"])
    found = event("sync", rule=watched, rule_name=watched.name, open_key=key_of(watched))
    return {"rule": watched, "event": found, "mail": message(found, html_body="<p>x</p>")}


# What each may GET or POST: the rest of the seven gets 302 (to the login) or 403.
LOOK = ("vera", "olga", "ed", "root")
PAGES = {
    "monitorrule_changelist": LOOK,
    "monitorrule_add": ("ed", "root"),
    "monitorrule_timeline": LOOK,
    "monitorrule_suggest": ("ed", "root"),
    "alertevent_changelist": ("vera", "olga", "root"),
    "notification_changelist": ("vera", "olga", "root"),
    "backgroundtask_changelist": ("vera", "olga", "root"),
    "monitorrun_changelist": ("vera", "olga", "root"),
}
QUERIES = {"monitorrule_timeline": "?task_name=sync", "monitorrule_suggest": "?field=task_name"}
BUTTONS = {
    "monitorrule_check": ("olga", "root"),
    "monitorrule_snooze": ("ed", "olga", "root"),
    "monitorrule_test_mail": ("ed", "root"),
    "monitorrule_preview": ("ed", "root"),
    "monitorrule_preview_mail": ("ed", "root"),
    "alertevent_acknowledge": ("olga", "root"),
    "alertevent_resolve": ("olga", "root"),
}
OF_A_ROW = {
    "monitorrule_check": "rule",
    "monitorrule_snooze": "rule",
    "monitorrule_test_mail": "rule",
    "alertevent_acknowledge": "event",
    "alertevent_resolve": "event",
}
PREVIEWED = {
    "task_name": "sync",
    "expected_statuses": '["Completed"]',
    "lookback_hours": "1",
    "while_running": "wait",
    "alert_after": "1",
}


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize("page", PAGES)
def test_pages_open_for_those_who_may_see_them(
    person: Callable[[str], Client], rows: dict[str, Any], page: str, name: str
) -> None:
    address = reverse(f"admin:monitoring_{page}") + QUERIES.get(page, "")

    response = person(name).get(address)

    wanted = (200,) if name in PAGES[page] else (302, 403)
    assert response.status_code in wanted


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize("button", BUTTONS)
def test_buttons_work_for_those_who_may_press_them(
    person: Callable[[str], Client], rows: dict[str, Any], button: str, name: str
) -> None:
    args = [rows[OF_A_ROW[button]].pk] if button in OF_A_ROW else []
    form = PREVIEWED | {"length": "1"}
    before = list(MonitorRule.objects.values()), list(AlertEvent.objects.values())

    response = person(name).post(reverse(f"admin:monitoring_{button}", args=args), form)

    if name in BUTTONS[button]:
        where = response.headers.get("Location", "")
        assert response.status_code in (200, 302)
        assert "login" not in where
    else:
        assert response.status_code in (302, 403)
        assert response.status_code == 403 or "login" in response.headers["Location"]
        assert before == (list(MonitorRule.objects.values()), list(AlertEvent.objects.values()))
        assert mail.outbox == []


@pytest.mark.parametrize("button", BUTTONS)
def test_no_button_can_be_pressed_by_a_link(
    root: Client, rows: dict[str, Any], button: str
) -> None:
    args = [rows[OF_A_ROW[button]].pk] if button in OF_A_ROW else []

    assert root.get(reverse(f"admin:monitoring_{button}", args=args)).status_code == 405


def test_no_button_can_be_pressed_from_another_site(rows: dict[str, Any]) -> None:
    user = get_user_model().objects.create(username="r", is_staff=True, is_superuser=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    for button in BUTTONS:
        args = [rows[OF_A_ROW[button]].pk] if button in OF_A_ROW else []
        address = reverse(f"admin:monitoring_{button}", args=args)
        assert client.post(address, {}).status_code == 403, button


def test_every_address_of_the_app_is_in_these_tables_or_djangos_own() -> None:
    admin_urls = next(
        one for one in get_resolver().url_patterns if getattr(one, "app_name", "") == "admin"
    )
    names = {
        pattern.name
        for include in admin_urls.url_patterns
        for pattern in getattr(include, "url_patterns", [])
        if pattern.name and pattern.name.startswith("monitoring_")
    }
    djangos = ("changelist", "add", "history", "delete", "change")
    ours = {name.removeprefix("monitoring_") for name in names}
    ours = {name for name in ours if name.split("_", 1)[1] not in djangos}
    elsewhere = {"notification_html", "monitorrule_import", "monitorrule_export"}
    elsewhere |= {"monitorrule_process_import", "alertevent_export", "backgroundtask_export"}
    elsewhere |= {"periodictask_to_rules"}
    assert ours - set(PAGES) - set(BUTTONS) - elsewhere == set()


class TestSnooze:
    @pytest.mark.parametrize(
        ("form", "complaint"),
        [
            ({}, "This field is required."),
            ({"length": "9"}, "Choose one of the lengths."),
            ({"length": "custom"}, "Say until when."),
            ({"length": "custom", "until": "2020-01-01T00:00"}, "This is in the past."),
            ({"length": "custom", "until": "soon"}, "Enter a valid date/time."),
        ],
    )
    def test_a_length_that_makes_no_sense_is_refused(
        self, root: Client, form: dict[str, str], complaint: str
    ) -> None:
        row = rule("sync")

        response = root.post(url(MonitorRule, "snooze", row.pk), form, follow=True)

        assert complaint in str(next(iter(response.context["messages"])))
        row.refresh_from_db()
        assert row.snoozed_until is None

    def test_is_in_the_log_of_the_rule(self, root: Client) -> None:
        row = rule("sync")
        root.post(url(MonitorRule, "snooze", row.pk), {"length": "1"})

        assert "Snoozed until" in LogEntry.objects.get().get_change_message()

    @pytest.mark.parametrize("action", ["snooze_1", "snooze_4", "snooze_tomorrow"])
    def test_many_rules_sleep_at_once(self, root: Client, action: str) -> None:
        picked = [rule(f"task {number}").pk for number in range(3)]
        root.post(url(MonitorRule, "changelist"), {"action": action, "_selected_action": picked})

        now = timezone.now()
        for row in MonitorRule.objects.all():
            assert now < row.snoozed_until < now + timedelta(hours=34)

    def test_who_may_not_snooze_cannot_do_so_in_the_form(self) -> None:
        row = rule("sync")
        writer = client_of(staff("writer", "view_monitorrule", "change_monitorrule"))

        page = writer.get(url(MonitorRule, "change", row.pk)).content.decode()

        assert 'name="snoozed_until_0"' not in page


def test_many_rules_are_checked_at_once(root: Client) -> None:
    picked = []
    for number in range(3):
        execution(f"task {number}", "Stopped", started=timezone.now())
        picked.append(rule(f"task {number}").pk)
    response = root.post(
        url(MonitorRule, "changelist"),
        {"action": "check_now", "_selected_action": picked},
        follow=True,
    )

    assert "3 rules were checked." in str(next(iter(response.context["messages"])))
    assert AlertEvent.objects.open().count() == 3


class TestThePreview:
    def test_writes_nothing_and_sends_nothing(self, root: Client) -> None:
        execution("sync", "Stopped", started=timezone.now())

        found = root.post(reverse("admin:monitoring_monitorrule_preview"), PREVIEWED).json()

        assert "Status mismatch" in found["panel"]
        assert AlertEvent.objects.count() == 0
        assert mail.outbox == []

    def test_escapes_what_was_typed(self, root: Client) -> None:
        typed = PREVIEWED | {"task_name": "<script>alert(1)</script>"}

        found = root.post(reverse("admin:monitoring_monitorrule_preview"), typed).json()

        assert "<script>" not in found["panel"]
        assert "&lt;script&gt;" in found["panel"]

    def test_hides_executions_from_those_who_may_not_see_them(self, ed: Client) -> None:
        execution("sync", "Stopped", started=timezone.now())

        found = ed.post(reverse("admin:monitoring_monitorrule_preview"), PREVIEWED).json()

        assert "Last executions" not in found["panel"]
        assert "Because of" not in found["panel"]

    def test_of_a_context_model_out_of_bounds_is_refused(self, ed: Client) -> None:
        typed = PREVIEWED | {
            "context_model": "auth.User",
            "context_field": "username",
            "context_type": "root",
        }

        found = ed.post(reverse("admin:monitoring_monitorrule_preview"), typed).json()

        assert "is not an installed model" in found["panel"]
        assert "Verdict" not in found["panel"]

    def test_of_a_rule_that_is_gone_is_refused(self, root: Client) -> None:
        address = reverse("admin:monitoring_monitorrule_preview") + "?rule=999"

        assert root.post(address, PREVIEWED).status_code == 403


class TestSuggestions:
    def ask(self, client: Client, **query: str) -> list[str]:
        answer = client.get(reverse("admin:monitoring_monitorrule_suggest"), query)
        return [value for value, _remark in answer.json()["options"]]

    def test_of_tasks_do_not_tell_of_a_log_that_the_user_may_not_see(
        self, ed: Client, root: Client
    ) -> None:
        execution("secret.task")

        assert self.ask(root, field="task_name", q="secret") == ["secret.task"]
        assert self.ask(ed, field="task_name", q="secret") == []

    def test_of_context_models_name_only_those_that_the_user_may_use(
        self, ed: Client, root: Client
    ) -> None:
        assert "auth.User" in self.ask(root, field="context_model", q="auth.")
        assert self.ask(ed, field="context_model", q="auth.") == []

    def test_of_context_fields_reach_into_related_rows(self, root: Client) -> None:
        query = {"field": "context_field", "model": "gap.Shipment", "q": ""}

        assert self.ask(root, **query) == [
            "code",
            "source",
            "source__id",
            "source__kind",
            "source__region",
        ]
        assert self.ask(root, **(query | {"q": "source__k"})) == ["source__kind"]

    def test_of_context_fields_stop_at_models_that_the_user_may_not_view(self) -> None:
        editor = staff("editor", "add_monitorrule")
        editor.user_permissions.add(Permission.objects.get(codename="view_logentry"))
        query = {"field": "context_field", "model": "admin.LogEntry", "q": "user"}

        assert self.ask(client_of(editor), **query) == ["user"]

    def test_of_context_fields_of_related_rows_never_tell_of_a_secret(self, root: Client) -> None:
        query = {"field": "context_field", "model": "admin.LogEntry", "q": "user__"}

        assert "user__username" in self.ask(root, **query)
        assert "user__password" not in self.ask(root, **query)

    def test_of_context_values_are_those_in_use(self, ed: Client, root: Client) -> None:
        query = {"field": "context_type", "model": "auth.User", "path": "username", "q": ""}
        get_user_model().objects.create(username="zoe")

        assert "zoe" in self.ask(root, **query)
        assert self.ask(ed, **query) == []

    def test_of_context_values_never_tell_a_secret(self, root: Client) -> None:
        get_user_model().objects.create_user("zoe", password="hunter2hunter2")
        query = {"field": "context_type", "model": "auth.User", "path": "password", "q": ""}

        assert self.ask(root, **query) == []

    def test_of_a_field_without_any_are_not_found(self, root: Client) -> None:
        address = reverse("admin:monitoring_monitorrule_suggest")

        assert root.get(address, {"field": "name"}).status_code == 404
