"""Real workers are killed, and what they left running is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from monitoring import doors
from monitoring.models import WorkerHeartbeat
from tests.doors.harness import OBSERVER, Gate, System, wait_until
from tests.doors.project import shared
from tests.doors.servers import EMBEDDED, RABBITMQ_MARIADB, REDIS_POSTGRES

pytestmark = pytest.mark.door

SHORT = 0.1
"""Minutes of silence after which a worker is taken for lost."""


@pytest.fixture(params=[EMBEDDED, REDIS_POSTGRES, RABBITMQ_MARIADB])
def system(
    request: pytest.FixtureRequest, tmp_path: Any, django_db_blocker: Any
) -> Iterator[System]:
    """Return a system without a worker."""
    with (
        django_db_blocker.unblock(),
        System(tmp_path, *request.param) as system,
        override_settings(MONITORING=shared.MONITORING | {"WORKER_SILENT_MINUTES": SHORT}),
    ):
        yield system


def held(system: System) -> tuple[str, Gate]:
    """Send a task that runs until its gate is opened; return its id when it runs."""
    gate = system.gate()
    task = system.send("door.hold", gate.name, queue="doomed")
    gate.wait_until_taken()
    system.at(task, "Running")
    return task, gate


def heartbeats(system: System, **columns: Any) -> WorkerHeartbeat | None:
    rows = WorkerHeartbeat.objects.using(OBSERVER)
    return rows.filter(node=system.node("first"), **columns).first()


def test_a_worker_that_starts_again_finds_what_it_was_running_when_it_was_killed(
    system: System,
) -> None:
    first = system.start_worker("first", queue="doomed")
    other = system.start_worker("other", queue="nobody")
    task, _ = held(system)
    waiting = system.gate()
    elsewhere = system.send("door.hold", waiting.name, queue="nobody")
    waiting.wait_until_taken()

    first.kill()
    system.start_worker("first", queue="doomed")

    row = system.ended(task)
    assert (row.status, row.errors) == ("Stopped", "worker lost")
    assert row.worker == system.node("first")
    assert row.started_at < row.finished_at
    assert system.at(elsewhere, "Running").worker == system.node("other")
    waiting.open()
    assert system.ended(elsewhere).status == "Completed"
    assert other.popen.poll() is None
    # Without heartbeats it has left nothing that it could be missed by.
    assert not WorkerHeartbeat.objects.using(OBSERVER).exists()


def test_a_check_finds_what_a_silent_worker_was_running(system: System) -> None:
    silent = {"DOOR_SILENT_MINUTES": str(SHORT)}
    first = system.start_worker("first", queue="doomed", heartbeat=True, **silent)
    task, _ = held(system)
    seen = wait_until(lambda: heartbeats(system), "it says that it lives")
    again = wait_until(lambda: heartbeats(system, seen_at__gt=seen.seen_at), "it says so once more")
    assert (again.booted_at, again.stopped_at) == (seen.booted_at, None)

    first.kill()
    system.at(task, "Running")

    def checked() -> bool:
        assert doors.check([], {}).state == "complete"
        row = system.row(task)
        return row is not None and row.status == "Stopped"

    wait_until(checked, "a check finds it")
    row = system.ended(task)
    last = heartbeats(system)
    assert row.errors == "worker lost"
    assert last is not None
    assert (row.finished_at - last.seen_at).total_seconds() > SHORT * 60


def test_a_worker_that_shuts_down_says_so_before_it_waits_for_its_last_task(
    system: System,
) -> None:
    silent = {"DOOR_SILENT_MINUTES": str(SHORT)}
    first = system.start_worker("first", queue="doomed", heartbeat=True, **silent)
    task, gate = held(system)

    first.ask_to_stop()
    wait_until(lambda: heartbeats(system, stopped_at__isnull=False), "it says that it shuts down")

    assert not gate.is_noted("done")
    gate.open()
    assert system.ended(task).status == "Completed"
    wait_until(lambda: first.popen.poll() is not None, "it ends")
