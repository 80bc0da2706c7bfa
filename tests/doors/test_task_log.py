"""What the task log says of each thing that can happen to a task: docs/task-log.md.

One worker serves all tests of a database and broker; those that kill theirs start their own.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from celery import Task
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.utils import timezone

from monitoring.models import BackgroundTask
from tests.doors.harness import OBSERVER, System, wait_until
from tests.doors.servers import EMBEDDED, RABBITMQ_MARIADB, REDIS_POSTGRES

pytestmark = pytest.mark.door


# The main job runs on it too; all of this is for `make test-all`.
SLOW_RABBITMQ_MARIADB = pytest.param(
    *RABBITMQ_MARIADB.values, id=RABBITMQ_MARIADB.id, marks=pytest.mark.slow
)


@pytest.fixture(
    scope="module",
    params=[EMBEDDED, REDIS_POSTGRES, SLOW_RABBITMQ_MARIADB],
)
def system(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: Any,
) -> Iterator[System]:
    """Return a system with a worker that has two places."""
    folder = tmp_path_factory.mktemp("task-log")
    with django_db_blocker.unblock(), System(folder, *request.param) as system:
        system.start_worker()
        yield system


def uses_folder(system: System) -> bool:
    return system.broker_url.startswith("filesystem:")


def uses_rabbitmq(system: System) -> bool:
    return system.broker_url.startswith("amqp:")


@pytest.fixture
def open_gates(system: System) -> Iterator[Callable[[], None]]:
    """Fill both places of the worker; return what empties them again."""
    gates = [system.gate(), system.gate()]

    def open_gates() -> None:
        for gate in gates:
            gate.open()

    for gate in gates:
        system.send("door.hold", gate.name)
    for gate in gates:
        gate.wait_until_taken()
    yield open_gates
    open_gates()


class TestATaskThatRuns:
    def test_is_pending_while_nobody_has_taken_it(self, system: System) -> None:
        row = system.at(system.send("door.succeed", queue="nobody"), "Pending")

        assert row.task_name == "door.succeed"
        assert row.queue == f"{system.prefix}.nobody"
        assert row.submitted_at is not None
        assert (row.started_at, row.finished_at, row.worker) == (None, None, "")

    def test_is_queued_while_it_waits_in_a_worker(
        self, system: System, open_gates: Callable[[], None]
    ) -> None:
        task = system.send("door.succeed")
        waiting = system.at(task, "Queued")
        open_gates()

        assert waiting.worker == system.node("worker")
        assert waiting.started_at is None
        assert system.ended(task).status == "Completed"

    def test_is_running_until_it_ends(self, system: System) -> None:
        gate = system.gate()
        task = system.send("door.hold", gate.name)
        gate.wait_until_taken()

        running = system.at(task, "Running")
        gate.open()
        ended = system.ended(task)

        assert running.started_at == running.first_started_at == ended.started_at
        assert running.finished_at is None
        assert ended.status == "Completed"

    def test_and_returns_is_completed(self, system: System) -> None:
        row = system.ended(system.send("door.succeed", 4711))

        assert row.status == "Completed"
        assert row.submitted_at is not None
        assert row.started_at == row.first_started_at
        assert row.started_at <= row.finished_at <= row.last_update
        assert (row.worker, row.queue) == (system.node("worker"), system.prefix)
        assert row.context_id == "4711"
        assert (row.errors, row.stack_trace_errors, row.parameters, row.retries) == ("", "", "", 0)

    def test_and_raises_is_stopped_with_its_error(self, system: System) -> None:
        row = system.ended(system.send("door.fail"))

        assert row.status == "Stopped"
        assert row.errors == "ValueError: no figures for <North> & 'South'"
        assert row.stack_trace_errors.startswith("Traceback (most recent call last):")
        assert "in fail" in row.stack_trace_errors
        assert row.started_at <= row.finished_at

    def test_and_ignores_itself_is_completed(self, system: System) -> None:
        row = system.ended(system.send("door.ignore_itself"))

        assert (row.status, row.errors) == ("Completed", "")

    def test_under_an_ignored_name_leaves_no_trace(self, system: System) -> None:
        gate = system.gate()
        ignored = system.send("door.ignored", gate.name)
        gate.wait_until_noted("done")
        # Whatever the worker has to say of the first it has said when the third has ended.
        for _ in range(2):
            system.ended(system.send("door.succeed"))

        assert system.row(ignored) is None

    def test_without_a_broker_is_recorded_by_the_process_that_calls_it(
        self, system: System
    ) -> None:
        task = uuid.uuid4().hex
        system.run_python(
            "from tests.doors.project.tasks import succeed; "
            f"succeed.apply(args=[4711], task_id='{task}')"
        )

        row = system.row(task)

        assert row is not None
        assert row.status == "Completed"
        assert row.submitted_at == row.started_at == row.first_started_at
        assert (row.queue, row.context_id) == ("", "4711")

    def test_inside_of_another_is_a_row_of_its_own(self, system: System) -> None:
        inner = uuid.uuid4().hex
        outer = system.send("door.call_eagerly", inner)

        assert system.ended(inner).task_name == "door.succeed"
        assert system.ended(outer).status == "Completed"
        assert system.ended(outer).task_name == "door.call_eagerly"


class TestATaskThatIsStopped:
    def test_by_its_soft_limit(self, system: System) -> None:
        row = system.ended(system.send("door.soft_limited"))

        assert row.status == "Stopped"
        assert "SoftTimeLimitExceeded" in row.errors
        assert "in soft_limited" in row.stack_trace_errors

    def test_by_its_soft_limit_and_returns_all_the_same_is_completed(self, system: System) -> None:
        row = system.ended(system.send("door.soft_limited_but_tidy"))

        assert (row.status, row.errors) == ("Completed", "")

    def test_by_its_hard_limit(self, system: System) -> None:
        row = system.ended(system.send("door.hard_limited"))

        assert row.status == "Stopped"
        assert "TimeLimitExceeded(1,)" in row.errors
        assert row.started_at < row.finished_at

    def test_because_no_worker_knows_it(self, system: System) -> None:
        row = system.ended(system.send("door.unheard_of"))

        assert row.status == "Stopped"
        assert row.started_at is None
        assert row.errors == (
            f"NotRegistered: the worker {system.node('worker')} knows no task named door.unheard_of"
        )

    def test_because_it_rejects_its_message(self, system: System) -> None:
        row = system.ended(system.send("door.reject"))

        assert row.status == "Stopped"
        assert "not for me" in row.errors


class TestATaskThatIsCancelled:
    def test_before_a_worker_takes_it(self, system: System) -> None:
        task = uuid.uuid4().hex
        system.revoke(task)
        system.send("door.succeed", task_id=task)

        row = system.ended(task)

        assert (row.status, row.errors, row.started_at) == ("Cancelled", "revoked", None)
        assert row.finished_at is not None

    def test_while_it_waits_in_a_worker(
        self, system: System, open_gates: Callable[[], None]
    ) -> None:
        if uses_folder(system):
            pytest.skip("a worker that reads a folder hears nothing while its places are taken")
        task = system.send("door.succeed")
        system.at(task, "Queued")
        system.revoke(task)
        open_gates()

        row = system.ended(task)

        assert (row.status, row.errors, row.started_at) == ("Cancelled", "revoked", None)

    def test_while_it_runs(self, system: System) -> None:
        gate = system.gate()
        task = system.send("door.hold", gate.name)
        gate.wait_until_taken()
        system.at(task, "Running")

        system.revoke(task, terminate=True)

        row = system.ended(task)
        assert (row.status, row.errors) == ("Cancelled", "terminated")
        assert row.started_at < row.finished_at
        assert not gate.is_noted("done")

    def test_because_it_has_expired_when_a_worker_takes_it(self, system: System) -> None:
        row = system.ended(system.send("door.succeed", expires=-1))

        assert (row.status, row.errors, row.started_at) == ("Cancelled", "expired", None)

    def test_because_it_expires_in_the_broker(
        self, system: System, open_gates: Callable[[], None]
    ) -> None:
        reserved = [system.send("door.succeed") for _ in range(2)]
        task = system.send("door.succeed", expires=1)
        expired_at = timezone.now() + timedelta(seconds=1.1)
        wait_until(lambda: timezone.now() > expired_at, "it expires")
        open_gates()
        for other in (*reserved, system.send("door.succeed")):
            system.ended(other)

        if uses_rabbitmq(system):
            # RabbitMQ drops it without telling anybody.
            row = system.at(task, "Pending")
            assert row.finished_at is None
        else:
            row = system.ended(task)
            assert (row.status, row.errors) == ("Cancelled", "expired")
        assert row.started_at is None


class TestARetriedTask:
    def test_waits_invalidated_and_completes_in_the_same_row(self, system: System) -> None:
        task = system.send("door.retry_until", 1, 2)
        waiting = system.wait_for(
            task, lambda row: row.status == "Invalidated" and row.errors, "waits for its retry"
        )
        ended = system.ended(task)

        assert waiting.errors == "ConnectionError: attempt 0"
        assert "in retry_until" in waiting.stack_trace_errors
        assert (waiting.retries, waiting.finished_at) == (1, None)
        assert waiting.started_at == waiting.first_started_at

        assert (ended.status, ended.retries) == ("Completed", 1)
        assert (ended.errors, ended.stack_trace_errors) == ("", "")
        assert ended.submitted_at == waiting.submitted_at
        assert ended.first_started_at == waiting.started_at
        assert (ended.started_at - ended.first_started_at).total_seconds() > 1
        assert ended.started_at <= ended.finished_at

    def test_counts_every_retry(self, system: System) -> None:
        row = system.ended(system.send("door.retry_until", 3))

        assert (row.status, row.retries) == ("Completed", 3)

    def test_in_vain_is_stopped_with_its_last_error(self, system: System) -> None:
        row = system.ended(system.send("door.retry_in_vain"))

        assert (row.status, row.retries) == ("Stopped", 2)
        assert row.errors == "ConnectionError: attempt 2"
        assert row.first_started_at < row.started_at <= row.finished_at

    def test_that_gave_its_message_back_is_the_same_row_without_a_retry(
        self, system: System
    ) -> None:
        gate = system.gate()
        task = system.send("door.reject_once", gate.name)
        gate.wait_until_taken()
        again = system.wait_for(
            task, lambda row: row.started_at > row.first_started_at, "has started again"
        )
        gate.open()
        ended = system.ended(task)

        # A folder does not mark what it hands out again: the second run shows when it ends.
        assert again.status == ("Invalidated" if uses_folder(system) else "Running")
        assert (ended.status, ended.errors, ended.retries) == ("Completed", "", 0)
        assert ended.first_started_at < ended.started_at == again.started_at


class TestATaskWhoseProcessIsKilled:
    @pytest.fixture(scope="class")
    @staticmethod
    def tasks(system: System) -> Iterator[dict[str, str]]:
        """Send all of them at once: a worker on a folder waits ten seconds for a lost process."""
        sent = {
            name: system.send(f"door.{name}", *args)
            for name, args in {
                "die": (),
                "die_once": (uuid.uuid4().hex,),
                "die_and_retry": (),
            }.items()
        }
        yield sent
        # The tests of other classes must not lose a process to one that is still to come.
        for task in sent.values():
            system.ended(task)

    def test_is_stopped(self, system: System, tasks: dict[str, str]) -> None:
        row = system.ended(tasks["die"])

        assert row.status == "Stopped"
        assert "WorkerLostError: Worker exited prematurely" in row.errors
        assert row.started_at < row.finished_at

    def test_and_whose_message_the_broker_still_has_runs_again(
        self, system: System, tasks: dict[str, str]
    ) -> None:
        row = system.ended(tasks["die_once"])

        assert (row.status, row.errors, row.retries) == ("Completed", "", 0)
        assert row.first_started_at < row.started_at

    @pytest.mark.skipif(
        not hasattr(Task, "retry_on_worker_lost"), reason="Celery before 5.7 does not retry these"
    )
    def test_and_that_is_retried_then_counts_a_retry(
        self, system: System, tasks: dict[str, str]
    ) -> None:
        row = system.ended(tasks["die_and_retry"])

        assert (row.status, row.errors, row.retries) == ("Completed", "", 1)
        assert row.first_started_at < row.started_at


def test_a_task_whose_whole_worker_is_killed_stays_running_unless_it_is_handed_out_again(
    system: System,
) -> None:
    first = system.start_worker("first", queue="doomed")
    gates = early_gate, late_gate = system.gate(), system.gate()
    early = system.send("door.hold", early_gate.name, queue="doomed")
    late = system.send("door.hold_late", late_gate.name, queue="doomed")
    for gate, task in zip(gates, (early, late), strict=True):
        gate.wait_until_taken()
        system.at(task, "Running")

    first.kill()
    # Redis hands out again what nobody has acknowledged for an hour; here for six seconds, in which
    # the second worker must have ended what it was handed, or it is handed the same once more.
    system.start_worker("second", queue="doomed", DOOR_VISIBILITY_TIMEOUT="6")

    if uses_folder(system):
        # It has handed the message out and forgotten it, however late it is acknowledged.
        system.ended(system.send("door.succeed", queue="doomed"))
        lost = system.at(late, "Running")
        assert (lost.worker, lost.finished_at) == (system.node("first"), None)
    else:
        again = system.wait_for(
            late, lambda row: row.worker == system.node("second"), "runs on another worker"
        )
        late_gate.open()
        ended = system.ended(late)
        assert again.status == "Running"
        assert again.first_started_at < again.started_at == ended.started_at
        assert (ended.status, ended.retries) == ("Completed", 0)
    lost = system.at(early, "Running")
    assert (lost.worker, lost.finished_at) == (system.node("first"), None)


class TestAPublisherInATransaction:
    def test_never_blocks_the_worker_and_never_hides_what_it_has_said(self, system: System) -> None:
        gate = system.gate()
        with transaction.atomic():
            task = system.send("door.hold", gate.name)
            # While the transaction is open, the worker takes the task and writes.
            gate.wait_until_taken()
            before = system.at(task, "Running")
            still_open = timezone.now()
        after = system.row(task)
        gate.open()

        assert before.submitted_at is None
        assert after is not None
        assert after.status == "Running"
        assert after.started_at == before.started_at
        # It is the time of sending, however late it is written.
        assert after.submitted_at < still_open
        assert system.ended(task).status == "Completed"

    def test_that_is_rolled_back_leaves_what_the_worker_says(self, system: System) -> None:
        with transaction.atomic():
            task = system.send("door.succeed", 4711)
            transaction.set_rollback(True)

        row = system.ended(task)

        assert (row.status, row.context_id) == ("Completed", "4711")
        assert row.submitted_at is None

    def test_writes_when_that_is_committed(self, system: System) -> None:
        with transaction.atomic():
            task = system.send("door.succeed", queue="nobody")
            assert system.row(task) is None

        row = system.row(task)

        assert row is not None
        assert row.status == "Pending"


@contextmanager
def table_is_away() -> Iterator[None]:
    """Rename the task log's table, as a migration gone wrong would."""
    table = BackgroundTask._meta.db_table

    def rename(name: str, new: str) -> None:
        with connections[OBSERVER].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {name} RENAME TO {new}")

    rename(table, "elsewhere")
    try:
        yield
    finally:
        rename("elsewhere", table)


