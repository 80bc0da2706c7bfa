"""`monitor discover`: rules that are worth having, from what is stored."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from monitoring.core.discovery import Proposal, Reason
from monitoring.discovery import accept, discover
from monitoring.models import BackgroundTask, MonitorRule
from monitoring.tasklogs import names
from tests.factories import NOW, ago, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

MINUTE = timedelta(minutes=1)


def scheduled(name: str, task: str, hour: str = "8", **columns: Any) -> PeriodicTask:
    """Store a periodic task that comes daily in Berlin."""
    values = {"minute": "0", "hour": hour, "timezone": "Europe/Berlin"}
    crontab = CrontabSchedule.objects.filter(**values).first()
    crontab = crontab or CrontabSchedule.objects.create(**values)
    return PeriodicTask.objects.create(name=name, task=task, **({"crontab": crontab} | columns))


def every_five_minutes(task: str = "monitor_task_status", name: str = "Checks") -> PeriodicTask:
    five, _ = IntervalSchedule.objects.get_or_create(every=5, period="minutes")
    return PeriodicTask.objects.create(name=name, task=task, interval=five)


def runs(task: str, count: int = 12, every: timedelta = timedelta(days=1), **columns: Any) -> None:
    for number in range(count):
        at = NOW - MINUTE - number * every
        times = {"submitted_at": at - 2 * MINUTE, "finished_at": at + 20 * MINUTE}
        execution(task, started=at, **(times | columns))


def found() -> dict[str, Proposal]:
    return {one.name: one for one in discover(NOW)}


def run_command(*options: str) -> tuple[int, str]:
    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("monitor", "discover", *options, stdout=output)
    return int(str(ended.value.code)), output.getvalue()


class TestWhatIsProposed:
    def test_is_a_rule_for_each_scheduled_task_that_nobody_watches(self) -> None:
        scheduled("Daily report", "generate_daily_report")
        every_five_minutes()
        runs("generate_daily_report")

        proposal = found()["Daily report"]

        assert proposal.reason is Reason.SCHEDULED
        # A day of 25 hours in autumn, 2 minutes, 20 minutes and 5 minutes.
        assert proposal.lookback_hours == 25.5
        assert [ground.text for ground in proposal.grounds] == [
            "its schedule leaves up to 25 h between two runs (0 8 * * * Europe/Berlin)",
            "95 % of its runs waited at most 2 min for a worker",
            "95 % of its runs took at most 20 min",
            "a check comes every 5 min",
            "12 of its last 12 runs completed",
        ]

    def test_is_one_rule_for_a_task_with_several_schedules(self) -> None:
        scheduled("Morning", "sync", "6")
        scheduled("Evening", "sync", "18")

        proposal = found()["sync"]

        assert proposal.lookback_hours == 13.5

    def test_is_a_rule_for_what_runs_steadily_without_a_schedule(self) -> None:
        runs("ingest", 20, timedelta(hours=1))
        execution("by hand")

        assert {name: one.reason for name, one in found().items()} == {"ingest": Reason.STEADY}

    def test_is_nothing_that_celery_or_the_monitor_or_nobody_runs(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"IGNORE_TASKS": ["noise.*"]}
        for task in ("celery.backend_cleanup", "monitoring.tasks.prune_history", "noise.tick"):
            scheduled(task, task)
        every_five_minutes()
        scheduled("off", "off", enabled=False)
        scheduled("once", "once", one_off=True)

        assert found() == {}

    def test_is_nothing_that_a_rule_or_json_arguments_watch(self) -> None:
        for task in ("stored", "listed", "decided"):
            scheduled(task, task)
        rule("stored", lookback_hours=26)
        rule("decided", enabled=False)
        entry = {"listed": {"expected_statuses": ["Completed"]}}
        scheduled("JSON", "monitor_task_status", args=json.dumps([entry]))

        assert found() == {}

    def test_is_nothing_for_a_task_that_every_worker_refuses(self) -> None:
        scheduled("Misspelt", "refresh_stok")
        scheduled("Waiting", "worker_is_down")
        scheduled("Elsewhere", "ran_elsewhere")
        refusal = {"started_at": None, "errors": "NotRegistered: w1 knows no task"}
        execution("refresh_stok", "Stopped", **refusal)
        execution("worker_is_down", "Pending", started_at=None)
        execution("ran_elsewhere", "Stopped", **refusal)
        execution("ran_elsewhere")

        assert sorted(found()) == ["Elsewhere", "Waiting"]

    def test_tells_which_tasks_start_right_after(self) -> None:
        scheduled("Load", "load")
        scheduled("Report", "report")
        for number in range(8):
            at = NOW - timedelta(days=number + 1)
            execution("load", started=at, finished_at=at + MINUTE)
            execution("report", started=at + 1.5 * MINUTE, finished_at=at + 3 * MINUTE)

        assert found()["Load"].followers == ("report",)

    def test_has_a_name_that_no_rule_has(self) -> None:
        rule("other", name="Daily")
        scheduled("Daily", "report")
        current = {one.name for one in discover(NOW) if one.is_new}

        assert current == {"Daily (2)"}

    def test_is_a_change_where_the_schedule_has_left_a_rule_behind(self) -> None:
        scheduled("Weekly once", "report")
        short = rule("sync", lookback_hours=2)
        scheduled("Sync", "sync")
        long = rule("report", lookback_hours=170)
        gone = rule("no_longer_there", lookback_hours=2)

        changes = {one.rule_id: one.reason for one in discover(NOW)}

        assert changes == {
            short.pk: Reason.TOO_SHORT,
            long.pk: Reason.SCHEDULE_CHANGED,
            gone.pk: Reason.GONE,
        }

    def test_is_only_what_may_be_seen(self) -> None:
        scheduled("Daily", "report")
        runs("ingest", 20, timedelta(hours=1))
        rule("no_longer_there")

        assert discover(NOW, sees_schedules=False, sees_log=False) == []
        assert [one.name for one in discover(NOW, sees_log=False)] == ["Daily"]
        assert [one.name for one in discover(NOW, sees_schedules=False)] == ["ingest"]

    def test_costs_the_same_queries_for_one_task_as_for_many(self) -> None:
        counts = []
        for number in (1, 150):
            for task in range(number):
                scheduled(f"Daily {number} {task}", f"task-{number}-{task}")
                execution(f"task-{number}-{task}")
                rule(f"watched-{number}-{task}", lookback_hours=2)
            names.forget()
            with CaptureQueriesContext(connection) as queries:
                assert discover(NOW)
            counts.append(len(queries))
            PeriodicTask.objects.all().delete()
            MonitorRule.objects.all().delete()
            BackgroundTask.objects.all().delete()

        assert counts == [7, 8]  # the statement for executions is one for every 200 tasks


class TestAccepting:
    def test_adds_rules_with_the_defaults_of_new_ones(self) -> None:
        scheduled("Daily report", "report")

        accepted = accept(discover(NOW))

        stored = MonitorRule.objects.get()
        assert accepted.added == [stored]
        assert (stored.name, stored.task_name) == ("Daily report", "report")
        assert (stored.lookback_hours, stored.expected_statuses) == (25.5, ["Completed"])
        assert (stored.while_running, stored.notify_to, stored.dependent_tasks) == ("wait", [], [])
        assert discover(NOW) == []

    def test_changes_what_has_drifted_and_nothing_else_of_it(self) -> None:
        watched = rule("sync", lookback_hours=2, notify_to=["ops@example.com"])
        scheduled("Sync", "sync")
        gone = rule("no_longer_there")

        accept(discover(NOW))

        watched.refresh_from_db()
        gone.refresh_from_db()
        assert (watched.lookback_hours, watched.notify_to) == (25.5, ["ops@example.com"])
        assert not gone.enabled
        assert discover(NOW) == []

    def test_passes_over_a_rule_that_is_gone_meanwhile(self) -> None:
        rule("no_longer_there")
        proposals = discover(NOW)
        MonitorRule.objects.all().delete()

        accepted = accept(proposals)

        assert (accepted.added, accepted.changed, accepted.disabled) == ([], [], [])


class TestTheCommand:
    def test_lists_what_is_proposed_and_why(self) -> None:
        scheduled("Daily report", "report")
        every_five_minutes()
        rule("sync", name="Sync", lookback_hours=2)
        scheduled("Sync", "sync")

        status, output = run_command()

        assert status == 1
        assert output == (
            "new      Daily report (report): look back 25.5 h, expect Completed\n"
            "    a periodic task runs it, and nobody watches it\n"
            "    look back: its schedule leaves up to 25 h between two runs "
            "(0 8 * * * Europe/Berlin)\n"
            "    look back: no wait for a worker is known yet\n"
            "    look back: no duration is known yet\n"
            "    look back: a check comes every 5 min\n"
            "    expect: it has not been seen to end yet\n"
            "change   Sync (sync): look back 2 h -> 25.5 h\n"
            "    the rule looks back less far than its schedule leaves between two runs\n"
            "    look back: its schedule leaves up to 25 h between two runs "
            "(0 8 * * * Europe/Berlin)\n"
            "    look back: no wait for a worker is known yet\n"
            "    look back: no duration is known yet\n"
            "    look back: a check comes every 5 min\n"
            "2 proposed\n"
        )
        assert MonitorRule.objects.count() == 1

    def test_accepts_those_that_are_named_by_rule_or_by_task(self) -> None:
        for name in ("One", "Two", "Three"):
            scheduled(name, f"task_{name.lower()}")

        status, output = run_command("--accept", "One", "task_two")

        assert status == 1
        assert output.endswith("2 added, 0 changed, 0 disabled; 1 left\n")
        assert [line for line in output.splitlines() if line.startswith("accepted")] == [
            "accepted new      One (task_one): look back 25.5 h, expect Completed",
            "accepted new      Two (task_two): look back 25.5 h, expect Completed",
        ]
        assert "Three" not in output
        assert set(MonitorRule.objects.values_list("name", flat=True)) == {"One", "Two"}

    def test_accepts_all_and_then_has_nothing_left(self) -> None:
        scheduled("One", "one")

        assert run_command("--accept-all")[0] == 0
        assert run_command() == (0, "nothing proposed\n")

    def test_accepts_nothing_if_a_name_is_not_proposed(self) -> None:
        scheduled("Daily report", "report")

        with pytest.raises(CommandError) as error:
            call_command("monitor", "discover", "--accept", "report", "Daly report")

        assert error.value.returncode == 2
        assert str(error.value) == (
            'nothing is proposed for "Daly report" (did you mean "Daily report"?): '
            "nothing was accepted"
        )
        assert not MonitorRule.objects.exists()

    def test_prints_json_for_programs(self) -> None:
        scheduled("Daily report", "report")

        status, output = run_command("--format", "json", "--accept-all")

        (told,) = json.loads(output)
        assert status == 0
        assert told["name"] == "Daily report"
        assert told["reason"] == "scheduled"
        assert told["lookback_hours"] == 25.5
        assert told["accepted"] is True
        assert told["grounds"][0]["field"] == "lookback_hours"

    def test_says_that_the_task_log_cannot_be_read(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"TASK_LOG": "nothing.There"}

        with pytest.raises(CommandError, match="the task log cannot be read") as error:
            call_command("monitor", "discover")

        assert error.value.returncode == 2


@pytest.mark.usefixtures("source")
def test_times_are_read_from_every_kind_of_task_log() -> None:
    scheduled("Daily report", "report")
    at = ago(hours=5)
    execution("report", started=at, finished_at=at + 20 * MINUTE, submitted_at=at - 2 * MINUTE)

    texts = [ground.text for ground in found()["Daily report"].grounds]

    assert "95 % of its runs took at most 20 min" in texts
