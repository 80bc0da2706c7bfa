"""From Celery's signals to the task log, without a worker: what is recorded and what is not.

What real workers tell is in `tests/doors/test_task_log.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import current_app, signals
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring import recorder
from monitoring.core.lifecycle import Record, position
from monitoring.core.statuses import FINISHED, Status
from monitoring.models import BackgroundTask
from monitoring.tasklogs import writer
from monitoring.tasklogs.upsert import upsert
from tests.doors.project.tasks import (
    fail,
    ignore_itself,
    reject,
    retry_until,
    succeed,
)

pytestmark = pytest.mark.django_db

Committed = Callable[[], Any]


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Committed:
    """Return a context whose end is the commit of a transaction."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def send(committed: Committed) -> Callable[..., BackgroundTask | None]:
    """Send a task to a broker that nobody listens to; return its row."""

    def call(name: str, *args: object, **options: Any) -> BackgroundTask | None:
        with committed():
            task_id = current_app.send_task(name, args, **options).id
        return BackgroundTask.objects.filter(task_id=task_id).first()

    return call


@pytest.fixture
def run(committed: Committed) -> Callable[..., BackgroundTask | None]:
    """Call a task eagerly; return its row."""

    def call(task: Any, *args: object, **kwargs: object) -> BackgroundTask | None:
        with committed():
            task_id = task.apply(args, kwargs).id
        return BackgroundTask.objects.filter(task_id=task_id).first()

    return call


Send = Callable[..., Any]


def set_monitoring(settings: Any, **values: Any) -> None:
    settings.MONITORING = settings.MONITORING | values


class Request:
    """What a worker's main process tells of a message it has taken."""

    id, name, hostname = "taken", "sync", "w1@host"
    request_dict = {"id": "taken", "retries": 0}
    delivery_info = {"routing_key": "celery", "redelivered": False}