class TestAWorkerWithoutItsTaskLog:
    @staticmethod
    def run_tasks(system: System) -> None:
        """See to it that each process of the worker runs a task to its end."""
        gates = [system.gate(), system.gate()]
        for gate in gates:
            system.send("door.hold", gate.name)
        for gate in gates:
            gate.wait_until_taken()
        for gate in gates:
            gate.open()
            gate.wait_until_noted("done")

    def assert_it_complains_once(self, system: System, away: AbstractContextManager[None]) -> int:
        """Hold each of the worker's processes to one complaint.

        A child that is forked after the main process has complained has nothing to add.
        Returns how much its processes had said when the log came back: one that ends a task at
        that moment is the first to say that it records again.
        """
        worker = system.processes[0]
        before = len(worker.output)
        with away:
            for _ in range(3):
                self.run_tasks(system)
            said = len(worker.output)
        complaint = r"ERROR/(\S+)\] executions are not recorded \(database error\)"
        complaints = Counter(re.findall(complaint, worker.output[before:]))
        assert set(complaints.values()) == {1}
        assert "MainProcess" in complaints
        assert len(complaints) >= 2
        return said

    def assert_it_records_again(self, system: System, said: int) -> None:
        worker = system.processes[0]

        def processes() -> set[str]:
            back = r"INFO/(\S+)\] executions are recorded again"
            return set(re.findall(back, worker.output[said:]))

        self.run_tasks(system)
        wait_until(
            lambda: "MainProcess" in processes() and len(processes()) >= 2,
            "its processes say that they record again",
        )
        assert system.ended(system.send("door.succeed")).status == "Completed"

    def test_runs_tasks_and_says_once_that_the_table_is_missing(self, system: System) -> None:
        said = self.assert_it_complains_once(system, table_is_away())
        self.assert_it_records_again(system, said)

    def test_runs_tasks_and_says_once_that_it_cannot_connect(self, system: System) -> None:
        connections.close_all()
        said = self.assert_it_complains_once(system, system.database.away())
        self.assert_it_records_again(system, said)


