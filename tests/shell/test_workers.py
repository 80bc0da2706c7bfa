"""What a worker's main process writes when Celery's signals tell it to."""

from __future__ import annotations

import logging
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from celery import signals
from celery.concurrency import solo
from django.db import OperationalError, connection, transaction

from monitoring import workers
from monitoring.models import BackgroundTask, WorkerHeartbeat
from tests.factories import NOW, ago, execution

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

NODE = "celery@worker-1"
BOOTED = ago(minutes=30)


@pytest.fixture(autouse=True)
def _a_process_that_has_said_nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.workers._Process.began", BOOTED)
    monkeypatch.setattr("monitoring.workers._Process.said", {})
    monkeypatch.setattr("monitoring.workers._Process.stopping", set())
    monkeypatch.setattr("monitoring.workers._Process.mute", set())


@pytest.fixture(autouse=True)
def _health(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.tasklogs.writer._Health.broken", False)


def beat(node: str = NODE) -> None:
    heart = SimpleNamespace(eventer=SimpleNamespace(hostname=node))
    workers.on_heartbeat_sent(sender=heart)


def start(node: str = NODE) -> None:
    workers.on_worker_ready(sender=SimpleNamespace(hostname=node))


def shut_down(node: str = NODE) -> None:
    workers.on_worker_shutdown(sender=SimpleNamespace(hostname=node))


def rows() -> list[tuple[str, datetime, datetime, datetime | None]]:
    return list(WorkerHeartbeat.objects.values_list("node", "booted_at", "seen_at", "stopped_at"))


def left_running(minutes: float, worker: str = NODE) -> BackgroundTask:
    return execution("sync", "Running", started=ago(minutes=minutes), worker=worker, position=3)


def test_every_handler_is_connected() -> None:
    for signal, handler in (
        (signals.worker_ready, workers.on_worker_ready),
        (signals.heartbeat_sent, workers.on_heartbeat_sent),
        (signals.worker_shutting_down, workers.on_worker_shutting_down),
        (signals.worker_shutdown, workers.on_worker_shutdown),
    ):
        assert handler in [receiver for _, receiver in signal.receivers]


class TestAHeartbeat:
    def test_is_noted(self) -> None:
        beat()

        assert rows() == [(NODE, BOOTED, NOW, None)]

    def test_is_noted_once_a_minute(
        self, clock: time_machine.Traveller, django_assert_num_queries: Any
    ) -> None:
        beat()
        clock.shift(59)
        with django_assert_num_queries(0):
            beat()
        clock.shift(1)
        with django_assert_num_queries(1):
            beat()

        assert rows() == [(NODE, BOOTED, ago(minutes=-1), None)]

    def test_is_noted_often_enough_not_to_be_missed(
        self, clock: time_machine.Traveller, settings: Any
    ) -> None:
        settings.MONITORING = settings.MONITORING | {"WORKER_SILENT_MINUTES": 0.1}
        beat()
        clock.shift(2)
        beat()

        assert rows() == [(NODE, BOOTED, ago(seconds=-2), None)]

    def test_is_noted_at_once_when_the_clock_was_put_back(
        self, clock: time_machine.Traveller
    ) -> None:
        beat()
        clock.shift(-3600)
        beat()

        assert rows() == [(NODE, BOOTED, ago(hours=1), None)]

    def test_of_a_new_process_takes_the_row_of_the_one_before(self) -> None:
        WorkerHeartbeat.objects.create(
            node=NODE, booted_at=ago(days=1), seen_at=ago(hours=1), stopped_at=ago(hours=1)
        )

        beat()

        assert rows() == [(NODE, BOOTED, NOW, None)]

    def test_of_each_worker_has_a_row_of_its_own(self) -> None:
        beat()
        beat("celery@worker-2")

        assert [row[0] for row in rows()] == [NODE, "celery@worker-2"]

    def test_that_cannot_be_written_is_logged_once_and_tried_again_a_minute_later(
        self, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "monitoring.recorder")

        def refuse(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("UPDATE"):
                raise OperationalError("away")
            return execute(sql, *rest)

        with connection.execute_wrapper(refuse):
            for _ in range(3):
                with transaction.atomic():
                    beat()
                clock.shift(60)
        beat()

        assert [record.message for record in caplog.records] == [
            "executions are not recorded (database error)",
            "executions are recorded again",
        ]
        assert len(rows()) == 1


class TestAWorkerThatIsReady:
    def test_marks_what_was_running_under_its_name(self) -> None:
        lost, other, young = left_running(60), left_running(60, "other@host"), left_running(5)

        start()

        for row in (lost, other, young):
            row.refresh_from_db()
        assert (lost.status, lost.errors) == ("Stopped", "worker lost")
        assert (other.status, young.status) == ("Running", "Running")

    def test_forgets_the_heartbeats_of_the_process_before_it(self) -> None:
        """It may have none itself, and would be missed for those."""
        WorkerHeartbeat.objects.create(node=NODE, booted_at=ago(days=1), seen_at=ago(hours=1))
        WorkerHeartbeat.objects.create(node="other", booted_at=ago(days=1), seen_at=NOW)

        start()

        assert [row[0] for row in rows()] == ["other"]

    def test_keeps_its_own_heartbeat_which_comes_first(self) -> None:
        beat()
        start()

        assert rows() == [(NODE, BOOTED, NOW, None)]

    def test_that_has_no_heartbeats_while_it_runs_a_task_is_never_missed(self) -> None:
        beat()
        workers.on_worker_ready(sender=SimpleNamespace(hostname=NODE, pool=solo.TaskPool(1)))
        beat()

        assert rows() == []


class TestAWorkerThatShutsDown:
    def test_says_so_when_it_has_ended(self, clock: time_machine.Traveller) -> None:
        beat()
        clock.shift(5)
        shut_down()

        assert rows() == [(NODE, BOOTED, NOW, ago(seconds=-5))]

    def test_says_so_with_its_last_heartbeat_before_it_waits_for_its_tasks(
        self, clock: time_machine.Traveller, django_assert_num_queries: Any
    ) -> None:
        beat()
        clock.shift(5)
        with django_assert_num_queries(0):  # a signal handler interrupts whatever is going on
            workers.on_worker_shutting_down(sender=NODE)
        beat()
        clock.shift(3600)
        shut_down()

        assert rows() == [(NODE, BOOTED, ago(seconds=-5), ago(seconds=-5))]

    def test_without_heartbeats_writes_nothing(self) -> None:
        start()
        shut_down()

        assert rows() == []

    def test_does_not_speak_for_another_process_of_its_name(self) -> None:
        WorkerHeartbeat.objects.create(node=NODE, booted_at=ago(minutes=1), seen_at=NOW)

        shut_down()

        assert rows()[0][3] is None


def test_nothing_is_written_if_nothing_is_recorded(
    settings: Any, django_assert_num_queries: Any
) -> None:
    settings.MONITORING = settings.MONITORING | {"RECORD": False}
    left_running(60)

    with django_assert_num_queries(0):
        start()
        beat()
        shut_down()


@pytest.mark.parametrize(
    "handler",
    [workers.on_worker_ready, workers.on_heartbeat_sent, workers.on_worker_shutdown],
    ids=lambda handler: handler.__name__,
)
def test_a_handler_never_raises(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    handler(sender=None)

    assert f"{handler.__name__} failed" in caplog.text


def test_what_is_written_outside_of_a_task_gives_its_connection_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(workers, "attempt", lambda *args, **options: given.append(options))

    start()
    beat()
    shut_down()

    assert given == [{"close": True}] * 3
