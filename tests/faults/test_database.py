"""A disk that is full, and a transaction that another one wins against."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from monitoring.models import AlertEvent, MonitorRule, MonitorRun, Notification, RuleState
from tests.doors.harness import OBSERVER, wait_until
from tests.factories import NOW
from tests.faults.scene import DEV, OPS, Scene, failing_rules, long_log, next_check
from tests.faults.victim import forked

pytestmark = [pytest.mark.door, pytest.mark.fault]

RULES = 120
TASKS = [f"task-{number:03}" for number in range(RULES)]


class TestADiskThatIsFull:
    """SQLite's file may grow no further: the error is the one of a full disk."""

    @pytest.fixture
    def kind(self) -> str:
        return "sqlite"

    @pytest.fixture
    def pages(self, scene: Scene) -> int:
        """Store the rules; return how many pages the file has when not one can be added."""
        long_log()
        failing_rules(RULES, OPS, DEV)
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA page_count")
            return int(cursor.fetchone()[0])

    @pytest.mark.parametrize(
        "more", [1, 30, *(pytest.param(more, marks=pytest.mark.slow) for more in (0, 3, 10, 60))]
    )
    def test_makes_the_check_fail_loudly_and_the_next_do_it_all(
        self, scene: Scene, pages: int, more: int
    ) -> None:
        answer = scene.run(scene.job("check", batch_size=40, most_pages=pages + more))
        scene.count(faults=1)

        assert answer is not None
        assert "database or disk is full" in answer.error
        events, messages = AlertEvent.objects.count(), Notification.objects.count()
        assert events % 40 == 0, "a batch is written whole or not at all"
        assert messages == 2 * events
        assert RuleState.objects.exclude(verdict="").count() == events
        assert events < RULES

        then = next_check()
        report = scene.check(then)
        scene.deliver_all(then + timedelta(minutes=10))

        assert (report.state, report.problems) == ("complete", [])
        scene.assert_one_event_each(TASKS)
        assert scene.decided() == {(task, "alert", to): 1 for task in TASKS for to in (OPS, DEV)}
        scene.assert_settled(f"{more} pages")
        assert not MonitorRun.objects.filter(state="running").exists()

    def test_makes_the_delivery_fail_and_the_next_send_it_all(
        self, scene: Scene, pages: int
    ) -> None:
        scene.check(NOW)
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA page_count")
            pages = int(cursor.fetchone()[0])

        answer = scene.run(scene.job("deliver", most_pages=pages + 8))
        scene.count(faults=1)
        assert answer is not None
        assert "database or disk is full" in answer.error
        in_doubt = scene.in_doubt()
        scene.deliver_all(NOW + timedelta(minutes=11))

        assert len(in_doubt) <= 1
        scene.assert_settled("a full disk", repeatable=in_doubt)


class TestADeadlock:
    @pytest.fixture
    def kind(self, kind: str) -> str:
        if kind == "sqlite":
            pytest.skip("SQLite locks the whole file")
        return kind

    def waiting(self, scene: Scene) -> bool:
        """Say whether a session of this database waits for a lock."""
        sql = {
            "postgresql": "SELECT 1 FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = %s",
            "mysql": "SELECT 1 FROM information_schema.innodb_trx trx "
            "JOIN information_schema.processlist list ON list.id = trx.trx_mysql_thread_id "
            "WHERE trx.trx_state = 'LOCK WAIT' AND list.db = %s",
        }[connection.vendor]
        if connection.vendor == "mysql":
            # InnoDB shows a copy, which it renews when nobody has looked for 0.1 s. PostgreSQL is
            # asked at once: who has waited for a second without a deadlock is no longer its victim.
            time.sleep(0.15)
        with connections[OBSERVER].cursor() as cursor:
            cursor.execute(sql, [connection.settings_dict["NAME"]])
            return bool(cursor.fetchall())

    def test_that_the_check_loses_is_tried_again(self, scene: Scene) -> None:
        long_log()
        failing_rules(RULES, OPS, DEV)
        scene.check(NOW - timedelta(minutes=10))
        Notification.objects.all().delete()
        RuleState.objects.update(verdict="", failing_checks=0)
        AlertEvent.objects.all().delete()
        keys = list(RuleState.objects.order_by("key").values_list("key", flat=True))

        with forked(scene.job("check")) as (check,):
            with transaction.atomic():
                # Whoever has written more is spared by MariaDB.
                MonitorRule.objects.update(description="changed")
                lock(keys[-1])
                wait_until(lambda: self.waiting(scene), "the check waits for the last rule")
                lock(keys[0])
            report = check.wait().result
        scene.count(faults=1, checks=1)
        scene.deliver_all(NOW)

        assert (report["state"], report["problems"]) == ("complete", [])
        assert check.answer.retries >= 1
        scene.assert_one_event_each(TASKS)
        assert scene.decided() == {(task, "alert", to): 1 for task in TASKS for to in (OPS, DEV)}
        scene.assert_settled("a deadlock")


def lock(key: str) -> None:
    RuleState.objects.select_for_update().get(key=key)