def test_a_publisher_without_a_task_log_keeps_its_transaction(system: System) -> None:
    name = uuid.uuid4().hex
    with table_is_away(), transaction.atomic():
        get_user_model().objects.create(username=name)
        system.send("door.succeed", queue="nobody")

    assert get_user_model().objects.using(OBSERVER).filter(username=name).exists()


class TestAnotherPool:
    @pytest.fixture(scope="class", params=["threads", "solo"])
    @staticmethod
    def pool(request: pytest.FixtureRequest, system: System) -> str:
        pool: str = request.param
        system.start_worker(pool, pool=pool, queue=pool)
        return pool

    def test_records_success(self, system: System, pool: str) -> None:
        row = system.ended(system.send("door.succeed", queue=pool))

        assert (row.status, row.worker) == ("Completed", system.node(pool))
        assert row.submitted_at is not None
        assert row.started_at <= row.finished_at

    def test_records_failure(self, system: System, pool: str) -> None:
        row = system.ended(system.send("door.fail", queue=pool))

        assert (row.status, row.worker) == ("Stopped", system.node(pool))
        assert row.errors == "ValueError: no figures for <North> & 'South'"

    def test_records_retries(self, system: System, pool: str) -> None:
        row = system.ended(system.send("door.retry_until", 2, queue=pool))

        assert (row.status, row.retries) == ("Completed", 2)
        assert row.first_started_at < row.started_at
