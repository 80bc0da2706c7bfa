"""Many messages of one check to one person are one mail."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from monitoring import doors
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, Notification
from tests.factories import ago, execution, rule
from tests.mail_server import mail_server
from tests.shell.conftest import Monitor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("old_log")]

Mailbox = list[EmailMultiAlternatives]
OPS, DEV = "ops@example.com", "dev@example.com"


def failing(count: int, *recipients: str, **fields: Any) -> None:
    """Store rules of tasks that have failed."""
    for number in range(count):
        name = f"task-{number:02}"
        rule(name, notify_to=list(recipients) or [OPS], lookback_hours=24, **fields)
        execution(name, "Stopped")


def subjects(mailbox: Mailbox) -> list[str]:
    return [mail.subject for mail in mailbox]


def test_eleven_alerts_to_one_person_are_one_mail(monitor: Monitor, mailoutbox: Mailbox) -> None:
    failing(11)

    monitor()

    assert subjects(mailoutbox) == ["[ALERT] 11 tasks failed their status check"]
    assert all(f"task-{number:02}" in mailoutbox[0].body for number in range(11))


def test_ten_are_ten(monitor: Monitor, mailoutbox: Mailbox) -> None:
    failing(10)

    monitor()

    assert len(mailoutbox) == 10


def test_each_person_is_counted_alone(monitor: Monitor, mailoutbox: Mailbox) -> None:
    failing(11)
    MonitorRule.objects.filter(task_name="task-00").update(notify_to=[OPS, DEV])

    monitor()

    assert {mail.to[0]: mail.subject for mail in mailoutbox} == {
        OPS: "[ALERT] 11 tasks failed their status check",
        DEV: "[ALERT] task-00 Status Check Failed",
    }


def test_the_rows_stay_one_by_one_and_are_sent_with_it(
    monitor: Monitor, mailoutbox: Mailbox
) -> None:
    failing(12)

    monitor()

    rows = Notification.objects.filter(alert_event__isnull=False)
    digest = Notification.objects.get(alert_event=None)
    assert set(rows.values_list("state", "digest", "attempts", "message_id")) == {
        ("sent", digest.pk, 1, digest.message_id)
    }
    assert rows.count() == AlertEvent.objects.open().count() == 12


def test_the_report_lists_the_one_mail(monitor: Monitor, mailoutbox: Mailbox) -> None:
    failing(11)

    report = doors.check((), {})

    assert [(one["subject"], one["state"]) for one in report.messages] == [
        ("[ALERT] 11 tasks failed their status check", "pending")
    ]


def test_recoveries_are_one_mail_too(
    monitor: Monitor, mailoutbox: Mailbox, clock: time_machine.Traveller
) -> None:
    failing(11)
    monitor()
    clock.shift(60)
    BackgroundTask.objects.update(status="Completed")

    monitor()

    assert subjects(mailoutbox)[1:] == ["[RESOLVED] 11 tasks are fine again"]


def test_a_recovery_is_not_mixed_with_an_alert(
    monitor: Monitor, mailoutbox: Mailbox, clock: time_machine.Traveller
) -> None:
    failing(12)
    monitor()
    clock.shift(60)
    BackgroundTask.objects.filter(task_name__lt="task-06").update(status="Completed")
    for number in range(5):
        rule(f"new-{number}", notify_to=[OPS], lookback_hours=24)
        execution(f"new-{number}", "Stopped")

    monitor()

    # Six and five: neither is too many.
    assert len(mailoutbox) == 1 + 6 + 5


def test_rules_that_cannot_be_checked_are_one_mail_of_their_own(
    monitor: Monitor, mailoutbox: Mailbox, clock: time_machine.Traveller
) -> None:
    failing(11, context_model="gap.Gone", context_type="x")

    for _ in range(3):
        with pytest.raises(ValueError, match=r"gap\.Gone"):
            monitor()
        clock.shift(60)

    assert subjects(mailoutbox) == ["[ALERT] 11 tasks cannot be checked"]


def test_documented_json_arguments_keep_one_mail_per_task(
    monitor: Monitor, mailoutbox: Mailbox
) -> None:
    entry = {"expected_statuses": ["Completed"], "notify_to": [OPS]}

    monitor({f"task-{number}": entry for number in range(30)})

    assert len(mailoutbox) == 30


def test_the_limit_is_a_setting(monitor: Monitor, mailoutbox: Mailbox, settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | {"DIGEST_ABOVE": 2}
    failing(3)

    monitor()

    assert subjects(mailoutbox) == ["[ALERT] 3 tasks failed their status check"]


def test_those_that_most_others_depend_on_come_first(monitor: Monitor, mailoutbox: Mailbox) -> None:
    failing(11)
    MonitorRule.objects.filter(task_name="task-07").update(dependent_tasks=["a", "b"])

    monitor()

    body = mailoutbox[0].body
    assert body.index("task-07") < body.index("task-00")


def test_messages_of_several_batches_are_gathered(
    monitor: Monitor, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.rulesets.BATCH_SIZE", 3)
    failing(11)

    monitor()

    assert subjects(mailoutbox) == ["[ALERT] 11 tasks failed their status check"]


def test_a_snoozed_rule_does_not_count(monitor: Monitor, mailoutbox: Mailbox) -> None:
    failing(11)
    MonitorRule.objects.filter(task_name="task-00").update(snoozed_until=ago(days=-1))

    monitor()

    assert len(mailoutbox) == 10


def test_nothing_is_due_before_the_check_has_ended(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(3)
    monkeypatch.setattr("monitoring.gathering.release", lambda *_: [])

    monitor()

    assert not Notification.objects.due(timezone.now()).exists()
    assert Notification.objects.due(ago(minutes=-8)).count() == 3


def test_nor_if_the_lease_of_a_check_lasts_for_hours(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MONITORING = settings.MONITORING | {"CHECK_LEASE_MINUTES": 600}
    failing(3)
    monkeypatch.setattr("monitoring.gathering.release", lambda *_: [])

    monitor()

    assert not Notification.objects.due(timezone.now()).exists()
    assert Notification.objects.due(ago(hours=-3)).count() == 3


def test_what_a_killed_check_has_left_is_gathered_by_the_next(
    monitor: Monitor,
    mailoutbox: Mailbox,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(11)
    with monkeypatch.context() as patch:
        patch.setattr("monitoring.checker._Check._release", _die)
        patch.setattr("monitoring.runs.end", lambda *_: None)
        with pytest.raises(SystemError):
            monitor()
    assert not mailoutbox
    clock.shift(6 * 60)

    monitor()

    assert subjects(mailoutbox) == ["[ALERT] 11 tasks failed their status check"]


def _die(*_: Any) -> None:
    raise SystemError("killed")


def test_a_refused_digest_goes_to_the_superusers_once(
    monitor: Monitor, django_user_model: Any
) -> None:
    django_user_model.objects.create_superuser("root", "root@example.com", "x")
    failing(11)
    with mail_server() as server:
        server.replies[OPS] = "550 5.1.1 no such user"
        monitor()
        doors.deliver()

        (mail,) = server.messages
    assert mail["To"] == "root@example.com"
    assert mail["Subject"] == "[ALERT] 11 tasks failed their status check (undelivered)"
    members = Notification.objects.filter(alert_event__isnull=False)
    assert set(members.values_list("state", flat=True)) == {"failed"}


def test_whose_superusers_stand_in_for_a_digest_hear_of_the_recoveries_too(
    monitor: Monitor, django_user_model: Any, clock: time_machine.Traveller
) -> None:
    django_user_model.objects.create_superuser("root", "root@example.com", "x")
    failing(11)
    with mail_server() as server:
        server.replies[OPS] = "550 5.1.1 no such user"
        monitor()
        doors.deliver()
        clock.shift(60)
        for number in range(11):
            execution(f"task-{number:02}", started=timezone.now())
        monitor()

        assert [str(mail["Subject"]) for mail in server.messages] == [
            "[ALERT] 11 tasks failed their status check (undelivered)",
            "[RESOLVED] 11 tasks are fine again",
        ]
