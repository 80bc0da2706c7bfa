"""The database cuts the connection in the middle of a check or a delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from monitoring import rulesets
from monitoring.models import MonitorRun
from tests.doors.harness import OBSERVER, wait_until
from tests.factories import NOW
from tests.faults.databases import forget_connection, restore
from tests.faults.scene import (
    FAILING_OF_EVERYTHING,
    OPS,
    Scene,
    a_bit_of_everything,
    next_check,
)
from tests.faults.test_redelivery import (
    ENTRIES,
    MESSAGE,
    NAMES,
    SOON,
    failing_entries,
    kill_between_batches,
)

pytestmark = [pytest.mark.door, pytest.mark.fault]

MOST_STATEMENTS = 400


@pytest.fixture
def kind(kind: str) -> str:
    if kind == "sqlite":
        pytest.skip("SQLite has no connection that could be cut")
    return kind


def cut() -> None:
    """End the session of the default connection at the server, from another."""
    raw = connection.connection
    if raw is None:
        return
    with connections[OBSERVER].cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [raw.info.backend_pid])
            return
        session = raw.thread_id()
        cursor.execute(f"KILL {session}")

        def is_gone() -> bool:
            cursor.execute("SELECT 1 FROM information_schema.processlist WHERE id = %s", [session])
            return not cursor.fetchall()

        wait_until(is_gone, "the server has ended the session")


class Cutter:
    """Cuts the connection before the n-th statement or around the n-th commit."""

    def __init__(self, what: str, number: int) -> None:
        self.what, self.number = what, number
        self.seen = 0
        self.statement = ""
        """Which one it was."""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        database: Any = connection
        commit = database._commit
        try:
            if self.what == "statement":
                with connection.execute_wrapper(self._execute):
                    yield
            else:
                database._commit = lambda: self._around(commit, "COMMIT")
                yield
        finally:
            connection.__dict__.pop("_commit", None)

    def _execute(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        return self._around(lambda: execute(sql, params, many, context), sql)

    def _around(self, work: Callable[[], Any], statement: str) -> Any:
        self.seen += 1
        is_it = self.seen == self.number
        if is_it:
            self.statement = statement
        if is_it and self.what != "after commit":
            cut()
        result = work()
        if is_it and self.what == "after commit":
            cut()
        return result

    def __repr__(self) -> str:
        return f"cut at {self.what} {self.number}: {self.statement[:150]}"


CUTS = [
    pytest.param("before commit", marks=pytest.mark.slow),
    pytest.param("after commit"),
    pytest.param("statement", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("what", CUTS)
class TestACheckThatLosesItsConnection:
    def test_still_ends_and_doubles_nothing(
        self, scene: Scene, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = a_bit_of_everything(scene)
        monkeypatch.setattr(rulesets, "BATCH_SIZE", 2)
        failed = []

        for number in range(1, MOST_STATEMENTS):
            restore(scene._rows)
            scene.server.messages.clear()
            cutter = Cutter(what, number)
            try:
                with cutter():
                    report = scene.check(NOW)
            except Exception as error:
                stuck = " AND STUCK IN A TRANSACTION" * connection.in_atomic_block
                failed.append(f"{cutter}: {type(error).__name__}: {error}{stuck}")
                forget_connection()
                continue
            if cutter.seen < number:
                break
            scene.count(faults=1)
            forget_connection()  # as a worker does between two tasks
            if report.state != "complete" or report.problems:
                why = report.skipped_because or report.problems
                failed.append(f"{cutter}: {report.state}, {why}")
                continue
            scene.deliver_all(NOW + timedelta(minutes=1))
            assert scene.decided() == dict.fromkeys(wanted, 1), cutter
            scene.assert_one_event_each(FAILING_OF_EVERYTHING, cutter)
            scene.assert_settled(cutter)
        assert number > 8
        assert failed == [], "\n".join(failed)

    @pytest.mark.slow
    def test_is_made_good_by_the_next_in_any_case(
        self, scene: Scene, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = a_bit_of_everything(scene)
        monkeypatch.setattr(rulesets, "BATCH_SIZE", 2)
        then = next_check()

        for number in range(1, MOST_STATEMENTS):
            restore(scene._rows)
            scene.server.messages.clear()
            cutter = Cutter(what, number)
            try:
                with cutter():
                    scene.check(NOW)
            except Exception:  # told by the test above
                pass
            forget_connection()
            if cutter.seen < number:
                break
            scene.count(faults=1)
            scene.check(then)
            scene.deliver_all(then + timedelta(minutes=5))
            assert scene.decided() == dict.fromkeys(wanted, 1), cutter
            scene.assert_one_event_each(FAILING_OF_EVERYTHING, cutter)
            scene.assert_settled(cutter)
            assert not MonitorRun.objects.filter(state="running").exists(), cutter


def test_a_redelivered_check_that_loses_it_at_its_start_doubles_nothing(scene: Scene) -> None:
    """It goes on where the killed one stopped, however often its start had to be written."""
    failing_entries()
    kill_between_batches(scene, NOW)
    scene.keep()

    for number in range(1, 5):  # the first commits, among them that of the start
        restore(scene._rows)
        scene.server.messages.clear()
        cutter = Cutter("after commit", number)
        with cutter():
            scene.check(SOON, ENTRIES, task_id=MESSAGE)
        forget_connection()
        scene.count(faults=1)
        scene.deliver_all(NOW + timedelta(minutes=10))

        assert scene.decided() == {(name, "alert", OPS): 1 for name in NAMES}, cutter
        scene.assert_settled(cutter)
