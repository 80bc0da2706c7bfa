"""While beat is silent one alert says so, and those of the tasks it has missed wait behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring import doors
from monitoring.models import AlertEvent, MonitorRule, MonitorRun, Notification, RuleState
from monitoring.reports import Report
from monitoring.runs import Request
from tests.factories import NOW, ago, execution, rule, superuser
from tests.shell.conftest import Monitor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("old_log")]

Mailbox = list[EmailMultiAlternatives]
ROOT, OPS = "root@example.com", "ops@example.com"
SILENT, BACK = "[ALERT] celery beat Has Not Executed", "[RESOLVED] celery beat"


@pytest.fixture(autouse=True)
def _somebody_to_tell(db: None) -> None:
    superuser(ROOT)


@pytest.fixture
def check(monitor: Monitor, clock: time_machine.Traveller) -> Callable[..., None]:
    def once(minutes: float = 5, times: int = 1) -> None:
        for _ in range(times):
            monitor()
            clock.shift(minutes * 60)

    return once


def missed(task_name: str, *addresses: str) -> None:
    """Store a rule, and an hourly periodic task that beat has sent five hours ago."""
    rule(task_name, notify_to=list(addresses))
    hour, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    PeriodicTask.objects.create(
        name=f"Every hour {task_name}", task=task_name, interval=hour, last_run_at=ago(hours=5)
    )
    PeriodicTask.objects.update(date_changed=ago(days=1))


def beat_sends() -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now())


def beat_asks(name: str, **arguments: Any) -> Report:
    """Check because a periodic task asks for it."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return doors.check([], arguments, request=Request(periodic_task=name))


def told(mailbox: Mailbox) -> list[tuple[str, str]]:
    return sorted((mail.subject, *mail.to) for mail in mailbox)  # type: ignore[misc]


def of(task_name: str) -> tuple[str, str]:
    return f"[ALERT] {task_name} Has Not Executed", OPS


def test_everybody_gets_one_alert_about_beat_and_none_about_what_it_missed(
    check: Any, mailoutbox: Mailbox
) -> None:
    missed("sync", OPS)
    missed("report")

    check()

    assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT)]
    words = " ".join(mailoutbox[0].body.split())
    assert "Probable cause: Beat is silent: no periodic task is known to have been sent" in words
    assert "- report: failing too" in words
    assert "Does the process `celery beat` run" in words
    above = AlertEvent.objects.get(task_name="celery beat")
    for event in AlertEvent.objects.exclude(pk=above.pk):
        assert (event.upstream, event.alert_owed) == (above, True)
        assert event.cause.startswith("Beat is silent")
        (held,) = event.notifications.all()
        assert (held.state, held.suppressed_by) == ("suppressed", "upstream")


def test_what_fails_later_waits_as_well(check: Any, mailoutbox: Mailbox) -> None:
    missed("sync", OPS)
    check()
    missed("report", OPS)
    check()

    assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT)]
    assert AlertEvent.objects.get(task_name="celery beat").dependent_tasks == ["report", "sync"]


def test_whoever_was_not_told_of_beat_is_alerted(check: Any, mailoutbox: Mailbox) -> None:
    missed("sync")
    check()
    missed("report", OPS)
    check()

    assert told(mailoutbox) == [(SILENT, ROOT), of("report")]


def test_nothing_waits_for_longer_than_an_hour(check: Any, mailoutbox: Mailbox) -> None:
    missed("sync", OPS)

    check(times=12)
    assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT)]
    check()
    assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT), of("sync")]
    words = " ".join(mailoutbox[-1].body.split())
    assert "because celery beat, which it depends on, was failing" in words


def test_nothing_waits_behind_an_alert_that_was_not_sent(check: Any, mailoutbox: Mailbox) -> None:
    missed("sync", OPS)
    check()
    mailoutbox.clear()
    Notification.objects.filter(state="sent").update(
        state="pending", next_attempt_at=timezone.now() + timedelta(hours=1)
    )

    check()

    assert told(mailoutbox) == [of("sync")]


