"""Executions whose worker is dead are found at each check, and when a worker starts again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring import doors
from monitoring.models import AlertEvent, BackgroundTask, WorkerHeartbeat
from monitoring.tasklogs.lost import mark_left_behind, mark_lost
from tests.factories import NOW, ago, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

NODE = "celery@worker-1"


def running(minutes: float, worker: str = NODE, task: str = "sync", **columns: Any) -> Any:
    """Store an execution that has been running for so many minutes."""
    at = ago(minutes=minutes)
    values = {"worker": worker, "first_started_at": at, "last_update": at, "position": 3} | columns
    return execution(task, "Running", started=at, **values)


def heartbeat(seen_minutes_ago: float, node: str = NODE, **times: Any) -> WorkerHeartbeat:
    values = {"booted_at": ago(days=9), "seen_at": ago(minutes=seen_minutes_ago)}
    return WorkerHeartbeat.objects.create(node=node, **(values | times))


def statuses() -> set[tuple[str, str]]:
    return set(BackgroundTask.objects.values_list("status", "errors"))


STILL_RUNNING = {("Running", "")}
LOST = {("Stopped", "worker lost")}


class TestAtACheck:
    def test_an_execution_of_a_silent_worker_is_stopped(self) -> None:
        ran = running(60)
        heartbeat(11)

        assert mark_lost(NOW) == 1

        ran.refresh_from_db()
        assert (ran.status, ran.errors, ran.stack_trace_errors) == ("Stopped", "worker lost", "")
        assert (ran.finished_at, ran.last_update, ran.position) == (NOW, NOW, 4)
        assert (ran.started_at, ran.worker) == (ago(minutes=60), NODE)

    def test_an_execution_of_a_worker_that_lives_goes_on(self) -> None:
        running(60)
        heartbeat(1)

        assert mark_lost(NOW) == 0
        assert statuses() == STILL_RUNNING

    def test_a_worker_without_heartbeats_is_never_missed(self) -> None:
        running(60)
        heartbeat(60, "celery@worker-2")

        assert mark_lost(NOW) == 0

    def test_a_worker_that_shuts_down_may_take_as_long_as_it_needs(self) -> None:
        running(90)
        heartbeat(60, stopped_at=ago(minutes=60))

        assert mark_lost(NOW) == 0

    def test_names_of_workers_compare_byte_for_byte(self) -> None:
        running(60, worker=NODE.upper())
        heartbeat(11)

        assert mark_lost(NOW) == 0

    def test_an_execution_that_runs_for_a_day_is_stopped_whatever_its_worker_says(self) -> None:
        running(24 * 60 + 1)
        heartbeat(0)

        assert mark_lost(NOW) == 1

    def test_an_execution_is_given_the_time_that_an_enabled_rule_of_its_task_allows(self) -> None:
        rule("sync", name="short", max_runtime_minutes=5)
        rule("sync", name="long", max_runtime_minutes=48 * 60)
        rule("sync", name="unlimited")
        rule("sync", name="off", max_runtime_minutes=96 * 60, enabled=False)
        rule("other", max_runtime_minutes=96 * 60)
        running(47 * 60)
        assert mark_lost(NOW) == 0
        running(49 * 60)

        assert mark_lost(NOW) == 1

    def test_only_what_runs_is_touched(self) -> None:
        for status in ("Pending", "Queued", "Completed", "Stopped", "Cancelled", "Invalidated"):
            execution("sync", status, started=ago(days=30), worker=NODE)
        heartbeat(11)

        assert mark_lost(NOW) == 0

    def test_one_that_has_gone_on_since_it_was_read_is_left_alone(self) -> None:
        ran = running(60)
        heartbeat(11)

        def go_on(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("UPDATE"):
                with connection.cursor() as cursor:
                    cursor.cursor.execute(
                        f"UPDATE {BackgroundTask._meta.db_table} SET position = 23"
                    )
            return execute(sql, *rest)

        with connection.execute_wrapper(go_on):
            assert mark_lost(NOW) == 0

        ran.refresh_from_db()
        assert (ran.status, ran.position) == ("Running", 23)

    @pytest.mark.parametrize(
        "off",
        [{"RECORD": False}, {"WORKER_SILENT_MINUTES": 0, "LOST_AFTER_HOURS": 0}],
        ids=["nothing is recorded", "nobody wants to know"],
    )
    def test_nothing_is_asked_if(
        self, off: dict[str, Any], settings: Any, django_assert_num_queries: Any
    ) -> None:
        settings.MONITORING = settings.MONITORING | off
        running(60 * 24 * 9)
        heartbeat(11)

        with django_assert_num_queries(0):
            assert mark_lost(NOW) == 0

    def test_each_limit_can_be_turned_off_alone(self, settings: Any) -> None:
        ran = running(60 * 25)
        heartbeat(11)
        settings.MONITORING = settings.MONITORING | {"LOST_AFTER_HOURS": 0}
        assert mark_lost(NOW) == 1
        BackgroundTask.objects.filter(pk=ran.pk).update(status="Running")

        settings.MONITORING = settings.MONITORING | {
            "LOST_AFTER_HOURS": 48,
            "WORKER_SILENT_MINUTES": 0,
        }
        assert mark_lost(NOW) == 0

    @pytest.mark.parametrize("count", [1, 300])
    def test_it_costs_four_queries_however_many_there_are(
        self, count: int, django_assert_num_queries: Any
    ) -> None:
        for number in range(count):
            running(60 + number, f"celery@worker-{number}", position=3 + 20 * (number % 7))
            heartbeat(11, f"celery@worker-{number}")

        with django_assert_num_queries(4):
            assert mark_lost(NOW) == count

    def test_running_executions_are_found_by_their_index(self) -> None:
        if connection.vendor != "sqlite":
            pytest.skip("others choose by how many rows there are")
        with CaptureQueriesContext(connection) as queries:
            running(60)
            heartbeat(11)
            mark_lost(NOW)
        statements = [q["sql"] for q in queries if "Running" in q["sql"]]
        (read,) = [sql for sql in statements if sql.startswith("SELECT")]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {read}")
            plan = str(cursor.fetchall())

        assert "monitoring_by_status (status=?" in plan

    def test_it_costs_one_query_if_nothing_has_been_running_for_long(
        self, django_assert_num_queries: Any
    ) -> None:
        running(5)
        heartbeat(60)

        with django_assert_num_queries(1):
            assert mark_lost(NOW) == 0


class TestACheck:
    def check(self, **options: Any) -> doors.Report:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return doors.check([], {}, **options)

    @pytest.fixture(autouse=True)
    def _one_is_lost(self, old_log: None) -> None:
        expected = ["Completed", "Running"]
        rule("sync", expected_statuses=expected, while_running="judge", notify_to=["a@b.c"])
        running(30)
        heartbeat(11)

    def test_marks_before_it_judges(self) -> None:
        report = self.check()

        assert [failure["reason"] for failure in report.failures] == [
            "Stopped instead of Completed or Running"
        ]
        assert AlertEvent.objects.get().current_status == "Stopped"

    def test_that_writes_nothing_marks_nothing(self) -> None:
        report = self.check(dry_run=True)

        assert report.failures == []
        assert BackgroundTask.objects.filter(status="Running").count() == 1

    def test_that_cannot_mark_goes_on(self) -> None:
        def refuse(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("UPDATE") and "backgroundtask" in sql:
                raise OperationalError("no such column")
            return execute(sql, *rest)

        with connection.execute_wrapper(refuse):
            report = self.check()

        assert (report.state, report.counts["ok"]) == ("complete", 1)


class TestAWorkerThatStartsAgain:
    def test_finds_what_ran_under_its_name_before(self) -> None:
        running(60)

        assert mark_left_behind(NODE, ago(minutes=30), NOW) == 1
        assert statuses() == LOST

    def test_leaves_alone_what_has_begun_since(self) -> None:
        running(20)

        assert mark_left_behind(NODE, ago(minutes=30), NOW) == 0

    def test_leaves_alone_what_others_run(self) -> None:
        running(60, "celery@worker-2")
        running(60, "")
        running(60, NODE.upper())

        assert mark_left_behind(NODE, ago(minutes=30), NOW) == 0

    def test_costs_two_queries(self) -> None:
        running(60)

        with CaptureQueriesContext(connection) as queries:
            mark_left_behind(NODE, ago(minutes=30), NOW)

        assert len(queries) == 2


def test_a_later_time_that_is_known_stands(clock: time_machine.Traveller) -> None:
    """The clock of the worker was ahead."""
    ahead = NOW + timedelta(minutes=1)
    ran = running(60, last_update=ahead)
    heartbeat(11)

    mark_lost(timezone.now())

    ran.refresh_from_db()
    assert (ran.last_update, ran.finished_at) == (ahead, NOW)