class TestATaskThatIsSent:
    def test_is_pending(self, send: Send) -> None:
        row = send("sync")

        assert (row.task_name, row.status, row.retries) == ("sync", "Pending", 0)
        assert row.submitted_at == row.last_update
        assert (row.started_at, row.finished_at, row.worker) == (None, None, "")
        assert row.queue

    def test_is_recorded_when_the_transaction_around_it_commits(
        self, django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks(execute=False) as waiting:
            current_app.send_task("sync")

        assert not BackgroundTask.objects.exists()
        (write,) = waiting
        write()
        assert BackgroundTask.objects.get().status == "Pending"

    def test_costs_one_statement(self, committed: Committed) -> None:
        with CaptureQueriesContext(connection) as queries, committed():
            current_app.send_task("sync")

        assert len(queries) == 1

    def test_is_not_recorded_if_the_setting_says_so(self, send: Send, settings: Any) -> None:
        set_monitoring(settings, RECORD_PUBLISH=False)

        assert send("sync") is None

    def test_by_the_old_protocol_is_recorded_too(self, committed: Committed) -> None:
        body = {"id": "old", "args": [4711], "kwargs": {}, "retries": 0}
        with committed():
            signals.after_task_publish.send(
                sender="sync", headers={}, body=body, exchange="", routing_key="celery"
            )

        row = BackgroundTask.objects.get(task_id="old")
        assert (row.status, row.context_id, row.queue) == ("Pending", "4711", "celery")


class TestATaskThatIsTaken:
    def test_is_queued(self, committed: Committed) -> None:
        with CaptureQueriesContext(connection) as queries, committed():
            signals.task_received.send(sender=None, request=Request())

        row = BackgroundTask.objects.get()
        assert (row.status, row.worker, row.queue) == ("Queued", "w1@host", "celery")
        assert len(queries) == 1

    def test_is_not_recorded_if_the_setting_says_so(
        self, committed: Committed, settings: Any
    ) -> None:
        set_monitoring(settings, RECORD_RECEIVED=False)
        with committed():
            signals.task_received.send(sender=None, request=Request())

        assert not BackgroundTask.objects.exists()


class TestATaskThatIsCalledEagerly:
    def test_and_returns_is_completed(self, run: Send) -> None:
        row = run(succeed, 4711)

        assert (row.status, row.context_id, row.queue) == ("Completed", "4711", "")
        assert row.submitted_at == row.started_at == row.first_started_at <= row.finished_at

    def test_and_raises_is_stopped_with_its_error(self, run: Send) -> None:
        row = run(fail)

        assert row.status == "Stopped"
        assert row.errors == "ValueError: no figures for <North> & 'South'"
        assert "in fail" in row.stack_trace_errors

    def test_and_retried_to_success_is_one_row(self, run: Send) -> None:
        row = run(retry_until, 2)

        assert (row.status, row.retries, row.errors) == ("Completed", 2, "")
        assert row.first_started_at < row.started_at <= row.finished_at
        assert BackgroundTask.objects.count() == 1

    def test_costs_one_statement_for_each_transition(self, committed: Committed) -> None:
        with CaptureQueriesContext(connection) as queries, committed():
            succeed.apply()

        assert len(queries) == 2

    def test_is_not_recorded_if_nothing_is(self, run: Send, settings: Any) -> None:
        set_monitoring(settings, RECORD=False)

        assert run(succeed) is None


class TestAStartThatWasLost:
    """The database was away for it, or crashed after it; the end of the task tells it again."""

    @pytest.mark.parametrize(
        ("task", "argument", "status"),
        [
            (succeed, 4711, "Completed"),
            (fail, 4711, "Stopped"),
            (ignore_itself, "", "Completed"),
            (reject, "", "Stopped"),
        ],
    )
    def test_is_told_by_the_end(
        self,
        django_capture_on_commit_callbacks: Any,
        task: Any,
        argument: object,
        status: str,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=False) as writes:
            task.apply((argument,) if argument else ())
        _, write_end = writes
        write_end()

        row = BackgroundTask.objects.get()
        assert row.status == status
        assert row.started_at == row.first_started_at == row.submitted_at <= row.last_update
        assert row.worker
        assert row.context_id == str(argument)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestWaitingForTheDisk:
    """Whether the server's answer waits until it has written what it was told."""

    @pytest.fixture(autouse=True)
    def _where_one_may_choose(self) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("only PostgreSQL can be told for one statement")

    def statement(self, status: Status) -> str:
        with CaptureQueriesContext(connection) as queries:
            upsert(record(status), "default")
        (query,) = queries
        return str(query["sql"])

    @pytest.mark.parametrize("status", [Status.PENDING, Status.QUEUED, Status.RUNNING])
    def test_a_start_does_not(self, status: Status) -> None:
        assert "set_config('synchronous_commit', 'off', true)" in self.statement(status)
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)  # for whatever comes next

    @pytest.mark.parametrize("status", sorted(FINISHED))
    def test_an_end_does(self, status: Status) -> None:
        assert "synchronous_commit" not in self.statement(status)

    def test_a_start_inside_a_transaction_changes_nothing_for_it(self) -> None:
        with transaction.atomic():
            assert "synchronous_commit" not in self.statement(Status.RUNNING)


class TestIgnoredTasks:
    @pytest.mark.parametrize(
        "name",
        [
            "celery.backend_cleanup",
            "celery.chord_unlock",
            "monitor_task_status",
            "monitoring.tasks.deliver_notifications",
        ],
    )
    def test_are_celerys_own_and_the_monitors_by_default(self, send: Send, name: str) -> None:
        assert send(name) is None

    @pytest.mark.parametrize("name", ["celery_report", "Monitor_task_status", "my.monitoring.x"])
    def test_are_no_others_of_similar_names(self, send: Send, name: str) -> None:
        assert send(name).status == "Pending"

    def test_are_those_of_the_setting(self, send: Send, run: Send, settings: Any) -> None:
        set_monitoring(settings, IGNORE_TASKS=["door.*"])

        assert run(succeed) is None
        assert run(fail) is None
        assert send("monitor_task_status").status == "Pending"