class TestWhenBeatIsBack:
    def test_it_is_said_and_what_it_missed_gets_the_time_to_run(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        missed("sync", OPS)
        check()
        mailoutbox.clear()
        beat_sends()
        check()
        execution("sync", started=timezone.now() - timedelta(minutes=1))
        check(times=4)

        assert told(mailoutbox) == [(BACK, OPS), (BACK, ROOT)]
        assert not AlertEvent.objects.open().exists()

    def test_what_still_has_not_run_is_told_a_little_later(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        missed("sync", OPS)
        check()
        mailoutbox.clear()
        beat_sends()
        check(times=2)
        assert told(mailoutbox) == [(BACK, OPS), (BACK, ROOT)]
        check()

        assert told(mailoutbox) == sorted([(BACK, OPS), (BACK, ROOT), of("sync")])

    def test_a_check_that_it_has_sent_itself_is_enough(self, check: Any) -> None:
        missed("sync", OPS)
        check()

        doors.check([], {}, request=Request(task_id="x", periodic_task="Check"))

        assert AlertEvent.objects.get(task_name="celery beat").resolution == "recovered"

    def test_a_gap_between_checks_of_other_rules_is_none_between_checks_of_beat(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        missed("sync", OPS)
        execution("sync")
        beat_asks("Every hour sync", rules=["sync rule"])
        check(times=40)
        assert (SILENT, OPS) in told(mailoutbox)
        mailoutbox.clear()

        report = beat_asks("Every hour sync", rules=["sync rule"])

        assert report.not_checked_from == NOW
        said = {mail.subject: "ot checked between" in mail.body for mail in mailoutbox}
        assert said[BACK] is False

    def test_the_time_in_which_nothing_was_checked_is_admitted(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        missed("sync", OPS)
        check(times=8)
        mailoutbox.clear()
        clock.shift(55 * 60)

        beat_asks("Every hour sync", rules=["sync rule"])

        (mail, *_) = (mail for mail in mailoutbox if mail.subject == BACK)
        assert "ot checked between 12:35 and 13:35 UTC" in " ".join(mail.body.split())

    def test_nothing_more_is_asked_about_it(self, check: Any, monitor: Monitor) -> None:
        missed("sync", OPS)
        check()
        beat_sends()
        execution("sync", started=timezone.now() - timedelta(minutes=1))
        check()
        assert RuleState.objects.get(key="beat").verdict == "ok"

        with CaptureQueriesContext(connection) as queries:
            monitor()

        assert "periodictask" not in "".join(query["sql"] for query in queries)

    def test_nobody_can_tell(
        self, check: Any, monitor: Monitor, caplog: pytest.LogCaptureFixture
    ) -> None:
        missed("sync", OPS)
        check()
        execution("sync", started=timezone.now() - timedelta(minutes=1))

        def refuse(execute: Any, sql: str, *rest: Any) -> Any:
            if "periodictask" in sql:
                raise DatabaseError("away")
            return execute(sql, *rest)

        with connection.execute_wrapper(refuse):
            monitor()

        assert AlertEvent.objects.open().get().task_name == "celery beat"
        assert "nobody can tell whether beat is silent" in caplog.text


def test_resolved_by_hand_it_alerts_again_with_what_fails_next(
    check: Any, mailoutbox: Mailbox
) -> None:
    missed("sync", OPS)
    check()
    event = AlertEvent.objects.get(task_name="celery beat")
    AlertEvent.objects.filter(pk=event.pk).update(open_key=None, resolved_at=timezone.now())
    RuleState.objects.filter(key="beat").update(failing_checks=0)
    mailoutbox.clear()
    missed("report", OPS)
    check(minutes=15)

    assert (SILENT, OPS) in told(mailoutbox)


class TestWhenItIsKnownToBeSilentOnlyAfterARuleHasAlerted:
    @pytest.fixture(autouse=True)
    def _has_alerted(self, old_log: None, check: Any, mailoutbox: Mailbox) -> None:
        rule("sync", lookback_hours=3 / 60, notify_to=[OPS])
        often = IntervalSchedule.objects.create(every=20, period="seconds")
        last = NOW - timedelta(minutes=3, seconds=23)
        PeriodicTask.objects.create(name="Sync", task="sync", interval=often, last_run_at=last)
        PeriodicTask.objects.update(date_changed=ago(days=1))
        execution("sync", started=last, periodic_task_name="Sync")
        check(minutes=2.5)
        assert told(mailoutbox) == [of("sync")]
        mailoutbox.clear()

    def test_its_own_alert_goes_out_at_the_next_check(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        check()

        assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT)]
        event = AlertEvent.objects.get(task_name="celery beat")
        assert event.dependent_tasks == ["sync"]
        assert event.cause.startswith("Beat is silent")

    def test_it_is_told_once_and_again_when_it_is_back(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        check(times=3)
        beat_sends()
        check()

        assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT), (BACK, OPS), (BACK, ROOT)]

    def test_what_alerts_later_waits_behind_it(self, check: Any, mailoutbox: Mailbox) -> None:
        check()
        missed("report", OPS)
        check()

        assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT)]
        assert AlertEvent.objects.get(task_name="report").alert_owed

    def test_what_alerted_before_is_listed_beside_what_alerts_now(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        missed("report", OPS)
        check()

        assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT)]
        event = AlertEvent.objects.get(task_name="celery beat")
        assert event.dependent_tasks == ["report", "sync"]

    def test_the_event_of_the_rule_is_told_the_better_cause(self, check: Any) -> None:
        check()

        assert AlertEvent.objects.get(task_name="sync").cause.startswith("Beat is silent")

    @pytest.mark.parametrize("silenced", ["snoozed", "acknowledged"])
    def test_nobody_hears_of_it_through_a_rule_that_is_silenced(
        self, silenced: str, check: Any, mailoutbox: Mailbox
    ) -> None:
        if silenced == "snoozed":
            MonitorRule.objects.update(snoozed_until=timezone.now() + timedelta(days=1))
        else:
            AlertEvent.objects.update(acknowledged_at=timezone.now())
        check()

        assert told(mailoutbox) == []

    def test_a_check_that_beat_has_sent_does_not_even_look(self, mailoutbox: Mailbox) -> None:
        with CaptureQueriesContext(connection) as queries:
            beat_asks("Check")

        assert told(mailoutbox) == []
        assert "intervalschedule" not in "".join(query["sql"] for query in queries)


