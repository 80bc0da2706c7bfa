"""What one call of `monitor_task_status` finds, writes, mails and says."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.mail import EmailMultiAlternatives
from django.db import connection, connections
from hypothesis import given, settings

from monitoring import bulk, doors, judging
from monitoring.checker import run_check
from monitoring.core.arguments import parse_arguments
from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
)
from monitoring.rule_rows import key_of
from monitoring.rulesets import select
from monitoring.runs import Request
from monitoring.tasklogs import evidence
from monitoring.tasks import monitor_task_status
from tests.core.test_arguments import configs
from tests.factories import NOW, ago, execution, rule, superuser
from tests.gap.models import IngestorSession
from tests.shell.conftest import Monitor, each_source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

# How another log gets along with a database is seen by the contracts.
source = each_source(pytest.mark.matrix, pytest.mark.any_database)

Mailbox = list[EmailMultiAlternatives]

SYNC = {"sync": {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}}


def subjects(mailbox: Mailbox) -> list[str]:
    return [mail.subject for mail in mailbox]


def recipients(mailbox: Mailbox) -> list[str]:
    return [address for mail in mailbox for address in mail.to]


@pytest.mark.usefixtures("source")
class TestTheLatestExecution:
    def test_a_newer_failure_beats_an_older_success(self, monitor: Monitor) -> None:
        execution("sync", "Completed", started=ago(minutes=20))
        execution("sync", "Stopped", started=ago(minutes=10))

        assert monitor(SYNC)["failures"][0]["current_status"] == "Stopped"

    def test_a_newer_success_beats_an_older_failure(self, monitor: Monitor) -> None:
        execution("sync", "Stopped", started=ago(minutes=20))
        execution("sync", "Completed", started=ago(minutes=10))

        assert monitor(SYNC)["ok"] == 1

    def test_the_one_that_started_last_counts_whatever_was_stored_last(
        self, monitor: Monitor
    ) -> None:
        execution("sync", "Stopped", started=ago(minutes=10))
        execution("sync", "Completed", started=ago(minutes=20))

        assert monitor(SYNC)["failing"] == 1

    def test_of_two_that_started_together_the_greater_primary_key_counts(
        self, monitor: Monitor
    ) -> None:
        execution("sync", "Stopped", started=ago(minutes=10))
        execution("sync", "Completed", started=ago(minutes=10))

        assert monitor(SYNC)["ok"] == 1

    def test_each_task_has_its_own(self, monitor: Monitor) -> None:
        execution("sync", "Completed", started=ago(minutes=20))
        execution("other", "Stopped", started=ago(minutes=10))

        assert monitor(SYNC)["ok"] == 1

    def test_one_that_started_at_the_very_edge_of_the_window_counts(self, monitor: Monitor) -> None:
        execution("sync", started=ago(hours=1))

        assert monitor(SYNC)["ok"] == 1

    def test_one_that_started_a_microsecond_before_the_window_does_not(
        self, monitor: Monitor
    ) -> None:
        execution("sync", started=ago(hours=1, microseconds=1))

        assert monitor(SYNC)["failures"][0]["current_status"] == "No execution found"

    @pytest.mark.parametrize("name", ["Sync", "SYNC", "sync ", " sync", "sync\t", "synć"])
    def test_another_spelling_of_the_name_is_another_task(
        self, monitor: Monitor, name: str
    ) -> None:
        execution(name, "Completed")

        assert monitor(SYNC)["failures"][0]["current_status"] == "No execution found"

    def test_two_names_that_differ_in_case_or_a_trailing_space_are_told_apart(
        self, monitor: Monitor
    ) -> None:
        statuses = {"sync": "Completed", "Sync": "Stopped", "sync ": "Cancelled"}
        for name, status in statuses.items():
            execution(name, status)
        expected = {"expected_statuses": ["Invalidated"], "notify_to": ["ops@example.com"]}

        failures = monitor(dict.fromkeys(statuses, expected))["failures"]

        assert {one["task_name"]: one["current_status"] for one in failures} == statuses

    def test_an_execution_that_has_not_started_is_not_seen(self, monitor: Monitor) -> None:
        execution("sync", "Queued", started_at=None)

        assert monitor(SYNC)["failures"][0]["current_status"] == "No execution found"

    def test_a_rule_that_expects_queued_accepts_one_submitted_inside_the_window(
        self, monitor: Monitor
    ) -> None:
        execution("sync", "Queued", started_at=None)

        assert monitor({"sync": {"expected_statuses": ["Completed", "Queued"]}})["ok"] == 1

    @pytest.mark.skipif("connection.vendor != 'mysql'", reason="others refuse such a row")
    def test_a_status_in_other_case_is_the_same_status(self, monitor: Monitor) -> None:
        execution("sync", "completed")
        execution("waits", "queued", started_at=None)
        waits = {"expected_statuses": ["Queued"], "notify_to": ["ops@example.com"]}

        assert monitor({**SYNC, "waits": waits})["ok"] == 2


@pytest.mark.usefixtures("source")
class TestStartsInTheFuture:
    def test_a_start_five_minutes_ahead_still_counts(self, monitor: Monitor) -> None:
        execution("sync", "Completed", started=NOW + timedelta(seconds=300))

        assert monitor(SYNC)["ok"] == 1

    def test_a_later_start_is_ignored(self, monitor: Monitor) -> None:
        execution("sync", "Stopped", started=ago(minutes=10))
        execution("sync", "Completed", started=NOW + timedelta(seconds=301))

        assert monitor(SYNC)["failures"][0]["current_status"] == "Stopped"

    def test_what_was_ignored_is_logged(
        self, monitor: Monitor, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("sync", "sync", "unwatched"):
            execution(name, started=NOW + timedelta(hours=1))

        with caplog.at_level(logging.WARNING, logger="monitoring"):
            monitor(SYNC)

        assert caplog.messages == [
            "sync: executions that start in the future were ignored; compare the clocks of the "
            "workers with the clock of the monitor"
        ]

    def test_an_ignored_one_is_no_context_match_either(self, monitor: Monitor) -> None:
        session = IngestorSession.objects.create(ingestor_type="Hourly")
        execution("sync", started=NOW + timedelta(hours=1), context_id=str(session.pk))
        entry = SYNC["sync"] | {"context_model": "gap.IngestorSession", "context_type": "Hourly"}

        assert monitor({"sync": entry})["failures"][0]["verdict"] == "no_execution"

    def test_the_newest_before_them_still_runs_or_has_finished(
        self, monitor: Monitor, old_log: None
    ) -> None:
        rule("sync", while_running="wait")
        execution("sync", "Completed", started=ago(minutes=20))
        execution("sync", "Running", started=ago(minutes=10))
        execution("sync", "Stopped", started=NOW + timedelta(hours=1))

        assert monitor()["ok"] == 1


@pytest.mark.usefixtures("old_log")
class TestStoredRules:
    def test_no_arguments_check_every_enabled_rule(self, monitor: Monitor) -> None:
        rule("sync")
        rule("report")
        execution("sync")
        execution("report")

        summary = monitor()

        assert (summary["rule_set"], summary["checked"], summary["ok"]) == ("all rules", 2, 2)

    def test_a_disabled_rule_is_not_checked(self, monitor: Monitor) -> None:
        rule("sync", enabled=False)

        assert monitor()["checked"] == 0

    def test_a_subset_is_chosen_by_the_names_of_rules(self, monitor: Monitor) -> None:
        rule("sync", name="A", notify_to=["a@example.com"])
        rule("sync", name="B", notify_to=["b@example.com"])

        summary = monitor(rules=["B"])

        assert [one["rule"] for one in summary["failures"]] == ["B"]
        assert summary["rule_set"] == "rules with name B"

    def test_a_subset_is_chosen_by_the_names_of_tasks(self, monitor: Monitor) -> None:
        rule("sync", name="A")
        rule("sync", name="B")
        rule("report", name="C")
        execution("sync")

        assert monitor(tasks=["sync"])["checked"] == 2

    def test_rules_and_tasks_together_check_both(self, monitor: Monitor) -> None:
        rule("sync", name="A")
        rule("report", name="B")
        rule("other", name="C")
        execution("sync")
        execution("report")

        assert monitor(rules=["A"], tasks=["report"])["ok"] == 2

    def test_a_rule_chosen_twice_is_checked_once(self, monitor: Monitor) -> None:
        rule("sync", name="A")
        execution("sync")

        assert monitor(rules=["A", "A"], tasks=["sync"])["checked"] == 1

    def test_an_unknown_rule_is_an_error_with_the_nearest_name(self, monitor: Monitor) -> None:
        rule("sync", name="Nightly sync")

        with pytest.raises(ValueError, match="no rule named") as error:
            monitor(rules=["Nigthly sync"])

        assert str(error.value) == (
            'there is no rule named "Nigthly sync" (did you mean "Nightly sync"?)'
        )

    def test_an_unknown_task_is_an_error_with_the_nearest_name(self, monitor: Monitor) -> None:
        rule("generate_daily_report")

        with pytest.raises(ValueError, match="no rule for task") as error:
            monitor(tasks=["generate_daily_reports"])

        assert str(error.value) == (
            'there is no rule for task "generate_daily_reports" '
            '(did you mean "generate_daily_report"?)'
        )

    def test_the_name_of_a_rule_in_other_case_is_an_unknown_one(self, monitor: Monitor) -> None:
        rule("sync", name="Nightly")

        with pytest.raises(ValueError, match="no rule named") as error:
            monitor(rules=["nightly"])

        assert str(error.value) == 'there is no rule named "nightly" (did you mean "Nightly"?)'

    def test_a_name_like_no_other_gets_no_suggestion(self, monitor: Monitor) -> None:
        rule("sync", name="Nightly")

        with pytest.raises(ValueError, match="no rule named") as error:
            monitor(rules=["zzz"])

        assert str(error.value) == 'there is no rule named "zzz"'

    def test_a_disabled_rule_that_is_asked_for_is_an_error_of_its_own(
        self, monitor: Monitor
    ) -> None:
        rule("sync", name="Nightly", enabled=False)

        with pytest.raises(ValueError, match="is disabled") as error:
            monitor(rules=["Nightly"])

        assert str(error.value) == ('the rule named "Nightly" is disabled: enable it in the admin')

    def test_an_unknown_name_does_not_keep_the_known_ones_from_being_checked(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        rule("sync", name="A", notify_to=["a@example.com"])

        with pytest.raises(ValueError, match='no rule named "zzz"'):
            monitor(rules=["A", "zzz"])

        assert subjects(mailoutbox) == ["[ALERT] sync Has Not Executed"]

    def test_a_check_of_unknown_names_alone_is_no_complete_check(self, monitor: Monitor) -> None:
        rule("sync", name="A", notify_to=["a@example.com"])

        for names in (["zzz"], ["A", "zzz"]):
            with pytest.raises(ValueError, match='no rule named "zzz"'):
                monitor(rules=names)

        runs = MonitorRun.objects.order_by("pk").values_list("state", "checked", "error")
        error = 'there is no rule named "zzz"'
        assert list(runs) == [("failed", 0, error), ("complete", 1, error)]

    def test_entries_and_rules_of_one_call_are_both_checked(self, monitor: Monitor) -> None:
        rule("report", name="A")
        execution("sync")
        execution("report")

        assert monitor(SYNC, rules=["A"])["ok"] == 2

    def test_more_rules_than_one_batch_holds_are_all_checked(
        self, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("monitoring.rulesets.BATCH_SIZE", 2)
        for number in range(5):
            rule(f"task-{number}")
            execution(f"task-{number}")

        assert monitor()["ok"] == 5

    def test_superusers_are_the_recipients_of_a_rule_without_any(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        superuser("a@example.com")
        superuser("b@example.com")
        superuser("gone@example.com", is_active=False)
        superuser("")
        superuser("not an address")
        get_user_model().objects.create(username="staff", email="s@example.com", is_staff=True)
        rule("sync")

        monitor()

        assert recipients(mailoutbox) == ["a@example.com", "b@example.com"]

    def test_superusers_get_nothing_of_a_rule_that_names_recipients(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        superuser("root@example.com")
        rule("sync", notify_to=["ops@example.com"])

        monitor()

        assert recipients(mailoutbox) == ["ops@example.com"]

    def test_an_address_given_twice_gets_one_mail(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        rule("sync", notify_to=["ops@example.com", "OPS@example.com"])

        monitor()

        assert recipients(mailoutbox) == ["ops@example.com"]


@pytest.mark.usefixtures("old_log")
class TestACorruptRule:
    @pytest.mark.parametrize(
        ("columns", "complaint"),
        [
            (
                {"expected_statuses": ["Complete"]},
                'expected_statuses "Complete" is not a status: did you mean "Completed"?',
            ),
            (
                {"expected_statuses": []},
                "expected_statuses is empty: name at least one of Pending, Queued, Running, "
                "Completed, Stopped, Cancelled, Invalidated",
            ),
            (
                {"expected_statuses": "Completed"},
                'expected_statuses must be a list, got the text "Completed": write ["Completed"]',
            ),
            (
                {"dependent_tasks": {"a": 1}},
                'dependent_tasks must be a list of task names such as ["Task Y"], got {"a": 1}',
            ),
            (
                {"context_model": "gap", "context_type": "x"},
                'context_model must look like "gap.models.IngestorSession", got "gap"',
            ),
        ],
    )
    def test_it_is_unknown_and_reported_in_words(
        self, monitor: Monitor, columns: dict[str, Any], complaint: str
    ) -> None:
        row = rule("sync", name="Nightly")
        MonitorRule.objects.filter(pk=row.pk).update(**columns)

        with pytest.raises(ValueError, match="the rule is not valid") as error:
            monitor()

        assert str(error.value) == f'rule "Nightly": the rule is not valid: {complaint}'

    def test_it_opens_no_event_and_mails_nobody(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        superuser()
        row = rule("sync")
        MonitorRule.objects.filter(pk=row.pk).update(expected_statuses=[])

        with pytest.raises(ValueError, match="the rule is not valid"):
            monitor()

        assert not AlertEvent.objects.exists()
        assert not mailoutbox

    def test_the_others_are_checked_and_mailed(self, monitor: Monitor, mailoutbox: Mailbox) -> None:
        broken = rule("broken")
        rule("sync", notify_to=["ops@example.com"])
        rule("fine")
        execution("fine")
        MonitorRule.objects.filter(pk=broken.pk).update(expected_statuses=[])

        with pytest.raises(ValueError, match="the rule is not valid"):
            monitor()

        run = MonitorRun.objects.get()
        assert (run.checked, run.ok, run.failing, run.unknown) == (3, 1, 1, 1)
        assert subjects(mailoutbox) == ["[ALERT] sync Has Not Executed"]

    def test_addresses_that_are_none_are_left_out_of_its_recipients(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        row = rule("sync")
        MonitorRule.objects.filter(pk=row.pk).update(notify_to=["nobody", "ops@example.com", 7])

        monitor()

        assert recipients(mailoutbox) == ["ops@example.com"]

    def test_a_rule_whose_judgement_raises_is_unknown_too(
        self, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = judging.judge

        def judge(one: Any, evidence: Any, now: Any) -> Any:
            if one.task_name == "sync" and not evidence.unusable:
                raise ZeroDivisionError("division by zero")
            return real(one, evidence, now)

        monkeypatch.setattr(judging, "judge", judge)
        rule("sync", name="Nightly")
        rule("fine")
        execution("fine")

        with pytest.raises(ValueError, match="ZeroDivisionError") as error:
            monitor()

        assert str(error.value) == 'rule "Nightly": ZeroDivisionError: division by zero'
        assert MonitorRun.objects.get().ok == 1


@pytest.mark.usefixtures("old_log")
class TestARuleThatCannotBeChecked:
    @pytest.fixture
    def broken(self) -> MonitorRule:
        row = rule("sync", notify_to=["ops@example.com"])
        MonitorRule.objects.filter(pk=row.pk).update(expected_statuses=["Complete"])
        return row

    @pytest.fixture
    def check(self, monitor: Monitor, clock: time_machine.Traveller) -> Any:
        def times(count: int) -> None:
            for _ in range(count):
                with pytest.raises(ValueError, match="the rule is not valid"):
                    monitor()
                clock.shift(300)

        return times

    @pytest.mark.usefixtures("broken")
    def test_two_checks_in_a_row_tell_nobody(self, check: Any, mailoutbox: Mailbox) -> None:
        check(2)

        assert not mailoutbox

    @pytest.mark.usefixtures("broken")
    def test_the_third_in_a_row_sends_one_mail(self, check: Any, mailoutbox: Mailbox) -> None:
        check(3)

        assert subjects(mailoutbox) == ["[ALERT] sync Cannot Be Checked"]

    @pytest.mark.usefixtures("broken")
    def test_it_goes_to_the_rules_own_recipients(self, check: Any, mailoutbox: Mailbox) -> None:
        superuser()

        check(3)

        assert recipients(mailoutbox) == ["ops@example.com"]

    @pytest.mark.usefixtures("broken")
    def test_the_mail_says_what_is_wrong(self, check: Any, mailoutbox: Mailbox) -> None:
        check(3)

        words = " ".join(str(mailoutbox[0].body).split())
        assert (
            "The check could not judge this rule: the rule is not valid: "
            'expected_statuses "Complete" is not a status: did you mean "Completed"?' in words
        )

    @pytest.mark.usefixtures("broken")
    def test_no_more_mails_follow(self, check: Any, mailoutbox: Mailbox) -> None:
        check(7)

        assert len(mailoutbox) == 1

    @pytest.mark.usefixtures("broken")
    def test_no_alert_event_stands_behind_it(self, check: Any) -> None:
        check(3)

        assert Notification.objects.get().alert_event is None
        assert not AlertEvent.objects.exists()

    def test_a_check_that_could_judge_begins_the_row_anew(
        self, broken: MonitorRule, check: Any, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        check(2)
        MonitorRule.objects.update(expected_statuses=["Completed"])
        execution("sync", started=NOW)
        monitor()
        MonitorRule.objects.filter(pk=broken.pk).update(expected_statuses=["Complete"])
        check(2)

        assert not mailoutbox

    def test_an_open_event_stays_as_it_is(
        self, monitor: Monitor, check: Any, mailoutbox: Mailbox
    ) -> None:
        rule("sync", notify_to=["ops@example.com"])
        monitor()
        before = AlertEvent.objects.values().get()
        MonitorRule.objects.update(expected_statuses=["Complete"])

        check(1)

        assert AlertEvent.objects.values().get() == before
        assert len(mailoutbox) == 1

    @pytest.mark.usefixtures("broken")
    def test_a_snoozed_rule_stays_silent(self, check: Any, mailoutbox: Mailbox) -> None:
        MonitorRule.objects.update(snoozed_until=NOW + timedelta(days=1))

        check(3)

        assert not mailoutbox

    def test_an_entry_of_json_arguments_is_only_an_error(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        entry = SYNC["sync"] | {"context_model": "gap.Nothing", "context_type": "x"}

        for _ in range(4):
            with pytest.raises(ValueError, match="is not an installed model"):
                monitor({"sync": entry})

        assert not mailoutbox


class TestATaskLogThatCannotBeRead:
    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM no_such_table")

        monkeypatch.setattr("monitoring.tasklogs.evidence.newest_of", fail)

    def test_makes_every_rule_unknown_and_says_why(self) -> None:
        rule("sync")
        rule("report")

        found = doors.check((), {})

        assert found.counts["unknown"] == 2
        assert {one["task_name"] for one in found.unknown} == {"report", "sync"}
        assert "the task log cannot be read" in found.unknown[0]["reason"]
        assert MonitorRun.objects.get().state == "complete"

    def test_leaves_open_events_as_they_are(self) -> None:
        row = rule("sync")
        opened = AlertEvent.objects.create(
            rule=row,
            task_name="sync",
            key=key_of(row),
            open_key=key_of(row),
            verdict="status_mismatch",
            current_status="Stopped",
            lookback_hours=1,
            opened_at=ago(hours=1),
            last_checked_at=ago(hours=1),
        )

        doors.check((), {})

        assert AlertEvent.objects.open().get() == opened
        assert Notification.objects.count() == 0

    def test_is_told_of_at_the_third_check(self, clock: time_machine.Traveller) -> None:
        superuser()
        rule("sync")
        for _ in range(3):
            doors.check((), {})
            clock.shift(300)

        (message,) = Notification.objects.all()
        assert message.subject == "[ALERT] sync Cannot Be Checked"

    def test_lets_the_task_end_with_an_error_that_says_so(self, monitor: Monitor) -> None:
        rule("sync")

        with pytest.raises(ValueError, match="the task log cannot be read"):
            monitor()


@pytest.mark.usefixtures("source")
class TestAYoungLog:
    def test_it_does_not_alarm(self, monitor: Monitor, mailoutbox: Mailbox) -> None:
        superuser()
        execution("other", started=ago(hours=3))
        rule("sync", lookback_hours=25)

        summary = monitor()

        assert (summary["unknown"], summary["failing"]) == (1, 0)
        assert not mailoutbox

    def test_it_says_how_much_the_log_covers(self, monitor: Monitor) -> None:
        execution("other", started=ago(hours=3))
        rule("sync", name="Nightly", lookback_hours=25)

        assert monitor()["unknown_rules"] == [
            {"rule": "Nightly", "task_name": "sync", "reason": "log covers 3 of 25 h"}
        ]

    def test_it_is_no_error_of_the_check(self, monitor: Monitor) -> None:
        rule("sync", lookback_hours=25)

        assert monitor()["problems"] == []

    def test_it_never_leads_to_a_mail_that_the_rule_cannot_be_checked(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        superuser()
        rule("sync", lookback_hours=25)

        for _ in range(4):
            monitor()

        assert not mailoutbox

    def test_a_young_rule_over_an_old_log_waits_as_well(self, monitor: Monitor) -> None:
        execution("other", started=ago(days=30))
        rule("sync", lookback_hours=25, created_at=ago(hours=1))

        assert monitor()["unknown_rules"][0]["reason"] == "rule has watched for 1 of 25 h"

    def test_a_failure_that_the_log_does_show_alerts_at_once(self, monitor: Monitor) -> None:
        superuser()
        execution("sync", "Stopped")
        rule("sync", lookback_hours=25)

        assert monitor()["failing"] == 1

    def test_an_empty_log_tells_once_checks_have_run_for_a_window(
        self, monitor: Monitor, clock: time_machine.Traveller
    ) -> None:
        superuser()
        rule("sync", lookback_hours=2)
        monitor()

        clock.shift(timedelta(hours=2))

        assert monitor()["failures"][0]["verdict"] == "no_execution"

    def test_json_arguments_alert_over_an_empty_log_as_documented(self, monitor: Monitor) -> None:
        assert monitor(SYNC)["failing"] == 1


@pytest.mark.usefixtures("old_log")
@pytest.mark.usefixtures("source")
class TestWhatTheMailAdds:
    def test_how_many_executions_wait_and_since_when(self, monitor: Monitor) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Pending", started_at=None, submitted_at=ago(minutes=50))
        execution("sync", "Queued", started_at=None, submitted_at=ago(minutes=40))
        execution("other", "Queued", started_at=None, submitted_at=ago(minutes=55))

        monitor()

        facts = Notification.objects.get().facts
        assert facts["waiting_count"] == 2
        assert facts["waiting_since"] == ago(minutes=50).isoformat()

    def test_an_execution_from_before_the_window_that_still_runs(self, monitor: Monitor) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Running", started=ago(hours=5))

        monitor()

        facts = Notification.objects.get().facts
        assert facts["current_status"] == "No execution found"
        assert facts["still_running_since"] == ago(hours=5).isoformat()

    def test_the_last_execution_outside_the_window(self, monitor: Monitor) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Stopped", started=ago(hours=5), finished_at=ago(hours=4))

        monitor()

        facts = Notification.objects.get().facts
        assert facts["last_known_status"] == "Stopped"
        assert facts["last_known_started_at"] == ago(hours=5).isoformat()
        assert facts["last_known_finished_at"] == ago(hours=4).isoformat()
        assert facts["still_running_since"] is None

    def test_error_and_task_id_of_the_execution(self, monitor: Monitor) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Stopped", errors="ValueError: no", task_id="task-900001")

        monitor()

        facts = Notification.objects.get().facts
        assert (facts["error"], facts["task_id"]) == ("ValueError: no", "task-900001")

    def test_a_long_error_is_cut(self, monitor: Monitor) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Stopped", errors="x" * 50_000)

        monitor()

        assert len(Notification.objects.get().facts["error"]) == 2000

    def test_the_description_of_the_rule(self, monitor: Monitor) -> None:
        rule("sync", notify_to=["ops@example.com"], description="Restart it.")

        monitor()

        assert Notification.objects.get().facts["description"] == "Restart it."


@pytest.mark.usefixtures("old_log")
@pytest.mark.usefixtures("source")
class TestTheLongestRuntime:
    def test_a_running_execution_within_it_is_fine(self, monitor: Monitor) -> None:
        expected = ["Completed", "Running"]
        rule("sync", expected_statuses=expected, max_runtime_minutes=30, while_running="judge")
        execution("sync", "Running", started=ago(minutes=30))

        assert monitor()["ok"] == 1

    def test_one_beyond_it_overruns_even_if_running_is_expected(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        rule(
            "sync",
            expected_statuses=["Completed", "Running"],
            max_runtime_minutes=30,
            notify_to=["ops@example.com"],
        )
        execution("sync", "Running", started=ago(minutes=30, seconds=1))

        assert monitor()["failures"][0]["reason"] == "running for longer than 30 min"
        assert subjects(mailoutbox) == ["[ALERT] sync Status Check Failed"]

    def test_it_counts_for_one_that_began_before_the_window(self, monitor: Monitor) -> None:
        rule("sync", max_runtime_minutes=30, notify_to=["ops@example.com"])
        execution("sync", "Running", started=ago(hours=5))

        assert monitor()["failures"][0]["verdict"] == "overrunning"

    def test_one_that_has_finished_is_judged_by_its_status(self, monitor: Monitor) -> None:
        rule("sync", max_runtime_minutes=30)
        execution("sync", "Completed", started=ago(minutes=50), finished_at=NOW)

        assert monitor()["ok"] == 1


@pytest.mark.usefixtures("old_log")
@pytest.mark.usefixtures("source")
class TestWhileItRuns:
    def test_a_waiting_rule_judges_the_newest_finished_one(self, monitor: Monitor) -> None:
        rule("sync", while_running="wait")
        execution("sync", "Completed", started=ago(minutes=20))
        execution("sync", "Running", started=ago(minutes=5))

        assert monitor()["ok"] == 1

    def test_a_waiting_rule_passes_over_one_that_waits_for_its_retry(
        self, monitor: Monitor
    ) -> None:
        rule("sync", while_running="wait", notify_to=["ops@example.com"])
        execution("sync", "Stopped", started=ago(minutes=20))
        execution("sync", "Invalidated", started=ago(minutes=5))

        assert monitor()["failures"][0]["current_status"] == "Stopped"

    def test_a_waiting_rule_with_nothing_finished_is_in_progress(self, monitor: Monitor) -> None:
        rule("sync", while_running="wait")
        execution("sync", "Running", started=ago(minutes=5))

        summary = monitor()

        assert (summary["in_progress"], summary["ok"], summary["failing"]) == (1, 0, 0)

    def test_one_in_progress_leaves_an_open_event_alone(
        self, monitor: Monitor, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        rule("sync", while_running="wait", notify_to=["ops@example.com"])
        monitor()
        before = AlertEvent.objects.values().get()
        clock.shift(600)
        execution("sync", "Running", started=NOW)

        monitor()

        assert AlertEvent.objects.values().get() == before
        assert len(mailoutbox) == 1

    def test_a_judging_rule_takes_it_as_it_stands(self, monitor: Monitor) -> None:
        rule("sync", while_running="judge", notify_to=["ops@example.com"])
        execution("sync", "Completed", started=ago(minutes=20))
        execution("sync", "Running", started=ago(minutes=5))

        assert monitor()["failures"][0]["reason"] == "Running instead of Completed"

    def test_json_arguments_judge_as_documented(self, monitor: Monitor) -> None:
        execution("sync", "Completed", started=ago(minutes=20))
        execution("sync", "Running", started=ago(minutes=5))

        assert monitor(SYNC)["failures"][0]["current_status"] == "Running"


class TestADatabaseWithATimeZoneOfItsOwn:
    """A host may set TIME_ZONE in DATABASES; then naive columns do not count in UTC."""

    @pytest.fixture(autouse=True)
    def _in_tokyo(self, db: None) -> Iterator[None]:
        before = connection.settings_dict["TIME_ZONE"]
        move_connection("Asia/Tokyo")
        yield
        move_connection(before)

    def test_the_edge_of_the_window_is_where_it_was(self, monitor: Monitor) -> None:
        execution("inside", started=ago(hours=1))
        execution("outside", started=ago(hours=1, seconds=1))

        failures = monitor(dict.fromkeys(("inside", "outside"), SYNC["sync"]))["failures"]

        assert [one["task_name"] for one in failures] == ["outside"]

    def test_a_young_rule_is_as_young_as_it_was(self, monitor: Monitor, old_log: None) -> None:
        rule("sync", lookback_hours=25, created_at=ago(hours=3))

        assert monitor()["unknown_rules"][0]["reason"] == "rule has watched for 3 of 25 h"

    def test_a_snooze_ends_when_it_did(
        self, monitor: Monitor, old_log: None, mailoutbox: Mailbox
    ) -> None:
        rule("over", notify_to=["a@example.com"], snoozed_until=ago(seconds=1))
        rule("on", notify_to=["b@example.com"], snoozed_until=NOW + timedelta(seconds=1))

        monitor()

        assert recipients(mailoutbox) == ["a@example.com"]


def move_connection(time_zone: str | None) -> None:
    one = connections["default"]
    one.settings_dict["TIME_ZONE"] = time_zone
    for name in ("timezone", "timezone_name"):
        vars(one).pop(name, None)
    one.ensure_timezone()


class TestJsonArguments:
    def test_every_failing_check_sends_a_message(
        self, monitor: Monitor, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        for _ in range(3):
            monitor(SYNC)
            clock.shift(60)

        assert subjects(mailoutbox) == ["[ALERT] sync Has Not Executed"] * 3

    def test_two_checks_at_the_same_instant_send_two_messages(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        monitor(SYNC)
        monitor(SYNC)

        assert len(mailoutbox) == 2

    def test_all_of_them_belong_to_one_alert_event(
        self, monitor: Monitor, clock: time_machine.Traveller
    ) -> None:
        for _ in range(3):
            monitor(SYNC)
            clock.shift(60)

        event = AlertEvent.objects.get()
        assert (event.failing_checks, event.notifications.count()) == (3, 3)

    def test_a_recovery_closes_the_event_without_a_message(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        monitor(SYNC)
        execution("sync")

        monitor(SYNC)

        assert AlertEvent.objects.get().resolution == "recovered"
        assert len(mailoutbox) == 1

    def test_their_events_belong_to_no_rule(self, monitor: Monitor) -> None:
        rule("sync")

        monitor(SYNC)

        assert AlertEvent.objects.get().rule is None

    def test_two_periodic_tasks_with_the_same_entry_have_an_event_each(
        self, monitor: Monitor
    ) -> None:
        for name in ("Hourly", "Daily"):
            doors.check([SYNC], {}, request=Request(periodic_task=name))

        assert AlertEvent.objects.open().count() == 2

    def test_good_neighbours_of_bad_entries_are_checked_and_mailed(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        bad = {"bad": {"expected_statuses": []}, "worse": None}

        with pytest.raises(ValueError, match="expected_statuses is empty"):
            monitor({**bad, **SYNC})

        assert subjects(mailoutbox) == ["[ALERT] sync Has Not Executed"]

    def test_one_error_lists_every_bad_entry_with_its_place_and_its_fix(
        self, monitor: Monitor
    ) -> None:
        config = {
            "nightly": {"expected_statuses": ["Complete"]},
            "hourly": SYNC["sync"] | {"notify_to": ["ops"], "lookback": 2},
            "weekly": {"expected_statuses": ["Completed"], "lookback_hours": "1"},
            "daily": ["Completed"],
            **SYNC,
        }
        superuser()

        with pytest.raises(ValueError, match="nightly") as error:
            monitor(config)

        assert str(error.value).splitlines() == [
            'arguments[0]["nightly"]: expected_statuses "Complete" is not a status: '
            'did you mean "Completed"?',
            'arguments[0]["hourly"]: unknown key "lookback" (did you mean "lookback_hours"?)',
            'arguments[0]["hourly"].notify_to: "ops" is not an e-mail address: '
            'write it like "admin@example.com"',
            'arguments[0]["weekly"]: lookback_hours must be a number, got "1": '
            "write a number of hours above 0 and up to 87600, without quotes",
            'arguments[0]["daily"]: expected a dictionary with expected_statuses, '
            'got ["Completed"]: write {"expected_statuses": ["Completed"]}',
        ]

    @pytest.mark.parametrize("argument", [{}, None, [], 7, "sync", [{}]])
    def test_an_argument_that_names_no_task_never_means_all_rules(
        self, monitor: Monitor, argument: object
    ) -> None:
        rule("sync")

        with pytest.raises(ValueError, match=r"^arguments"):
            monitor(argument)

        assert MonitorRun.objects.get().checked == 0

    def test_a_misspelt_keyword_never_means_all_rules(self, monitor: Monitor) -> None:
        rule("sync")

        with pytest.raises(ValueError, match="keyword argument") as error:
            monitor(rule=["sync rule"])

        assert 'keyword argument "rule": unknown (did you mean "rules"?)' in str(error.value)
        assert MonitorRun.objects.get().checked == 0

    @pytest.mark.parametrize("junk", ["\x00", "\ud800", "\U0001f600", "a\nb", "x" * 255])
    def test_a_strange_name_does_not_cost_the_others_their_check(
        self, monitor: Monitor, mailoutbox: Mailbox, junk: str
    ) -> None:
        entry = {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}

        try:
            monitor({f"{junk}": entry, **SYNC})
        except ValueError as error:
            assert "arguments[0]" in str(error)  # noqa: PT017 - some of them are refused

        assert "[ALERT] sync Has Not Executed" in subjects(mailoutbox)

    @pytest.mark.parametrize(
        "fields",
        [
            {"notify_to": ["\ud800@example.com", "ops@example.com"]},
            {"notify_to": ["ops@example.com"], "dependent_tasks": ["\x00", "\ud800"]},
            {
                "notify_to": ["ops@example.com"],
                "context_model": "gap.IngestorSession",
                "context_type": "\x00\ud800",
            },
        ],
    )
    def test_a_strange_value_does_not_cost_the_others_their_check(
        self, monitor: Monitor, mailoutbox: Mailbox, fields: dict[str, Any]
    ) -> None:
        strange = {"expected_statuses": ["Completed"], **fields}

        try:
            monitor({"strange": strange, **SYNC})
        except ValueError as error:
            assert "arguments[0]" in str(error)  # noqa: PT017 - some of them are refused

        assert "[ALERT] sync Has Not Executed" in subjects(mailoutbox)

    def test_five_thousand_entries_are_checked_and_each_bad_one_is_an_error(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        names = [f"task_{number}" for number in range(5000)]
        config: dict[str, Any] = {name: dict(SYNC["sync"]) for name in names}
        for name in names[::10]:
            config[name]["lookback_hours"] = 0
        BackgroundTask.objects.bulk_create(
            BackgroundTask(
                task_id=name, task_name=name, status="Completed", started_at=ago(minutes=5)
            )
            for name in names[:-1]
        )

        with pytest.raises(ValueError, match="lookback_hours is out of range") as error:
            monitor(config)

        assert len(str(error.value).splitlines()) == 500
        run = MonitorRun.objects.get()
        assert (run.checked, run.ok, run.failing) == (4500, 4499, 1)
        assert subjects(mailoutbox) == ["[ALERT] task_4999 Has Not Executed"]

    @given(configs)
    @settings(max_examples=min(25, settings.default.max_examples))
    def test_no_junk_beside_an_entry_costs_it_its_check(self, config: dict[str, Any]) -> None:
        arguments = parse_arguments([config | SYNC], {})

        report = run_check(select(arguments), NOW)

        assert report.counts["checked"] == len(arguments.entries)
        assert "sync" in {failure["task_name"] for failure in report.failures}
        assert len(report.problems) >= len(config) - len(arguments.entries) + 1
        json.dumps(report.as_dict())

    def test_a_task_name_as_long_as_a_column_still_gets_a_subject(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        monitor({"x" * 255: SYNC["sync"]})

        subject = subjects(mailoutbox)[0]
        assert len(subject) == 255
        assert subject.endswith("… Has Not Executed")


class TestNobodyToTell:
    ERROR = "notify_to is empty but no superuser found for task 'sync'"
    CONFIG = {"sync": {"expected_statuses": ["Completed"]}}

    def test_the_check_ends_with_the_documented_error(self, monitor: Monitor) -> None:
        with pytest.raises(ValueError, match="no superuser") as error:
            monitor(self.CONFIG)

        assert str(error.value) == self.ERROR

    def test_the_alert_event_is_written(self, monitor: Monitor) -> None:
        with pytest.raises(ValueError, match="no superuser"):
            monitor(self.CONFIG)

        event = AlertEvent.objects.get()
        assert (event.verdict, event.alert_owed) == ("no_execution", True)

    def test_the_others_are_mailed(self, monitor: Monitor, mailoutbox: Mailbox) -> None:
        other = {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}

        with pytest.raises(ValueError, match="no superuser"):
            monitor({**self.CONFIG, "report": other})

        assert subjects(mailoutbox) == ["[ALERT] report Has Not Executed"]

    def test_the_whole_message_is_logged_as_an_error(
        self, monitor: Monitor, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(ValueError, match="no superuser"):
            monitor(self.CONFIG)

        (record,) = [one for one in caplog.records if one.name == "monitoring.checker"]
        assert record.levelno == logging.ERROR
        text = record.getMessage()
        assert text.startswith(
            "no recipient for this message:\nSubject: [ALERT] sync Has Not Executed\n\n"
        )
        for item in ("sync", "No execution found", "Completed", "Last 1 hour(s)", "2026-03-10"):
            assert item in text

    def test_it_is_raised_and_logged_at_every_further_check(
        self, monitor: Monitor, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="no superuser"):
                monitor(self.CONFIG)
            clock.shift(60)

        assert len([one for one in caplog.records if one.name == "monitoring.checker"]) == 3

    def test_a_stored_rule_without_reminders_owes_it_at_every_check_too(
        self, monitor: Monitor, old_log: None
    ) -> None:
        rule("sync")

        for _ in range(3):
            with pytest.raises(ValueError, match="no superuser") as error:
                monitor()
            assert str(error.value) == self.ERROR

    def test_it_is_delivered_once_there_is_a_superuser(
        self, monitor: Monitor, mailoutbox: Mailbox, old_log: None
    ) -> None:
        rule("sync")
        with pytest.raises(ValueError, match="no superuser"):
            monitor()
        superuser("root@example.com")

        monitor()
        monitor()

        assert subjects(mailoutbox) == ["[ALERT] sync Has Not Executed"]
        assert recipients(mailoutbox) == ["root@example.com"]
        assert not AlertEvent.objects.get().alert_owed

    def test_an_event_that_recovers_before_anybody_was_told_owes_nothing(
        self, monitor: Monitor, mailoutbox: Mailbox, old_log: None
    ) -> None:
        rule("sync")
        with pytest.raises(ValueError, match="no superuser"):
            monitor()
        execution("sync")

        monitor()

        assert not mailoutbox
        assert not AlertEvent.objects.open().exists()

    def test_only_bad_addresses_are_the_same_as_none(self, monitor: Monitor) -> None:
        with pytest.raises(ValueError, match="no superuser") as error:
            monitor({"sync": {"expected_statuses": ["Completed"], "notify_to": ["ops"]}})

        assert str(error.value).splitlines() == [
            'arguments[0]["sync"].notify_to: "ops" is not an e-mail address: '
            'write it like "admin@example.com"',
            self.ERROR,
        ]

    def test_a_suppressed_message_raises_nothing(self, monitor: Monitor, old_log: None) -> None:
        rule("sync", snoozed_until=NOW + timedelta(hours=1))

        assert monitor()["problems"] == []


class TestTheSummary:
    def test_it_says_when_what_and_how_many(self, monitor: Monitor, old_log: None) -> None:
        rule("fine")
        execution("fine")

        summary = monitor()

        run = MonitorRun.objects.get()
        assert summary == {
            "checked_at": "2026-03-10T12:00:00+00:00",
            "rule_set": "all rules",
            "state": "complete",
            "run": run.pk,
            "skipped_because": "",
            "not_checked_from": None,
            "checked": 1,
            "ok": 1,
            "failing": 0,
            "unknown": 0,
            "in_progress": 0,
            "failures": [],
            "unknown_rules": [],
            "messages": [],
            "problems": [],
        }

    def test_it_says_which_failed_and_how(self, monitor: Monitor, old_log: None) -> None:
        rule("sync", name="Nightly", lookback_hours=1.5, notify_to=["ops@example.com"])
        execution("sync", "Stopped", started=ago(minutes=5))

        assert monitor()["failures"] == [
            {
                "rule": "Nightly",
                "task_name": "sync",
                "verdict": "status_mismatch",
                "current_status": "Stopped",
                "expected_statuses": ["Completed"],
                "lookback_hours": 1.5,
                "started_at": "2026-03-10T11:55:00+00:00",
                "reason": "Stopped instead of Completed",
                "cause": "",
                "failing_checks": 1,
            }
        ]

    def test_it_says_which_messages_are_owed(self, monitor: Monitor) -> None:
        # Inside a transaction they go out when it commits, after the summary was made.
        assert monitor(SYNC)["messages"] == [
            {
                "recipient": "ops@example.com",
                "subject": "[ALERT] sync Has Not Executed",
                "kind": "alert",
                "state": "pending",
            }
        ]

    @pytest.mark.django_db(transaction=True)
    def test_it_says_which_messages_were_sent(self, mailoutbox: Mailbox) -> None:
        assert monitor_task_status(SYNC)["messages"][0]["state"] == "sent"
        assert len(mailoutbox) == 1

    def test_it_survives_json_and_print(
        self, monitor: Monitor, capsys: pytest.CaptureFixture[str]
    ) -> None:
        execution("sync", "Stopped")

        summary = monitor(SYNC)
        print(summary)

        assert json.loads(json.dumps(summary)) == summary
        assert "Stopped instead of Completed" in capsys.readouterr().out

    def test_the_task_called_as_a_plain_function_needs_no_worker(self, monitor: Monitor) -> None:
        # The documented shell example (10.10.2).
        superuser()
        config = {"test_task": {"expected_statuses": ["Completed"], "lookback_hours": 24}}

        result = monitor(config)

        assert (result["failing"], result["failures"][0]["lookback_hours"]) == (1, 24.0)

    def test_the_task_is_registered_under_the_documented_name(self) -> None:
        assert monitor_task_status.name == "monitor_task_status"

    def test_bad_arguments_reach_our_error_when_it_is_sent_through_celery(self) -> None:
        result = monitor_task_status.apply(args=[1, 2, 3], kwargs={"self": 1, "x": 2})

        assert result.state == "FAILURE"
        assert (
            str(result.result).splitlines()[0].startswith("arguments[0]: expected one dictionary")
        )

    def test_the_name_of_the_periodic_task_comes_from_the_request(self) -> None:
        monitor_task_status.push_request(periodic_task_name="Hourly", called_directly=False)
        try:
            monitor_task_status.run(SYNC)
        finally:
            monitor_task_status.pop_request()

        assert MonitorRun.objects.get().rule_set == "JSON arguments of Hourly"


class TestTheRecordOfTheCheck:
    def test_it_holds_the_counts(self, monitor: Monitor, old_log: None) -> None:
        superuser()
        for name, status in (("a", "Completed"), ("b", "Stopped"), ("c", "Running")):
            rule(name)
            execution(name, status)
        rule("young", lookback_hours=25, created_at=ago(hours=1))

        monitor()

        run = MonitorRun.objects.get()
        assert (run.checked, run.ok, run.failing, run.in_progress, run.unknown) == (4, 1, 1, 1, 1)
        assert (run.messages, run.state, run.error) == (1, "complete", "")

    def test_it_holds_begin_and_end_and_no_lease(
        self, monitor: Monitor, clock: time_machine.Traveller
    ) -> None:
        monitor()

        run = MonitorRun.objects.get()
        assert (run.started_at, run.finished_at) == (NOW, NOW)
        assert (run.lease, run.leased_until) == (None, None)

    def test_it_holds_what_the_check_raised(self, monitor: Monitor) -> None:
        with pytest.raises(ValueError, match="no superuser"):
            monitor({"sync": {"expected_statuses": ["Completed"]}, "bad": None})

        run = MonitorRun.objects.get()
        assert run.state == "complete"
        assert run.error.splitlines() == [
            'arguments[0]["bad"]: expected a dictionary with expected_statuses, got null: '
            'write {"expected_statuses": ["Completed"]}',
            "notify_to is empty but no superuser found for task 'sync'",
        ]

    def test_a_check_that_breaks_is_recorded_as_failed(
        self, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def recording_since() -> None:
            raise RuntimeError("the log is away")

        monkeypatch.setattr(judging, "recording_since", recording_since)

        with pytest.raises(RuntimeError, match="the log is away"):
            monitor(SYNC)

        run = MonitorRun.objects.get()
        assert (run.state, run.error) == ("failed", "RuntimeError: the log is away")
        assert (run.lease, run.finished_at) == (None, NOW)

    def test_a_check_whose_query_fails_is_recorded_as_failed(self, monitor: Monitor) -> None:
        fail = _fail_on("monitoring_backgroundtask")

        with connection.execute_wrapper(fail), pytest.raises(RuntimeError, match="log is away"):
            monitor(SYNC)

        assert MonitorRun.objects.get().state == "failed"

    def test_a_check_that_breaks_writes_no_half_of_a_batch(
        self, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def insert_all_but_messages(model: Any, rows: Any) -> list[Any]:
            if model is Notification:
                raise RuntimeError("the disk is full")
            return bulk.insert(model, rows)

        monkeypatch.setattr("monitoring.ledger.insert", insert_all_but_messages)

        with pytest.raises(ValueError, match="cannot be checked: RuntimeError: the disk is full"):
            monitor(SYNC)

        assert not AlertEvent.objects.exists()
        assert not RuleState.objects.exists()

    def test_the_next_check_works_again(
        self, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(evidence, "gather", lambda *_, **__: 1 / 0)
            with pytest.raises(ValueError, match="cannot be checked: ZeroDivisionError"):
                monitor(SYNC)

        assert monitor(SYNC)["state"] == "complete"

    def test_a_very_long_list_of_rules_fits_its_name(self, monitor: Monitor) -> None:
        names = [f"rule number {number}" for number in range(100)]

        with pytest.raises(ValueError, match="there is no rule named"):
            monitor(rules=names)

        assert len(MonitorRun.objects.get().rule_set) == 255


def _fail_on(table: str) -> Any:
    def wrapper(execute: Any, sql: str, *args: Any) -> Any:
        if table in sql:
            raise RuntimeError("the log is away")
        return execute(sql, *args)

    return wrapper


@pytest.mark.usefixtures("old_log")
class TestADryRun:
    @pytest.fixture
    def watched(self) -> None:
        rule("sync", name="Sync", notify_to=["ops@example.com"])
        rule("gone", enabled=False)
        execution("sync", "Stopped")

    @pytest.mark.usefixtures("watched")
    def test_it_says_what_would_be_found_and_mailed(self) -> None:
        report = doors.check([], {}, dry_run=True)

        assert report.counts["failing"] == 1
        assert report.messages == [
            {
                "recipient": "ops@example.com",
                "subject": "[ALERT] sync Status Check Failed",
                "kind": "alert",
                "state": "pending",
            }
        ]

    @pytest.mark.usefixtures("watched")
    def test_it_writes_no_row_of_any_table(
        self, mailoutbox: Mailbox, django_capture_on_commit_callbacks: Any
    ) -> None:
        before = _everything()

        with django_capture_on_commit_callbacks(execute=True) as callbacks:
            doors.check([], {}, dry_run=True)
            doors.check([SYNC], {}, dry_run=True)

        assert _everything() == before
        assert callbacks == []
        assert not mailoutbox

    @pytest.mark.usefixtures("watched")
    def test_it_changes_no_open_event(self, monitor: Monitor) -> None:
        monitor()
        execution("sync", "Completed", started=ago(minutes=1))
        before = _everything()

        report = doors.check([], {}, dry_run=True)

        assert report.counts["ok"] == 1
        assert report.messages[0]["subject"] == "[RESOLVED] sync"
        assert _everything() == before

    def test_it_names_whom_nobody_would_tell(self) -> None:
        rule("sync")
        execution("sync", "Stopped")

        report = doors.check([], {}, dry_run=True)

        assert report.problems == ["notify_to is empty but no superuser found for task 'sync'"]

    @pytest.mark.usefixtures("watched")
    def test_it_needs_no_lease(self) -> None:
        before = MonitorRun.objects.count()

        assert doors.check([], {}, dry_run=True).run_id is None
        assert MonitorRun.objects.count() == before


def _everything() -> dict[str, list[Any]]:
    models = (BackgroundTask, MonitorRule, RuleState, AlertEvent, Notification, MonitorRun)
    rows = {model.__name__: list(model.objects.order_by("pk").values()) for model in models}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")
            rows[table] = [cursor.fetchone()]
    return rows
