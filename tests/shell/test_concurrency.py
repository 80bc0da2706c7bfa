"""Two of everything at once, on real connections: checks, leases and deliverers."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.db import OperationalError, connection, connections
from django.utils import timezone

from monitoring import checker, delivery, doors, outbox, retention, rule_states, runs
from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
)
from monitoring.tasklogs.lost import mark_lost
from tests.factories import NOW, ago, execution, rule

pytestmark = pytest.mark.django_db(transaction=True)

Mailbox = list[EmailMultiAlternatives]

ENTRY = {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}


@pytest.fixture(autouse=True)
def _a_database_that_threads_can_share(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """Replace SQLite's database in memory by a file with the same tables, as hosts have it."""
    if connection.vendor != "sqlite":
        yield
        return
    in_memory, settings = connections["default"], connections.settings["default"]
    file = str(tmp_path / "db.sqlite3")
    in_memory.ensure_connection()
    with sqlite3.connect(file) as target:
        in_memory.connection.backup(target)
        # Two connections that both switch a new file to it get in each other's way.
        target.execute("PRAGMA journal_mode=WAL")
    name = settings["NAME"]
    settings["NAME"] = file
    connections["default"] = connections.create_connection("default")
    yield
    connections["default"].close()
    settings["NAME"] = name
    connections["default"] = in_memory


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run each call in a thread with connections of its own; return what they returned."""
    start = threading.Barrier(len(calls), timeout=20)

    def run(call: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(run, one) for one in calls]]


def deadlock() -> OperationalError:
    """Return the error by which a database tells a transaction that another has won."""
    error = OperationalError(1213, "Deadlock found when trying to get lock")
    error.__cause__ = Exception()
    vars(error.__cause__)["sqlstate"] = "40P01"
    return error


class TestTwoChecksAtOnce:
    @pytest.fixture
    def rules(self, settings: Any) -> list[MonitorRule]:
        """Return twelve failing rules, each with a mail of its own."""
        settings.MONITORING = settings.MONITORING | {"DIGEST_ABOVE": 100}
        rules = [rule(f"task-{number:02}", notify_to=["ops@example.com"]) for number in range(12)]
        for row in rules:
            execution(row.task_name, "Stopped", started=timezone.now() - timedelta(minutes=5))
        return rules

    def test_over_the_same_failing_rules_leave_one_open_event_each(
        self, rules: list[MonitorRule], mailoutbox: Mailbox
    ) -> None:
        tasks = [row.task_name for row in reversed(rules)]

        reports = at_once(
            lambda: doors.check([], {}),
            lambda: doors.check([], {"tasks": tasks}),
            lambda: doors.check([], {"rules": [row.name for row in rules[3:]]}),
        )

        assert [report.problems for report in reports] == [[], [], []]
        assert AlertEvent.objects.open().count() == 12
        assert AlertEvent.objects.count() == 12

    def test_alert_once(self, rules: list[MonitorRule], mailoutbox: Mailbox) -> None:
        tasks = [row.task_name for row in reversed(rules)]

        at_once(lambda: doors.check([], {}), lambda: doors.check([], {"tasks": tasks}))

        assert Notification.objects.filter(kind="alert").count() == 12
        assert Counter(mail.subject for mail in mailoutbox) == {
            f"[ALERT] {row.task_name} Status Check Failed": 1 for row in rules
        }

    def test_both_count(self, rules: list[MonitorRule]) -> None:
        tasks = [row.task_name for row in rules]

        at_once(lambda: doors.check([], {}), lambda: doors.check([], {"tasks": tasks}))

        assert set(AlertEvent.objects.values_list("failing_checks", flat=True)) == {2}
        assert set(RuleState.objects.values_list("failing_checks", flat=True)) == {2}

    @pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
    def test_both_count_when_one_is_the_victim_of_a_deadlock(
        self, rules: list[MonitorRule], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tasks = [row.task_name for row in rules]
        lock_states = rule_states.lock_states

        def lose(some: Any) -> Any:
            monkeypatch.setattr(rule_states, "lock_states", lock_states)
            at_once(lambda: doors.check([], {"tasks": tasks}))
            raise deadlock()

        monkeypatch.setattr(rule_states, "lock_states", lose)

        assert doors.check([], {}).state == "complete"

        assert set(AlertEvent.objects.values_list("failing_checks", flat=True)) == {2}

    def test_resolve_once(self, rules: list[MonitorRule], mailoutbox: Mailbox) -> None:
        doors.check([], {})
        for row in rules:
            execution(row.task_name, started=timezone.now())
        mailoutbox.clear()

        at_once(
            lambda: doors.check([], {}),
            lambda: doors.check([], {"tasks": [row.task_name for row in reversed(rules)]}),
        )

        assert not AlertEvent.objects.open().exists()
        assert len(mailoutbox) == 12

    def test_of_json_arguments_in_another_order_wait_for_each_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [f"task-{number:03}" for number in range(300)]
        monkeypatch.setattr(doors, "deliver", lambda: None)

        at_once(
            lambda: doors.check([dict.fromkeys(names, ENTRY)], {}),
            lambda: doors.check([dict.fromkeys(reversed(names[1:]), ENTRY)], {}),
        )

        assert AlertEvent.objects.open().count() == 300
        # The later one reminds if it also began later.
        assert Notification.objects.count() in {300, 599}

    @pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
    def test_one_waits_while_another_holds_the_rules(
        self, rules: list[MonitorRule], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order: list[str] = []
        first_holds, second_began = threading.Event(), threading.Event()
        lock_states = rule_states.lock_states

        def slow_lock(some: Any) -> Any:
            states = lock_states(some)
            first_holds.set()
            # Long enough for the other to overtake if it could.
            second_began.wait(5)
            threading.Event().wait(0.3)
            order.append("first")
            return states

        def first() -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rule_states, "lock_states", slow_lock)
                thread_check(first_holds)

        def thread_check(_: threading.Event) -> None:
            doors.check([], {})

        def second() -> None:
            first_holds.wait(5)
            monkeypatch.setattr(rule_states, "lock_states", quick_lock)
            doors.check([], {"tasks": [row.task_name for row in rules]})

        def quick_lock(some: Any) -> Any:
            second_began.set()
            states = lock_states(some)
            order.append("second")
            return states

        at_once(first, second)

        assert order == ["first", "second"]
        assert AlertEvent.objects.open().count() == 12


class TestTheLease:
    def test_a_running_check_makes_another_of_the_same_rules_skip(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rule("sync", notify_to=["ops@example.com"])
        others = []
        check_all = checker._Check._check

        def check_with_another_at_its_side(*args: Any) -> None:
            others.extend(at_once(lambda: doors.check([], {})))
            check_all(*args)

        monkeypatch.setattr(checker._Check, "_check", check_with_another_at_its_side)

        report = doors.check([], {})

        assert (report.state, report.counts["checked"]) == ("complete", 1)
        assert [(one.state, one.counts["checked"]) for one in others] == [("skipped", 0)]

    def test_of_many_at_once_every_one_is_complete_or_skipped(self) -> None:
        rule("sync", notify_to=["ops@example.com"])

        reports = at_once(*[lambda: doors.check([], {})] * 5)

        states = Counter(report.state for report in reports)
        assert set(states) <= {"complete", "skipped"}
        assert states["complete"] == MonitorRun.objects.filter(state="complete").count() >= 1
        assert states["skipped"] == 5 - MonitorRun.objects.count()
        assert AlertEvent.objects.count() <= 1

    def test_a_skipped_check_leaves_no_record(self) -> None:
        hold_lease(timezone.now() + timedelta(minutes=4))

        doors.check([], {})

        assert MonitorRun.objects.count() == 1

    def test_a_skipped_check_still_delivers_what_is_owed(self, mailoutbox: Mailbox) -> None:
        doors.check([{"sync": ENTRY}], {})
        Notification.objects.update(state="pending")
        hold_lease(timezone.now() + timedelta(minutes=4))

        doors.check([], {})

        assert len(mailoutbox) == 2

    def test_a_stale_lease_is_taken_over(self) -> None:
        hold_lease(timezone.now() - timedelta(seconds=1))

        assert doors.check([], {}).state == "complete"

    def test_the_check_that_never_ended_is_recorded_as_failed(self) -> None:
        stale = hold_lease(timezone.now() - timedelta(seconds=1))

        doors.check([], {})

        stale.refresh_from_db()
        assert (stale.state, stale.lease) == ("failed", None)
        assert stale.error == "never ended: the process was killed"

    def test_a_check_that_comes_back_late_does_not_undo_that(self) -> None:
        report = doors.Report(checked_at=timezone.now(), rule_set="all rules")
        stale = hold_lease(timezone.now() - timedelta(seconds=1))
        doors.check([], {})

        runs.end(stale, "complete", "", 0, report.counts)

        stale.refresh_from_db()
        assert stale.state == "failed"

    def test_a_lease_lasts_as_long_as_the_setting_says(self, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"CHECK_LEASE_MINUTES": 3}
        now = timezone.now()

        begun = runs.begin("all rules", checker_set().identity, now, runs.Request())

        assert isinstance(begun, runs.Begun)
        assert begun.run.leased_until == now + timedelta(minutes=3)

    def test_other_rules_are_not_kept_out(self) -> None:
        hold_lease(timezone.now() + timedelta(minutes=4))

        assert doors.check([{"sync": ENTRY}], {}).state == "complete"

    def test_the_same_json_arguments_in_another_order_are_kept_out(self) -> None:
        config = {"a": ENTRY, "b": ENTRY}
        identity = checker_set([config]).identity

        assert checker_set([dict(reversed(config.items()))]).identity == identity

    def test_the_same_json_arguments_of_another_periodic_task_are_not(self) -> None:
        arguments = [{"a": ENTRY}]

        assert checker_set(arguments, "A").identity != checker_set(arguments, "B").identity


def checker_set(args: list[Any] | None = None, periodic_task: str = "") -> Any:
    arguments = doors.parse_arguments(args or [], {}, periodic_task)
    return doors.select(arguments, periodic_task)


def hold_lease(until: Any) -> MonitorRun:
    """Store a check of all rules that is still running."""
    return MonitorRun.objects.create(
        rule_set="all rules",
        lease=checker_set().identity,
        leased_until=until,
        started_at=until - timedelta(minutes=15),
    )


class TestTwoDeliverersAtOnce:
    def test_send_each_message_once(
        self, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "BATCH_SIZE", 7)
        names = [f"task-{number}" for number in range(30)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(doors, "deliver", lambda: None)
            doors.check([dict.fromkeys(names, ENTRY)], {})
        now = timezone.now()

        done = at_once(*[lambda: delivery.deliver(now)] * 3)

        assert sum(one.sent for one in done) == 30
        assert Counter(mail.subject for mail in mailoutbox) == {
            f"[ALERT] {name} Has Not Executed": 1 for name in names
        }
        assert set(Notification.objects.values_list("state", "attempts")) == {("sent", 1)}


def test_two_prunes_at_once_delete_everything_once() -> None:
    old = ago(days=500)
    BackgroundTask.objects.bulk_create(
        BackgroundTask(task_id=f"old-{number}", task_name="sync", last_update=old)
        for number in range(1500)
    )
    failed = [
        Notification.objects.create(
            kind="alert", recipient="a@b.c", subject="s", state="failed", created_at=old
        )
        for _ in range(20)
    ]
    for row in failed:
        Notification.objects.create(
            kind="alert",
            recipient="root@b.c",
            subject="s",
            state="sent",
            created_at=old,
            stands_in_for=row,
        )

    done = at_once(*[lambda: retention.prune(NOW)[0]] * 2)

    assert sum(one["executions"] for one in done) == 1500
    assert sum(one["messages"] for one in done) == 40
    assert not BackgroundTask.objects.exists()


def test_an_execution_lost_at_two_checks_at_once_is_marked_once() -> None:
    for number in range(50):
        execution("sync", "Running", started=ago(days=2), position=3 + 20 * number)

    assert sum(at_once(*[lambda: mark_lost(NOW)] * 4)) == 50