def test_without_superusers_nothing_waits(
    check: Any, mailoutbox: Mailbox, django_user_model: Any
) -> None:
    django_user_model.objects.all().delete()
    missed("sync", OPS)

    check()

    assert told(mailoutbox) == [of("sync")]


def test_json_arguments_alert_as_documented(monitor: Monitor, mailoutbox: Mailbox) -> None:
    missed("sync", OPS)

    monitor({"sync": {"expected_statuses": ["Completed"], "notify_to": [OPS]}})

    assert told(mailoutbox) == [of("sync")]


def test_a_dry_run_says_the_same_and_writes_nothing(clock: Any) -> None:
    missed("sync", OPS)

    report = doors.check([], {}, dry_run=True)

    assert [(one["subject"], one["state"]) for one in report.messages] == [
        (of("sync")[0], "suppressed"),
        (SILENT, "pending"),
        (SILENT, "pending"),
    ]
    assert not AlertEvent.objects.exists()
    assert not RuleState.objects.exists()


def test_a_dry_run_in_several_batches_tells_of_beat_once(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.rulesets.BATCH_SIZE", 1)
    missed("sync", OPS)
    missed("report", OPS)

    report = doors.check([], {}, dry_run=True)

    assert [one["subject"] for one in report.messages].count(SILENT) == 2  # to two people


class TestTheReport:
    def test_says_since_when_beat_is_silent_and_does_not_count_it(
        self, capsys: pytest.CaptureFixture[str], clock: Any
    ) -> None:
        missed("sync", OPS)

        with pytest.raises(SystemExit):
            call_command("monitor", "check", "--dry-run")

        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "1 checked: 0 ok, 1 failing, 0 unknown, 0 in progress"
        assert lines[1] == "  FAILING  sync rule: no execution in the last 1 h"
        silence = (
            "no periodic task is known to have been sent since 2026-03-10 07:00:00 UTC, "
            "and one was due at 2026-03-10 08:00:00 UTC"
        )
        assert lines[2] == f"           Beat is silent: {silence}"
        assert lines[3] == f"  FAILING  celery beat: {silence}"
        assert not lines[4].startswith("    ")

    def test_does_not_count_beat_when_it_is_back(self, check: Any, monitor: Monitor) -> None:
        missed("sync", OPS)
        check()
        beat_sends()

        report = monitor()

        assert (report["checked"], report["ok"], report["failing"]) == (1, 0, 1)


def test_tables_that_beat_has_left_long_ago_hold_nothing(check: Any, mailoutbox: Mailbox) -> None:
    missed("sync", OPS)
    PeriodicTask.objects.update(last_run_at=ago(days=20), date_changed=ago(days=30))

    check()

    assert told(mailoutbox) == [of("sync")]
    assert AlertEvent.objects.get().cause == ""


def test_two_batches_of_one_check_open_one_event(
    check: Any, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.rulesets.BATCH_SIZE", 1)
    for name in ("a", "b", "c"):
        missed(name, OPS)

    check()

    assert told(mailoutbox) == [(SILENT, OPS), (SILENT, ROOT)]
    assert AlertEvent.objects.open().filter(upstream__task_name="celery beat").count() == 3


def test_the_number_of_queries_does_not_grow_with_what_waits(monitor: Monitor) -> None:
    counted = []
    for count in (3, 40):
        for number in range(count):
            missed(f"{count}-{number}", OPS)
        with CaptureQueriesContext(connection) as queries:
            monitor()
        counted.append(len(queries))
        assert AlertEvent.objects.open().filter(upstream__isnull=False).count() == count
        for model in (Notification, AlertEvent, RuleState, MonitorRule, MonitorRun, PeriodicTask):
            model.objects.all().delete()

    few, many = counted
    assert many == few
