"""What becomes of an alert event from check to check, and who is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring import doors
from monitoring.models import AlertEvent, MonitorRule, Notification, RuleState
from tests.factories import NOW, ago, execution, rule, superuser
from tests.shell.conftest import Monitor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("old_log")]

Mailbox = list[EmailMultiAlternatives]
MISSING = "[ALERT] sync Has Not Executed"
WRONG = "[ALERT] sync Status Check Failed"


@pytest.fixture
def check(old_log: None, monitor: Monitor, clock: time_machine.Traveller) -> Any:
    """Check all rules, five minutes after the check before."""

    def once(times: int = 1) -> None:
        for _ in range(times):
            monitor()
            clock.shift(300)

    return once


def watch(**fields: Any) -> MonitorRule:
    return rule("sync", **({"notify_to": ["ops@example.com"]} | fields))


def run(status: str, clock: time_machine.Traveller) -> None:
    """Store an execution that is newer than all others."""
    clock.shift(1)
    execution("sync", status, started=timezone.now())


def subjects(mailbox: Mailbox) -> list[str]:
    return [mail.subject for mail in mailbox]


class TestTheFirstAlert:
    def test_one_failing_check_opens_an_event_by_default(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        watch()

        check()

        assert AlertEvent.objects.open().count() == 1
        assert subjects(mailoutbox) == [MISSING]

    def test_the_event_holds_what_was_found_and_expected(self, monitor: Monitor) -> None:
        row = watch(
            name="Nightly",
            expected_statuses=["Completed", "Running"],
            while_running="judge",
            lookback_hours=2.5,
            dependent_tasks=["report"],
        )
        task = execution("sync", "Stopped", started=ago(minutes=9), finished_at=ago(minutes=8))

        monitor()

        event = AlertEvent.objects.get()
        assert event.rule == row
        assert (event.rule_name, event.task_name) == ("Nightly", "sync")
        assert (event.verdict, event.current_status) == ("status_mismatch", "Stopped")
        assert event.expected_statuses == ["Completed", "Running"]
        assert (event.lookback_hours, event.dependent_tasks) == (2.5, ["report"])
        assert (event.task_id, event.started_at) == (task.task_id, ago(minutes=9))
        assert event.finished_at == ago(minutes=8)
        assert (event.opened_at, event.last_checked_at) == (NOW, NOW)
        assert (event.failing_checks, event.resolved_at) == (1, None)

    def test_fewer_failing_checks_than_alert_after_tell_nobody(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        watch(alert_after=3)

        check(2)

        assert not AlertEvent.objects.exists()
        assert not mailoutbox
        assert RuleState.objects.get().failing_checks == 2

    def test_the_check_that_reaches_alert_after_opens_the_event(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        watch(alert_after=3)

        check(3)

        assert AlertEvent.objects.get().failing_checks == 3
        assert len(mailoutbox) == 1

    def test_an_ok_in_between_counts_anew(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(alert_after=2, lookback_hours=0.05)
        check()
        run("Completed", clock)
        check()
        clock.shift(600)
        check()

        assert not mailoutbox

    def test_every_recipient_gets_a_message_of_their_own(
        self, check: Any, mailoutbox: Mailbox
    ) -> None:
        watch(notify_to=["a@example.com", "b@example.com"])

        check()

        assert [mail.to for mail in mailoutbox] == [["a@example.com"], ["b@example.com"]]

    def test_two_rules_of_one_task_have_an_event_each(self, check: Any) -> None:
        watch(name="A")
        watch(name="B", lookback_hours=2)

        check()

        assert AlertEvent.objects.open().count() == 2


class TestReminders:
    def test_without_remind_hours_no_message_follows(self, check: Any, mailoutbox: Mailbox) -> None:
        watch()

        check(5)

        assert len(mailoutbox) == 1
        assert AlertEvent.objects.get().failing_checks == 5

    def test_a_reminder_comes_when_remind_hours_have_passed(
        self, monitor: Monitor, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(remind_hours=2)
        monitor()
        clock.shift(timedelta(hours=1, minutes=59))
        monitor()
        assert len(mailoutbox) == 1

        clock.shift(timedelta(minutes=1))
        monitor()

        assert subjects(mailoutbox) == [MISSING, MISSING]
        assert Notification.objects.order_by("pk").values_list("kind", flat=True).last() == (
            "reminder"
        )

    def test_the_next_reminder_counts_from_the_last_message(
        self, monitor: Monitor, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(remind_hours=1)
        for _ in range(7):
            monitor()
            clock.shift(timedelta(minutes=30))

        assert len(mailoutbox) == 4

    def test_zero_hours_remind_at_every_check(self, check: Any, mailoutbox: Mailbox) -> None:
        watch(remind_hours=0)

        check(3)

        assert len(mailoutbox) == 3

    def test_another_verdict_alerts_at_once(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch()
        check()
        run("Stopped", clock)

        check()

        assert subjects(mailoutbox) == [MISSING, WRONG]
        assert set(Notification.objects.values_list("kind", flat=True)) == {"alert"}

    def test_another_verdict_updates_the_same_event(
        self, check: Any, clock: time_machine.Traveller
    ) -> None:
        watch()
        check()
        run("Stopped", clock)

        check()

        event = AlertEvent.objects.get()
        assert (event.verdict, event.current_status) == ("status_mismatch", "Stopped")
        assert (event.opened_at, event.failing_checks) == (NOW, 2)

    def test_another_status_of_the_same_verdict_updates_it_silently(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch()
        run("Stopped", clock)
        check()
        run("Cancelled", clock)

        check()

        assert AlertEvent.objects.get().current_status == "Cancelled"
        assert len(mailoutbox) == 1

    def test_what_the_rule_expects_now_is_kept_in_its_open_event(self, check: Any) -> None:
        row = watch()
        check()
        MonitorRule.objects.filter(pk=row.pk).update(
            expected_statuses=["Stopped"], lookback_hours=0.5, dependent_tasks=["report"]
        )

        check()

        event = AlertEvent.objects.get()
        assert (event.expected_statuses, event.lookback_hours) == (["Stopped"], 0.5)
        assert event.dependent_tasks == ["report"]


class TestRecovery:
    def test_the_first_ok_resolves_the_event(
        self, check: Any, clock: time_machine.Traveller
    ) -> None:
        watch()
        check()
        run("Completed", clock)

        check()

        event = AlertEvent.objects.get()
        assert (event.open_key, event.resolution) == (None, "recovered")
        assert event.resolved_at == NOW + timedelta(seconds=301)
        assert not event.is_open

    def test_the_last_failing_verdict_stays_in_the_history(
        self, check: Any, clock: time_machine.Traveller
    ) -> None:
        watch()
        check()
        run("Completed", clock)

        check()

        event = AlertEvent.objects.get()
        assert (event.verdict, event.current_status) == ("no_execution", "No execution found")

    def test_who_got_the_alert_is_told(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(notify_to=["a@example.com", "b@example.com"])
        check()
        run("Completed", clock)

        check()

        assert subjects(mailoutbox)[2:] == ["[RESOLVED] sync"] * 2
        assert [mail.to for mail in mailoutbox[2:]] == [["a@example.com"], ["b@example.com"]]

    def test_who_was_added_since_is_not_told(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        row = watch(notify_to=["a@example.com"])
        check()
        MonitorRule.objects.filter(pk=row.pk).update(notify_to=["b@example.com"])
        run("Completed", clock)

        check()

        assert [mail.to for mail in mailoutbox] == [["a@example.com"]] * 2

    def test_whose_alert_was_refused_for_good_is_not_told(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(notify_to=["a@example.com", "b@example.com"])
        check()
        Notification.objects.filter(recipient="a@example.com").update(state="failed")
        run("Completed", clock)

        check()

        assert [mail.to for mail in mailoutbox[2:]] == [["b@example.com"]]

    def test_somebody_alerted_twice_is_told_once(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch()
        check()
        run("Stopped", clock)
        check()
        run("Completed", clock)

        check()

        assert subjects(mailoutbox) == [MISSING, WRONG, "[RESOLVED] sync"]

    def test_a_rule_may_recover_quietly(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(notify_on_recovery=False)
        check()
        run("Completed", clock)

        check()

        assert subjects(mailoutbox) == [MISSING]
        assert not AlertEvent.objects.open().exists()

    def test_the_next_failure_opens_another_event(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch()
        check()
        run("Completed", clock)
        check()
        run("Stopped", clock)

        check()

        assert AlertEvent.objects.count() == 2
        assert AlertEvent.objects.open().count() == 1
        assert subjects(mailoutbox) == [MISSING, "[RESOLVED] sync", WRONG]


class TestSnooze:
    def test_no_message_goes_out_before_its_end(self, check: Any, mailoutbox: Mailbox) -> None:
        watch(snoozed_until=NOW + timedelta(hours=1), remind_hours=0)

        check(3)

        assert not mailoutbox

    def test_the_event_is_opened_and_counted(self, check: Any) -> None:
        watch(snoozed_until=NOW + timedelta(hours=1))

        check(3)

        assert AlertEvent.objects.get().failing_checks == 3

    def test_what_it_silenced_is_stored_as_suppressed(self, check: Any) -> None:
        watch(snoozed_until=NOW + timedelta(hours=1))

        check()

        row = Notification.objects.get()
        assert (row.state, row.suppressed_by, row.kind) == ("suppressed", "snooze", "alert")
        assert (row.recipient, row.subject) == ("ops@example.com", MISSING)

    def test_an_event_that_still_fails_at_its_end_alerts_then(
        self, monitor: Monitor, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(snoozed_until=NOW + timedelta(hours=1))
        monitor()
        clock.shift(timedelta(hours=1))

        monitor()
        monitor()

        assert subjects(mailoutbox) == [MISSING]

    def test_a_recovery_closes_the_event_in_silence(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        row = watch()
        check()
        MonitorRule.objects.filter(pk=row.pk).update(snoozed_until=NOW + timedelta(hours=1))
        run("Completed", clock)

        check()

        assert not AlertEvent.objects.open().exists()
        assert subjects(mailoutbox) == [MISSING]
        assert Notification.objects.get(kind="recovery").state == "suppressed"

    def test_who_was_never_alerted_hears_of_no_recovery(
        self, monitor: Monitor, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(snoozed_until=NOW + timedelta(minutes=10))
        monitor()
        clock.shift(timedelta(minutes=20))
        run("Completed", clock)

        monitor()

        assert not mailoutbox

    def test_it_lasts_until_the_very_instant(
        self, monitor: Monitor, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        watch(snoozed_until=NOW + timedelta(minutes=10))
        clock.shift(timedelta(minutes=9, seconds=59))
        monitor()
        assert not mailoutbox

        clock.shift(1)
        monitor()

        assert len(mailoutbox) == 1


class TestAcknowledgement:
    @pytest.fixture
    def acknowledged(self, check: Any) -> MonitorRule:
        row = watch(remind_hours=0)
        check()
        AlertEvent.objects.update(acknowledged_at=NOW, acknowledged_by=superuser())
        return row

    @pytest.mark.usefixtures("acknowledged")
    def test_it_silences_reminders(self, check: Any, mailoutbox: Mailbox) -> None:
        check(2)

        assert len(mailoutbox) == 1
        silenced = Notification.objects.filter(suppressed_by="acknowledgement", state="suppressed")
        assert silenced.count() == 2

    @pytest.mark.usefixtures("acknowledged")
    def test_it_silences_the_alert_of_another_verdict(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        run("Stopped", clock)

        check(2)

        assert len(mailoutbox) == 1
        assert AlertEvent.objects.get().verdict == "status_mismatch"

    @pytest.mark.usefixtures("acknowledged")
    def test_the_recovery_is_told(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        run("Completed", clock)

        check()

        assert subjects(mailoutbox) == [MISSING, "[RESOLVED] sync"]

    @pytest.mark.usefixtures("acknowledged")
    def test_a_check_keeps_who_acknowledged_and_when(self, check: Any) -> None:
        check(2)

        event = AlertEvent.objects.get()
        assert event.acknowledged_at == NOW
        assert event.acknowledged_by is not None

    @pytest.mark.usefixtures("acknowledged")
    def test_the_next_event_is_not_acknowledged(
        self, check: Any, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        run("Completed", clock)
        check()
        run("Stopped", clock)

        check()

        assert subjects(mailoutbox)[-1] == WRONG


class TestARuleThatIsNoLongerWatched:
    @pytest.fixture
    def row(self, check: Any) -> MonitorRule:
        row = watch(name="Nightly")
        check()
        return row

    def test_disabling_it_closes_its_event(
        self, row: MonitorRule, check: Any, mailoutbox: Mailbox
    ) -> None:
        MonitorRule.objects.filter(pk=row.pk).update(enabled=False)

        check()

        event = AlertEvent.objects.get()
        assert (event.resolution, event.open_key) == ("rule_disabled", None)
        assert event.resolved_at == NOW + timedelta(minutes=5)
        assert len(mailoutbox) == 1

    def test_deleting_it_closes_its_event(
        self, row: MonitorRule, check: Any, mailoutbox: Mailbox
    ) -> None:
        row.delete()

        check()

        assert AlertEvent.objects.get().resolution == "rule_deleted"
        assert len(mailoutbox) == 1

    def test_deleting_it_keeps_the_history(self, row: MonitorRule, check: Any) -> None:
        row.delete()

        check()

        event = AlertEvent.objects.get()
        assert (event.rule, event.rule_name, event.task_name) == (None, "Nightly", "sync")
        assert event.notifications.count() == 1

    def test_pointing_it_at_another_task_closes_its_event(
        self, row: MonitorRule, check: Any, mailoutbox: Mailbox
    ) -> None:
        MonitorRule.objects.filter(pk=row.pk).update(task_name="other", alert_after=9)

        check()

        event = AlertEvent.objects.get()
        assert (event.resolution, event.task_name) == ("rule_retargeted", "sync")
        assert len(mailoutbox) == 1

    def test_pointing_it_at_another_context_closes_its_event(
        self, row: MonitorRule, check: Any
    ) -> None:
        MonitorRule.objects.filter(pk=row.pk).update(
            context_model="gap.IngestorSession", context_type="Hourly", alert_after=9
        )

        check()

        assert AlertEvent.objects.get().resolution == "rule_retargeted"

    def test_failures_of_the_old_task_do_not_count_for_the_new_one(
        self, row: MonitorRule, check: Any
    ) -> None:
        MonitorRule.objects.filter(pk=row.pk).update(task_name="other", alert_after=2)

        check()

        assert not AlertEvent.objects.open().exists()

    def test_renaming_it_changes_nothing(
        self, row: MonitorRule, check: Any, mailoutbox: Mailbox
    ) -> None:
        MonitorRule.objects.filter(pk=row.pk).update(name="Daily")

        check()

        assert AlertEvent.objects.open().count() == 1
        assert len(mailoutbox) == 1

    def test_a_check_of_other_rules_leaves_its_event_alone(
        self, row: MonitorRule, monitor: Monitor
    ) -> None:
        rule("other", notify_to=["ops@example.com"])
        MonitorRule.objects.filter(pk=row.pk).update(enabled=False)

        monitor(tasks=["other"])

        assert AlertEvent.objects.open().filter(task_name="sync").exists()

    def test_a_check_of_all_rules_leaves_the_events_of_json_arguments_alone(
        self, check: Any
    ) -> None:
        config = {"sync": {"expected_statuses": ["Completed"], "notify_to": ["o@example.com"]}}
        doors.check([config], {})

        check()

        assert AlertEvent.objects.open().count() == 1

    def test_enabling_it_again_alerts_anew(
        self, row: MonitorRule, check: Any, mailoutbox: Mailbox
    ) -> None:
        MonitorRule.objects.filter(pk=row.pk).update(enabled=False)
        check()
        MonitorRule.objects.filter(pk=row.pk).update(enabled=True)

        check()

        assert AlertEvent.objects.count() == 2
        assert len(mailoutbox) == 2

    def test_what_was_remembered_of_it_is_forgotten_after_an_hour(
        self, row: MonitorRule, check: Any, clock: time_machine.Traveller
    ) -> None:
        row.delete()
        check()
        assert RuleState.objects.count() == 1

        clock.shift(timedelta(hours=1))
        check()

        assert not RuleState.objects.exists()

    def test_what_is_to_be_forgotten_is_looked_for_once_a_quarter_of_an_hour(
        self, row: MonitorRule, check: Any, clock: time_machine.Traveller
    ) -> None:
        looked = []
        for minutes in (60, 74, 75, 85, 90):
            clock.move_to(NOW + timedelta(minutes=minutes), tick=False)
            with CaptureQueriesContext(connection) as queries:
                check()
            looked.append(any(query["sql"].startswith("DELETE") for query in queries))

        assert looked == [True, False, True, False, True]

    def test_rules_checked_only_twice_a_day_are_not_forgotten(
        self, check: Any, clock: time_machine.Traveller
    ) -> None:
        watch(name="rare", alert_after=2)
        check()
        clock.shift(timedelta(hours=12))

        check()

        assert AlertEvent.objects.open().filter(rule_name="rare").count() == 1