class TestTheContext:
    def test_is_the_first_argument(self, send: Send) -> None:
        assert send("sync", 4711, 12).context_id == "4711"

    def test_is_no_text_that_may_be_a_secret(self, send: Send) -> None:
        assert send("sync", "s3cret").context_id == ""

    def test_is_the_keyword_argument_that_the_setting_names(
        self, send: Send, run: Send, settings: Any
    ) -> None:
        set_monitoring(settings, CONTEXT_ARGUMENTS={"sync": "session", "door.succeed": "session"})

        assert send("sync", 1, kwargs={"session": "night"}).context_id == "night"
        assert run(succeed, 1, session=12).context_id == "12"
        assert send("other", 1, kwargs={"session": "night"}).context_id == "1"

    def test_is_cut_to_its_column(self, send: Send, settings: Any) -> None:
        set_monitoring(settings, CONTEXT_ARGUMENTS={"sync": "session"})

        row = send("sync", kwargs={"session": "x" * 300})

        assert row.context_id == "x" * 254 + "…"


class TestTheParameters:
    def test_are_not_recorded_by_default(self, send: Send, run: Send) -> None:
        assert send("sync", 4711, kwargs={"a": 1}).parameters == ""
        assert run(succeed, 4711).parameters == ""

    def test_are_celerys_representation_of_them(self, send: Send, settings: Any) -> None:
        set_monitoring(settings, RECORD_PARAMETERS=True)

        assert send("sync", 4711, kwargs={"a": "b"}).parameters == "(4711,) {'a': 'b'}"

    def test_are_what_the_sender_shows_instead(self, send: Send, settings: Any) -> None:
        set_monitoring(settings, RECORD_PARAMETERS=True)

        row = send("sync", "s3cret", argsrepr="('***',)", kwargsrepr="{}")

        assert row.parameters == "('***',) {}"

    def test_are_cut(self, send: Send, settings: Any) -> None:
        set_monitoring(settings, RECORD_PARAMETERS=True)

        assert len(send("sync", "x" * 100_000).parameters) < 4000


def test_names_and_queues_longer_than_their_columns_are_cut(committed: Committed) -> None:
    with committed():
        signals.after_task_publish.send(
            sender="n" * 300,
            headers={"id": "i" * 300, "periodic_task_name": "p" * 300},
            body=([], {}, {}),
            exchange="",
            routing_key="q" * 300,
        )

    row = BackgroundTask.objects.get()
    lengths = [len(text) for text in (row.task_name, row.task_id, row.queue)]
    assert lengths == [255, 255, 255]
    assert len(row.periodic_task_name) == 200


def record(status: Status) -> Record:
    return Record(
        task_id="one",
        task_name="sync",
        status=status,
        position=position(status, 0),
        last_update=timezone.now(),
    )


@contextmanager
def broken_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise DatabaseError("no such table")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "upsert", refuse)
        yield


class TestARecorderThatCannotWrite:
    @pytest.fixture(autouse=True)
    def _in_good_health(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writer._Health, "broken", False)

    def test_lets_tasks_run_and_says_so_once(
        self,
        committed: Committed,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with broken_log(monkeypatch), committed():
            results = [succeed.apply().get() for _ in range(3)]
            current_app.send_task("sync")

        assert results == ["done"] * 3
        complaints = [row for row in caplog.records if row.name == "monitoring.recorder"]
        assert [row.getMessage() for row in complaints] == [
            "executions are not recorded (database error)"
        ]
        assert not BackgroundTask.objects.exists()

    def test_says_when_it_can_again(
        self,
        run: Send,
        committed: Committed,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with broken_log(monkeypatch), committed():
            succeed.apply()

        with caplog.at_level(logging.INFO, "monitoring.recorder"):
            assert run(succeed).status == "Completed"

        assert caplog.messages.count("executions are recorded again") == 1

    def test_because_of_a_fault_of_its_own_lets_tasks_run(
        self, run: Send, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(recorder, "described", lambda *_: 1 / 0)

        row = run(succeed)

        assert "on_prerun failed" in caplog.messages
        assert row.status == "Completed"
