"""Durations and success rates, judged alike over every task log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring import doors
from monitoring.models import AlertEvent, Notification
from tests.factories import NOW, ago, execution, rule
from tests.gap.models import IngestorSession
from tests.shell.conftest import Monitor

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.matrix,
    pytest.mark.usefixtures("source", "clock", "old_log"),
]

OPS = {"notify_to": ["ops@example.com"]}


def ran(name: str, minutes: float, started: Any, status: str = "Completed", **columns: Any) -> None:
    """Store an execution that took so many minutes."""
    finish = started + timedelta(minutes=minutes)
    execution(name, status, started=started, finished_at=finish, **columns)


def usually(name: str, minutes: float, count: int = 20, **columns: Any) -> None:
    """Store executions of the days before today that took so many minutes."""
    for day in range(1, count + 1):
        ran(name, minutes, ago(days=day), **columns)


class TestADuration:
    def test_beyond_the_usual_opens_an_event_and_is_told(
        self, monitor: Monitor, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        rule("sync", max_duration_factor=2, **OPS)
        usually("sync", 3)
        ran("sync", 14, ago(minutes=30))

        (failure,) = monitor()["failures"]

        assert (failure["verdict"], failure["current_status"]) == ("slow", "Completed")
        assert failure["reason"] == (
            "slower than usual: it took 14 min; 95 % of the last 20 completed runs took at most "
            "3 min; the rule allows 2 times that"
        )
        assert AlertEvent.objects.get().verdict == "slow"
        (mail,) = mailoutbox
        assert mail.subject == "[ALERT] sync Status Check Failed"
        assert "sync is slower than usual" in mail.body
        assert "it took 14 min; 95 % of the last 20 completed runs" in mail.body.replace("\n", " ")

    def test_within_the_usual_is_ok(self, monitor: Monitor) -> None:
        rule("sync", max_duration_factor=2, **OPS)
        usually("sync", 3)
        ran("sync", 6, ago(minutes=30))

        assert monitor()["ok"] == 1

    def test_of_one_that_runs_counts_already(self, monitor: Monitor) -> None:
        rule("sync", max_duration_factor=2, while_running="wait", **OPS)
        usually("sync", 3)
        ran("sync", 3, ago(minutes=40))
        execution("sync", "Running", started=ago(minutes=14))

        (failure,) = monitor()["failures"]

        assert (failure["verdict"], failure["current_status"]) == ("slow", "Running")
        assert "it has been running for 14 min; 95 % of the last 21" in failure["reason"]

    def test_of_the_one_before_it_counts_while_another_runs(self, monitor: Monitor) -> None:
        rule("sync", max_duration_factor=2, while_running="wait", **OPS)
        usually("sync", 3)
        ran("sync", 14, ago(minutes=40))
        execution("sync", "Running", started=ago(minutes=1))

        (failure,) = monitor()["failures"]

        assert (failure["verdict"], failure["current_status"]) == ("slow", "Completed")

    def test_is_held_against_the_last_fifty_that_completed(self, monitor: Monitor) -> None:
        rule("sync", max_duration_factor=2, **OPS)
        usually("sync", 3, 50)
        for day in range(51, 80):
            ran("sync", 100, ago(days=day))
        for day in range(1, 30):
            ran("sync", 100, ago(days=day, hours=1), "Stopped")
        ran("sync", 14, ago(minutes=30))

        (failure,) = monitor()["failures"]

        assert "95 % of the last 50 completed runs took at most 3 min" in failure["reason"]

    def test_of_a_young_task_is_not_judged(self, monitor: Monitor) -> None:
        rule("sync", max_duration_factor=2, **OPS)
        usually("sync", 3, 19)
        ran("sync", 14, ago(minutes=30))

        assert monitor()["ok"] == 1

    def test_is_that_of_the_context_type(self, monitor: Monitor) -> None:
        quick = str(IngestorSession.objects.create(ingestor_type="Quick").pk)
        long = str(IngestorSession.objects.create(ingestor_type="Long").pk)
        for kind in ("Quick", "Long"):
            watched = {"context_model": "gap.IngestorSession", "context_type": kind}
            rule("sync", name=kind, max_duration_factor=2, **watched, **OPS)
        usually("sync", 3, 25, context_id=quick)
        usually("sync", 30, 25, context_id=long)
        ran("sync", 14, ago(minutes=30), context_id=quick)
        ran("sync", 14, ago(minutes=20), context_id=long)

        (failure,) = monitor()["failures"]

        assert failure["rule"] == "Quick"
        assert "95 % of the last 25 completed runs took at most 3 min" in failure["reason"]


class TestASuccessRate:
    def test_below_the_wanted_opens_an_event_and_is_told(
        self, monitor: Monitor, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        rule("sync", min_success_rate=90, lookback_hours=240, **OPS)
        for day, status in enumerate(["Completed"] * 4 + ["Stopped", "Completed", "Cancelled"] * 2):
            ran("sync", 3, ago(days=day, hours=1), status)

        (failure,) = monitor()["failures"]

        assert failure["verdict"] == "low_success_rate"
        assert failure["reason"] == (
            "too few ended as expected: 6 of 10 runs since 2026-02-28 12:00 UTC were Completed "
            "(60 %), the rule wants 90 %"
        )
        assert mailoutbox[0].subject == "[ALERT] sync Status Check Failed"
        assert "sync fails too often" in mailoutbox[0].body

    def test_counts_the_window_of_each_rule_alone(self, monitor: Monitor) -> None:
        for name, hours in (("short", 50), ("long", 240)):
            rule("sync", name=name, min_success_rate=90, lookback_hours=hours, **OPS)
        for hour in range(0, 48, 8):
            ran("sync", 3, ago(hours=hour + 1))
        for hour in range(60, 100, 8):
            ran("sync", 3, ago(hours=hour), "Stopped")

        assert [one["rule"] for one in monitor()["failures"]] == ["long"]

    def test_is_that_of_the_context_type(self, monitor: Monitor) -> None:
        good = str(IngestorSession.objects.create(ingestor_type="Good").pk)
        bad = str(IngestorSession.objects.create(ingestor_type="Bad").pk)
        for kind in ("Good", "Bad"):
            watched = {"context_model": "gap.IngestorSession", "context_type": kind}
            rule("sync", name=kind, min_success_rate=90, lookback_hours=240, **watched, **OPS)
        for day in range(6):
            ran("sync", 3, ago(days=day, hours=1), context_id=good)
            ran(
                "sync", 3, ago(days=day, hours=2), "Stopped" if day else "Completed", context_id=bad
            )

        (failure,) = monitor()["failures"]

        assert failure["rule"] == "Bad"
        assert failure["reason"].startswith("too few ended as expected: 1 of 6 runs")

    def test_recovers_with_the_share(
        self, monitor: Monitor, clock: Any, mailoutbox: list[EmailMultiAlternatives]
    ) -> None:
        rule("sync", min_success_rate=60, lookback_hours=24, **OPS)
        for hour, status in enumerate(["Completed", *["Stopped"] * 3, *["Completed"] * 2]):
            ran("sync", 3, ago(hours=hour + 1), status)
        monitor()
        for minute in (5, 10, 15):
            ran("sync", 1, NOW + timedelta(minutes=minute))
        clock.shift(timedelta(minutes=30))

        assert monitor()["ok"] == 1
        assert [mail.subject for mail in mailoutbox] == [
            "[ALERT] sync Status Check Failed",
            "[RESOLVED] sync",
        ]


def cost() -> int:
    with CaptureQueriesContext(connection) as queries:
        doors.check((), {})
    return len(queries)


def test_a_check_costs_two_queries_more_however_many_rules_measure() -> None:
    def stored(count: int, **fields: Any) -> None:
        for number in range(count):
            rule(f"task-{number}", name=f"{number} {sorted(fields)}", **fields)

    for number in range(40):
        ran(f"task-{number}", 3, ago(minutes=30))
    rule("looked at", created_at=NOW)
    doors.check((), {})
    plain = cost()
    stored(1, max_duration_factor=2)
    doors.check((), {})
    timed = cost()
    stored(1, min_success_rate=90)
    doors.check((), {})
    both = cost()
    stored(40, max_duration_factor=3, min_success_rate=80)
    doors.check((), {})

    assert (timed - plain, both - timed) == (1, 1)
    assert cost() == both
    assert not Notification.objects.exists()
