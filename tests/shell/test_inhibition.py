"""The alert of a task waits behind that of a task it depends on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from monitoring.models import AlertEvent, MonitorRule, Notification
from tests.factories import NOW, execution, rule
from tests.shell.conftest import Monitor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("old_log")]

Mailbox = list[EmailMultiAlternatives]
IMPORT_FAILED = "[ALERT] import Status Check Failed"
REPORT_FAILED = "[ALERT] report Status Check Failed"


@pytest.fixture(autouse=True)
def _inhibition(settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | {"INHIBIT_DEPENDENTS": True}


@pytest.fixture
def check(monitor: Monitor, clock: time_machine.Traveller) -> Any:
    def once(times: int = 1) -> None:
        for _ in range(times):
            monitor()
            clock.shift(300)

    return once


@pytest.fixture
def report(clock: time_machine.Traveller) -> MonitorRule:
    """Return the rule of a task that another one names as its dependent; both are fine."""
    for name, dependents in (("import", ["report"]), ("report", [])):
        rule(name, dependent_tasks=dependents, notify_to=["ops@example.com"], lookback_hours=24)
        execution(name)
    return MonitorRule.objects.get(task_name="report")


def run(task_name: str, status: str) -> None:
    """Store an execution that is newer than all others."""
    execution(task_name, status, started=timezone.now() - timedelta(seconds=1))


def subjects(mailbox: Mailbox) -> list[str]:
    return [mail.subject for mail in mailbox]


def upstream_fails_first(check: Any) -> None:
    run("import", "Stopped")
    check()
    run("report", "Stopped")
    check()


def test_the_dependent_is_recorded_with_its_upstream_and_its_message_is_held(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    upstream_fails_first(check)

    assert subjects(mailoutbox) == [IMPORT_FAILED]
    event = AlertEvent.objects.get(task_name="report")
    assert event.upstream == AlertEvent.objects.get(task_name="import")
    assert event.alert_owed
    (held,) = event.notifications.all()
    assert (held.state, held.suppressed_by) == ("suppressed", "upstream")


def test_it_alerts_when_the_upstream_recovers_and_it_still_fails(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    upstream_fails_first(check)
    run("import", "Completed")
    check(2)

    assert subjects(mailoutbox) == [IMPORT_FAILED, "[RESOLVED] import", REPORT_FAILED]
    assert "because import, which it depends on" in " ".join(mailoutbox[-1].body.split())


def test_it_stays_quiet_if_it_recovers_as_well(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    upstream_fails_first(check)
    run("report", "Completed")
    check()
    run("import", "Completed")
    check(2)

    assert subjects(mailoutbox) == [IMPORT_FAILED, "[RESOLVED] import"]
    assert not AlertEvent.objects.open().exists()


def test_it_is_held_for_an_hour_at_most(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    upstream_fails_first(check)

    check(11)
    assert subjects(mailoutbox) == [IMPORT_FAILED]
    check()
    assert subjects(mailoutbox) == [IMPORT_FAILED, REPORT_FAILED]


def test_nothing_is_held_behind_an_alert_that_was_not_sent(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    run("import", "Stopped")
    check()
    Notification.objects.update(state="pending", next_attempt_at=NOW + timedelta(hours=1))
    run("report", "Stopped")
    check()

    assert subjects(mailoutbox)[-1] == REPORT_FAILED


def test_both_alert_if_they_begin_to_fail_in_the_same_check(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    run("import", "Stopped")
    run("report", "Stopped")
    check()

    assert sorted(subjects(mailoutbox)) == [IMPORT_FAILED, REPORT_FAILED]


def test_what_has_alerted_already_is_not_silenced(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    MonitorRule.objects.filter(pk=report.pk).update(remind_hours=0)
    run("report", "Stopped")
    check()
    run("import", "Stopped")
    check(2)

    assert subjects(mailoutbox).count(REPORT_FAILED) == 3


def test_json_arguments_hold_nothing(
    report: MonitorRule, check: Any, monitor: Monitor, mailoutbox: Mailbox
) -> None:
    run("import", "Stopped")
    check()
    run("report", "Stopped")

    monitor({"report": {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}})

    assert subjects(mailoutbox) == [IMPORT_FAILED, REPORT_FAILED]


def test_nothing_is_held_unless_the_setting_says_so(
    report: MonitorRule, check: Any, mailoutbox: Mailbox, settings: Any
) -> None:
    settings.MONITORING = settings.MONITORING | {"INHIBIT_DEPENDENTS": False}

    upstream_fails_first(check)

    assert subjects(mailoutbox) == [IMPORT_FAILED, REPORT_FAILED]


def test_two_that_depend_on_each_other_both_alert_in_the_end(
    report: MonitorRule, check: Any, mailoutbox: Mailbox
) -> None:
    MonitorRule.objects.filter(pk=report.pk).update(dependent_tasks=["import"])
    upstream_fails_first(check)
    check(12)

    assert subjects(mailoutbox) == [IMPORT_FAILED, REPORT_FAILED]


class TestTheMailOfTheUpstream:
    def test_says_how_each_dependent_does(
        self, report: MonitorRule, check: Any, mailoutbox: Mailbox
    ) -> None:
        MonitorRule.objects.filter(task_name="import").update(
            dependent_tasks=["report", "export", "unheard of"]
        )
        rule("export", notify_to=["ops@example.com"], lookback_hours=24)
        execution("export")
        run("report", "Stopped")
        check()
        run("import", "Stopped")
        check()

        (mail,) = (mail for mail in mailoutbox if mail.subject == IMPORT_FAILED)
        assert "report: failing too since" in mail.body
        assert "export: ok so far" in mail.body
        assert "unheard of: not watched" in mail.body

    def test_knows_what_its_own_check_has_just_found(
        self, report: MonitorRule, check: Any, mailoutbox: Mailbox
    ) -> None:
        check()
        run("import", "Stopped")
        run("report", "Stopped")
        check()

        (mail,) = (mail for mail in mailoutbox if mail.subject == IMPORT_FAILED)
        assert "report: failing too" in mail.body
