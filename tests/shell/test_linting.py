"""Warnings about rules, from what is stored; `monitor check --lint` and `monitor import`."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import PeriodicTask

from monitoring import rule_rows
from monitoring.linting import Finding, Sight, lint_all, lint_rows
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, Notification
from monitoring.rule_rows import key_of
from monitoring.tasklogs import names
from tests.admin.data import event, message
from tests.factories import NOW, ago, execution, rule
from tests.shell.test_discovery import every_five_minutes, scheduled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def odd(**options: Any) -> list[tuple[str, str]]:
    """Return (name of the rule, id) of every warning."""
    return [(one.rule.label, one.id) for one in lint_all(NOW, **options)]


def told(findings: Iterable[Finding]) -> list[tuple[str, str, str]]:
    return sorted((one.rule.label, one.id, str(one.message)) for one in findings)


def run(*arguments: str) -> tuple[int, str, str]:
    output, errors = StringIO(), StringIO()
    try:
        call_command("monitor", *arguments, stdout=output, stderr=errors)
    except SystemExit as ended:
        return int(str(ended.code)), output.getvalue(), errors.getvalue()
    return 0, output.getvalue(), errors.getvalue()


def known(task: str, **fields: Any) -> MonitorRule:
    """Store a rule whose task has run."""
    execution(task)
    return rule(task, **({"name": task} | fields))


class TestWhatIsFound:
    def test_is_nothing_about_a_rule_that_is_fine(self) -> None:
        every_five_minutes()
        scheduled("Daily", "report")
        known("report", lookback_hours=26, dependent_tasks=["sync"])
        known("sync")

        assert odd() == []

    def test_rests_on_schedules(self) -> None:
        scheduled("Daily", "report")
        scheduled("Off", "off", enabled=False)
        scheduled("Never", "never_ran")
        scheduled("Checks", "monitor_task_status", "8,20")
        known("report", lookback_hours=24)
        known("off", lookback_hours=13)
        rule("never_ran", name="never", lookback_hours=26)

        assert odd() == [
            ("never", "task-not-registered"),
            ("off", "task-disabled"),
            ("report", "lookback-shorter-than-schedule"),
        ]

    def test_takes_no_task_that_every_worker_refused_for_one_that_has_run(self) -> None:
        scheduled("Stock", "orders.refresh_stok")
        for task in ("orders.refresh_stok", "orders.corrected"):
            execution(task, "Stopped", started_at=None, errors="NotRegistered: w1 knows no task")
            rule(task, name=task, lookback_hours=26)
        known("sync", dependent_tasks=["orders.corrected"])
        execution("orders.corected")

        assert [(one.rule.label, one.id) for one in lint_all(NOW)] == [
            ("orders.corrected", "task-unknown"),
            ("orders.refresh_stok", "task-not-registered"),
        ]
        (unknown, _) = lint_all(NOW)
        assert str(unknown.message).endswith('(did you mean "orders.corected"?)')

    def test_rests_on_the_usual_time_between_checks(self) -> None:
        scheduled("Checks", "monitor_task_status", "8,20")
        known("sync", lookback_hours=11)

        assert odd() == [("sync", "lookback-shorter-than-checks")]

    def test_rests_on_what_was_recorded(self) -> None:
        for _number in range(12):
            execution("report", finished_at=NOW)
        rule("report", name="report", expected_statuses=["Completed", "Stopped"])
        rule("reports", name="misspelt")

        assert odd() == [("misspelt", "task-unknown"), ("report", "status-never-seen")]

    def test_knows_what_the_code_registers(self) -> None:
        assert "monitor_task_status" in current_app.tasks
        rule("monitor_task_status")

        assert odd() == []

    def test_rests_on_the_outbox(self) -> None:
        known("sync", notify_to=["Gone@example.com", "back@example.com", "here@example.com"])
        message(None, recipient="gone@example.com", state="failed")
        message(None, recipient="back@example.com", state="failed")
        message(None, recipient="back@example.com", state="sent")
        message(None, recipient="here@example.com", state="pending")

        assert odd() == [("sync", "recipient-bounced")]

    def test_rests_on_events_and_snoozes(self) -> None:
        failing = known("sync")
        event("sync", rule=failing, open_key=key_of(failing), opened_at=ago(days=40))
        known("asleep", snoozed_until=NOW + timedelta(days=1))
        MonitorRule.objects.filter(name="asleep").update(updated_at=ago(days=31))

        assert odd() == [("asleep", "snoozed-for-long"), ("sync", "failing-for-long")]

    def test_rests_on_how_long_executions_are_kept(self, settings: Any) -> None:
        known("sync", lookback_hours=49)
        settings.MONITORING = settings.MONITORING | {"RETENTION_DAYS": {"executions": 2}}

        assert odd() == [("sync", "lookback-longer-than-retention")]

    def test_rests_on_how_long_results_are_kept(self, settings: Any) -> None:
        settings.MONITORING = {"TASK_LOG": "django_celery_results.TaskResult"}
        scheduled("Daily", "report", enabled=False)
        rule("report", name="report", lookback_hours=25)

        assert ("report", "lookback-longer-than-retention") in odd()

    def test_counts_the_entries_of_json_arguments(self) -> None:
        execution("sync")
        known("report")
        entries = {
            "sync": {"expected_statuses": ["Completed"], "dependent_tasks": ["report", "nowhere"]}
        }
        scheduled("JSON", "monitor_task_status", "*", args=json.dumps([entries]))

        assert odd() == [("sync", "dependent-unknown")]

    def test_leaves_disabled_rules_alone(self) -> None:
        rule("misspelt", enabled=False)

        assert odd() == []

    def test_may_be_narrowed_and_still_looks_at_the_others(self) -> None:
        known("sync", name="One")
        rule("sync", name="Other")
        rule("misspelt", name="Third")

        assert odd(names=["One"]) == [("One", "same-rule")]
        assert odd(task_names=["misspelt"]) == [("Third", "task-unknown")]

    def test_costs_the_same_queries_for_one_rule_as_for_many(self) -> None:
        counts = []
        for number in (1, 150):
            for place in range(number):
                watched = known(f"task-{place}", notify_to=["gone@example.com"])
                scheduled(f"Daily {place}", f"task-{place}")
                event(watched.task_name, rule=watched, open_key=key_of(watched))
                message(None, recipient="gone@example.com", state="failed")
            names.forget()
            with CaptureQueriesContext(connection) as queries:
                assert lint_all(NOW)
            counts.append(len(queries))
            for model in (Notification, AlertEvent, MonitorRule, BackgroundTask):
                model.objects.all().delete()
            PeriodicTask.objects.all().delete()

        assert counts[0] == counts[1] <= 13


class TestARuleThatIsBeingWritten:
    def test_is_seen_as_it_will_be_and_not_as_it_was(self) -> None:
        stored = known("sync", lookback_hours=1)
        stored.dependent_tasks = ["sync"]

        assert [one.id for one in lint_rows([stored], NOW)] == ["dependency-cycle"]

    @pytest.mark.parametrize("seed", range(12))
    def test_is_warned_of_as_when_all_rules_are_read(self, seed: int) -> None:
        choose = random.Random(seed)
        names = [f"task-{number}" for number in range(6)]
        for number in range(choose.randrange(2, 14)):
            rule(
                choose.choice(names),
                name=f"Rule {number:02d}",
                enabled=choose.random() < 0.8,
                lookback_hours=choose.choice((1, 2)),
                dependent_tasks=choose.sample([*names, "nowhere"], choose.choice((0, 0, 1, 2))),
            )
        entries = {choose.choice(names): {"expected_statuses": ["Completed"]}}
        scheduled("JSON", "monitor_task_status", "*", args=json.dumps([entries]))

        one_by_one = [
            finding for row in MonitorRule.objects.all() for finding in lint_rows([row], NOW)
        ]

        of_all = [finding for finding in lint_all(NOW) if finding.rule.is_stored]
        assert told(one_by_one) == told(of_all) != []
        assert told(lint_rows(MonitorRule.objects.all(), NOW)) == told(of_all)

    def test_is_held_only_against_the_rules_that_can_matter(self) -> None:
        for number in range(30):
            known(f"task-{number}", dependent_tasks=["sync"] if number < 3 else [])
        stored = known("sync")
        rule_rows.forget()

        lint_rows([stored], NOW)
        of_its_task = len(rule_rows._remembered)
        stored.dependent_tasks = ["task-7"]
        lint_rows([stored], NOW)

        assert of_its_task == 1
        assert len(rule_rows._remembered) == 1 + 1 + 3  # itself, its dependent, every link

    def test_costs_the_same_queries_however_long_the_way_of_its_dependents(self) -> None:
        counts = []
        for length in (2, 40):
            for number in range(length):
                known(f"task-{number}", dependent_tasks=[f"task-{(number + 1) % length}"])
            names.forget()
            with CaptureQueriesContext(connection) as queries:
                (cycle,) = lint_rows([MonitorRule.objects.get(name="task-0")], NOW)
            counts.append(len(queries))
            assert cycle.id == "dependency-cycle"
            MonitorRule.objects.all().delete()

        assert counts[0] == counts[1] <= 13

    def test_tells_nothing_that_whoever_writes_it_may_not_know(self) -> None:
        scheduled("Daily", "report")
        row = known("report", lookback_hours=1, notify_to=["gone@example.com"])
        event("report", rule=row, open_key=key_of(row), opened_at=ago(days=40))
        message(None, recipient="gone@example.com", state="failed")
        blind = Sight(schedules=False, log=False, events=False, messages=False)

        assert lint_rows([row], NOW, blind) == []
        assert len(lint_rows([row], NOW)) == 3


class TestTheCommand:
    def test_warns_with_a_fix_and_leaves_the_exit_status_alone(self) -> None:
        execution("heartbeat", started=ago(days=30))
        known("sync", name="Sync", dependent_tasks=["nowhere"], notify_to=["ops@example.com"])

        status, output, errors = run("check", "--lint", "--dry-run")

        assert status == 0
        assert output == "1 checked: 1 ok, 0 failing, 0 unknown, 0 in progress\n"
        assert errors == (
            '  warning  rule "Sync": its dependent task "nowhere" is nowhere known '
            "[dependent-unknown]\n"
            "           Correct the name, or take it out.\n"
        )
        assert run("check", "--dry-run")[2] == ""

    def test_tells_programs_as_json(self) -> None:
        known("sync", name="Sync", dependent_tasks=["nowhere"], notify_to=["ops@example.com"])

        told = json.loads(run("check", "--lint", "--json", "--dry-run", "--rule", "Sync")[1])

        (warning,) = told["lint"]
        assert (warning["id"], warning["rule"]) == ("dependent-unknown", "Sync")
        assert "lint" not in json.loads(run("check", "--json", "--dry-run")[1])

    def test_warns_of_what_it_imports(self, tmp_path: Path) -> None:
        file = tmp_path / "rules.json"
        file.write_text(json.dumps([{"name": "New", "task_name": "misspelt"}]))

        for options in (["--dry-run"], []):
            status, output, errors = run("import", str(file), *options)
            assert status == 0
            assert "1 added" in output
            assert '  warning  rule "New": no task "misspelt" is' in errors
        assert run("import", str(file))[2] == ""  # unchanged
