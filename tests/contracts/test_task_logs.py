"""What every task log must do alike, beyond the tests of the check that run over each of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import shared_task
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring import backtests, doors
from monitoring.core.statuses import Status
from monitoring.models import BackgroundTask, Notification
from monitoring.rule_rows import read_instance
from monitoring.tasklogs import history
from monitoring.tasklogs.names import seen_names, strangers
from monitoring.tasklogs.starts import refused_among, started_among
from tests.factories import NOW, ago, execution, rule
from tests.gap.models import IngestorSession
from tests.shell.conftest import Monitor
from tests.sources import Source

pytestmark = [pytest.mark.django_db, pytest.mark.matrix, pytest.mark.usefixtures("source", "clock")]

OPS = {"notify_to": ["ops@example.com"]}


@shared_task(name="contracts.nothing")
def nothing() -> None:
    """Run eagerly, as a task of the host does."""


class TestACheck:
    def test_reads_the_log_that_is_set_and_no_other(self, monitor: Monitor, source: Source) -> None:
        rule("sync")
        execution("sync")
        if source.model is not BackgroundTask:
            BackgroundTask.objects.create(
                task_id="other", task_name="sync", status="Stopped", started_at=ago(minutes=1)
            )

        assert monitor()["ok"] == 1

    def test_costs_the_same_queries_however_many_rules_there_are(self, old_log: None) -> None:
        def cost(count: int) -> int:
            for number in range(count):
                name = f"task-{count}-{number}"
                rule(name, while_running="judge", max_runtime_minutes=90)
                status = ("Completed", "Running", "Stopped", "Invalidated")[number % 4]
                execution(name, status, errors="OSError: no", started=ago(minutes=10))
            doors.check((), {})
            with CaptureQueriesContext(
                connection,
            ) as queries:
                doors.check((), {})
            return len(queries)

        few, many = cost(12), cost(160)

        assert many == few

    def test_tells_the_worker_where_the_log_knows_it(
        self, monitor: Monitor, source: Source
    ) -> None:
        rule("sync", **OPS)
        execution("sync", "Stopped", worker="w1@host")

        monitor()

        knows = source.settings.get("TASK_LOG") != "core.BackgroundTask"
        assert Notification.objects.get().facts["worker"] == ("w1@host" if knows else "")

    def test_judges_the_newest_run_of_a_kind_however_many_others_there_are(
        self, monitor: Monitor, old_log: None
    ) -> None:
        hourly = IngestorSession.objects.create(ingestor_type="Hourly")
        daily = IngestorSession.objects.create(ingestor_type="Daily")
        for kind in ("Hourly", "Daily", "Weekly"):
            rule(
                "ingest",
                name=kind,
                context_model="gap.IngestorSession",
                context_type=kind,
                **OPS,
            )
        execution("ingest", "Completed", context_id=str(hourly.pk), started=ago(minutes=30))
        execution("ingest", "Stopped", context_id=str(daily.pk), started=ago(minutes=20))
        execution("ingest", "Completed", context_id="", started=ago(minutes=10))
        found = monitor()

        failing = {one["rule"]: one["current_status"] for one in found["failures"]}
        assert failing == {"Daily": "Stopped", "Weekly": "No execution found"}

    def test_counts_what_waits(self, monitor: Monitor, old_log: None) -> None:
        rule("sync", **OPS)
        for minutes in (30, 20):
            execution("sync", "Queued", started_at=None, submitted_at=ago(minutes=minutes))

        monitor()

        facts = Notification.objects.get().facts
        assert (facts["waiting_count"], facts["waiting_since"]) == (2, ago(minutes=30).isoformat())

    def test_accepts_what_waits_where_that_is_expected(self, monitor: Monitor) -> None:
        rule("sync", expected_statuses=["Queued"])
        execution("sync", "Queued", started_at=None, submitted_at=ago(minutes=30))

        assert monitor()["ok"] == 1


class TestTheRecorder:
    def test_writes_only_into_our_own_log(
        self, source: Source, django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            nothing.apply()

        is_own = source.model is BackgroundTask
        assert BackgroundTask.objects.filter(task_name="contracts.nothing").exists() == is_own


class TestHistory:
    def test_lists_the_last_runs_of_each_task(self) -> None:
        for minutes in (5, 50, 25):
            execution("sync", started=ago(minutes=minutes), finished_at=ago(minutes=minutes - 1))
        execution("report", "Running", started=ago(minutes=1))
        execution("report", "Queued", started_at=None)

        found = history.recent(["sync", "report", "none"], 2)

        assert [one.started_at for one in found["sync"]] == [ago(minutes=5), ago(minutes=25)]
        assert found["sync"][0].finished_at == ago(minutes=4)
        assert [one.status for one in found["report"]] == [Status.RUNNING]
        assert found["report"][0].finished_at is None
        assert found["none"] == []

    def test_lists_what_ran_in_a_stretch_of_time(self) -> None:
        for hours in (1, 2, 3, 4):
            execution("sync", started=ago(hours=hours))
        execution("report", started=ago(hours=2))

        found = history.between("sync", ago(hours=3), NOW - timedelta(hours=2), 10)

        assert [one.started_at for one in found] == [ago(hours=2), ago(hours=3)]

    def test_knows_every_task_once(self) -> None:
        for name in ("sync", "report", "sync"):
            execution(name)

        assert seen_names() == ["report", "sync"]
        assert strangers({"report"}, 5) == ["sync"]

    def test_knows_which_tasks_have_started(self) -> None:
        execution("sync")
        execution("sync", "Running")

        assert started_among(["report", "sync"]) == {"sync"}
        assert started_among([]) == set()
        assert refused_among(["report", "sync"]) == set()

    def test_finds_an_execution_by_the_id_of_its_task(self) -> None:
        row = execution("sync", task_id="task-900002")

        assert history.find_pk("task-900002") == row.pk
        assert history.find_pk("task-1") is None


class TestTheMail:
    def test_arrives(self, monitor: Monitor, mailoutbox: list[EmailMultiAlternatives]) -> None:
        rule("sync", **OPS)
        execution("sync", "Stopped", errors="OSError: no route to host")

        monitor()

        assert "OSError: no route to host" in str(mailoutbox[0].body)


class TestABacktest:
    def test_reads_starts_finishes_and_statuses(self, old_log: None) -> None:
        for hours in range(60, 0, -1):
            start = ago(hours=hours)
            execution(
                "sync",
                "Stopped" if hours == 20 else "Completed",
                started=start,
                finished_at=start + timedelta(minutes=10),
            )
        execution("Sync", "Stopped", started=ago(minutes=30))
        watched = read_instance(rule("sync", lookback_hours=1.5), watched_since=ago(days=30))

        found = backtests.history_of(watched, NOW, days=2).replay(watched)

        (one,) = found.incidents
        assert (one.opened_at, one.resolved_at) == (
            ago(hours=20) + timedelta(minutes=10),
            ago(hours=19) + timedelta(minutes=10),
        )
        assert one.execution is not None
        assert one.execution.status is Status.STOPPED
        last = history.recent(["sync"], 40)["sync"]
        assert [run.pk for run in last if run.status is Status.STOPPED] == [one.execution.pk]
