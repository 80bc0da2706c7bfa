"""What the buttons of a rule, its preview and its suggestions do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.models import AlertEvent, MonitorRule
from tests.admin.conftest import client_of, staff
from tests.admin.data import url
from tests.factories import NOW, execution, rule, superuser

pytestmark = pytest.mark.django_db

PREVIEWED = {
    "task_name": "sync",
    "expected_statuses": '["Completed"]',
    "lookback_hours": "1",
    "while_running": "wait",
    "alert_after": "1",
}


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

    @pytest.mark.parametrize(
        ("form", "ends"),
        [
            ({"length": "1"}, datetime(2026, 3, 10, 13, tzinfo=UTC)),
            ({"length": "4"}, datetime(2026, 3, 10, 16, tzinfo=UTC)),
            ({"length": "tomorrow"}, datetime(2026, 3, 11, 8, tzinfo=UTC)),
            (
                {"length": "custom", "until": "2026-03-20T06:30"},
                datetime(2026, 3, 20, 5, 30, tzinfo=UTC),
            ),
            ({"length": "wake"}, None),
        ],
    )
    def test_ends_when_the_user_says_in_their_time_zone(
        self, root: Client, settings: Any, form: dict[str, str], ends: datetime | None
    ) -> None:
        settings.TIME_ZONE = "Europe/Berlin"
        row = rule("sync", snoozed_until=NOW + timedelta(days=1))
        with time_machine.travel(NOW, tick=False):
            client = client_of(superuser())
            client.post(url(MonitorRule, "snooze", row.pk), form)

        row.refresh_from_db()
        assert row.snoozed_until == ends

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

    def test_tells_the_probable_cause_to_those_who_may_see_executions(
        self, root: Client, ed: Client
    ) -> None:
        execution("sync", "Stopped", started=timezone.now(), errors="KeyError: '<balance>'")
        address = reverse("admin:monitoring_monitorrule_preview")

        seen, hidden = (who.post(address, PREVIEWED).json()["panel"] for who in (root, ed))

        assert "<dt>Probable cause</dt><dd>It raised KeyError: &#x27;&lt;balance&gt;" in seen
        assert "Probable cause" not in hidden
        assert "balance" not in hidden

    @pytest.mark.parametrize("page", ["preview_mail", "test_mail"])
    def test_tells_of_an_error_in_its_mail_only_those_who_may_view_executions(
        self, ed: Client, page: str
    ) -> None:
        user = get_user_model().objects.get(username="ed")
        get_user_model().objects.filter(pk=user.pk).update(email="ed@example.com")
        ran = execution("sync", "Stopped", started=timezone.now(), errors="KeyError: 'balance'")
        row = rule("sync")
        for may_view in (False, True):
            if may_view:
                wanted = {
                    "content_type__app_label": "monitoring",
                    "codename": "view_backgroundtask",
                }
                user.user_permissions.add(Permission.objects.get(**wanted))
            args = [row.pk] if page == "test_mail" else []
            address = reverse(f"admin:monitoring_monitorrule_{page}", args=args)
            response = ed.post(address, PREVIEWED)
            sent = str(mail.outbox[-1].message()) if page == "test_mail" else ""
            said = sent + response.content.decode()

            assert "sync is Stopped" in said
            assert ("balance" in said, ran.task_id in said) == (may_view, may_view)

    def test_of_a_context_model_out_of_bounds_is_refused(self, ed: Client) -> None:
        typed = PREVIEWED | {
            "context_model": "auth.User",
            "context_field": "username",
            "context_type": "root",
        }

        found = ed.post(reverse("admin:monitoring_monitorrule_preview"), typed).json()

        assert "is not an installed model" in found["panel"]
        assert "Verdict" not in found["panel"]

    @pytest.mark.parametrize(
        ("every", "hours", "warning", "suggestion"),
        [
            (2, "1", "Shorter than the task's rhythm: its schedule leaves 2 h between runs.", 3),
            (2, "2", None, None),
            (
                24,
                "1.5",
                "Shorter than the task's rhythm: its schedule leaves 1 d between runs.",
                25,
            ),
        ],
    )
    def test_warns_of_a_window_shorter_than_the_schedule(
        self, root: Client, every: int, hours: str, warning: str | None, suggestion: int | None
    ) -> None:
        schedule = IntervalSchedule.objects.create(every=every, period="hours")
        PeriodicTask.objects.create(name="Sync", task="sync", interval=schedule)
        typed = PREVIEWED | {"lookback_hours": hours}

        notes = root.post(reverse("admin:monitoring_monitorrule_preview"), typed).json()["notes"]

        found = notes["lookback_hours"]
        assert (found.get("warning"), found.get("suggestion")) == (warning, suggestion)
        assert notes["task_name"] == {"text": "Known: scheduled. No execution recorded yet."}

    def test_does_not_say_that_a_task_has_run_which_every_worker_refused(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        schedule = IntervalSchedule.objects.create(every=2, period="hours")
        PeriodicTask.objects.create(name="Stock", task="refresh_stok", interval=schedule)
        execution("refresh_stok", "Stopped", started_at=None, errors="NotRegistered: no task")
        execution("refresh_stock")
        typed = PREVIEWED | {"task_name": "refresh_stok"}
        address = reverse("admin:monitoring_monitorrule_preview")

        notes = root.post(address, typed).json()["notes"]
        monkeypatch.setitem(current_app.tasks, "refresh_stok", object())
        in_code = root.post(address, typed).json()["notes"]

        assert notes["task_name"] == {
            "warning": "It was sent, but no execution of it has started yet "
            '(did you mean "refresh_stock"?)'
        }
        assert in_code["task_name"] == {
            "text": "It was sent, but no execution of it has started yet."
        }

    def test_tells_of_a_schedule_only_those_who_may_view_periodic_tasks(self, ed: Client) -> None:
        schedule = IntervalSchedule.objects.create(every=2, period="hours")
        PeriodicTask.objects.create(name="Sync", task="sync", interval=schedule)

        notes = ed.post(reverse("admin:monitoring_monitorrule_preview"), PREVIEWED).json()["notes"]

        assert notes["lookback_hours"] == {"text": "Last hour"}

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

    def test_of_tasks_say_where_each_was_seen_and_when_it_last_ran(
        self, root: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(current_app.tasks, "sync_only_written", object())
        schedule = IntervalSchedule.objects.create(every=5, period="minutes")
        PeriodicTask.objects.create(name="Sync", task="sync", interval=schedule)
        PeriodicTask.objects.create(name="Other", task="sync_never_ran", interval=schedule)
        execution("sync", started=timezone.now() - timedelta(hours=3))
        execution("sync_refused", "Stopped", started_at=None)

        # Twenty at most are offered, and other tests have tasks too.
        asked = {"field": "task_name", "q": "sync"}
        answer = root.get(reverse("admin:monitoring_monitorrule_suggest"), asked)

        options = dict(answer.json()["options"])
        assert options["sync"] == "scheduled, has run, last 3 h ago"
        assert options["sync_never_ran"] == "scheduled"
        assert options["sync_only_written"] == "in the code"
        assert options["sync_refused"] == "never started"

    def test_of_context_fields_leave_out_what_may_be_secret(self, ed: Client, root: Client) -> None:
        query = {"field": "context_field", "model": "auth.User"}

        assert "username" in self.ask(root, **query)
        assert "password" not in self.ask(root, **query)
        assert self.ask(ed, **query) == []
        assert self.ask(root, field="context_field", model="gap.IngestorSession", q="type") == [
            "ingestor_type"
        ]

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
