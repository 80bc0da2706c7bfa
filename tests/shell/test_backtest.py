"""A backtest says what checks would have done: held against checks that were done."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from monitoring import doors, periodic_tasks
from monitoring.core.backtest import backtest
from monitoring.core.statuses import Status
from monitoring.core.values import Execution
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, MonitorRun, Notification
from monitoring.rule_rows import read_instance
from tests.factories import NOW, ago, execution, rule
from tests.gap.models import IngestorSession

EVERY = timedelta(minutes=10)
CHECKS = [NOW + number * EVERY for number in range(14)]

runs = st.lists(
    st.tuples(
        st.integers(-40, 140),  # start, in minutes after the first check
        st.integers(1, 50),  # how long it took
        st.sampled_from([Status.COMPLETED, Status.COMPLETED, Status.STOPPED, Status.CANCELLED]),
    ),
    max_size=8,
    unique_by=lambda run: run[0],
)
rules = st.fixed_dictionaries(
    {
        "lookback_hours": st.sampled_from([0.25, 0.5, 1]),
        "alert_after": st.integers(1, 3),
        "remind_hours": st.sampled_from([None, 0, 0.5]),
        "notify_on_recovery": st.booleans(),
        "while_running": st.sampled_from(["wait", "judge"]),
        "max_runtime_minutes": st.sampled_from([None, 15]),
        "max_duration_factor": st.sampled_from([None, None, 1.5]),
        "min_success_rate": st.sampled_from([None, None, 60, 95]),
    }
)
FIELDS = {
    "lookback_hours": 1,
    "alert_after": 1,
    "remind_hours": 0,
    "notify_on_recovery": True,
    "while_running": "wait",
}
MEASURED = [
    (start, 25 if start == 55 else 5, Status.STOPPED if start in {15, 25} else Status.COMPLETED)
    for start in (*range(-35, 65, 10), *range(85, 135, 10))
]
"""Two of them fail, and a later one is slow."""
USUAL = [
    Execution(-day, "sync", Status.COMPLETED, ago(days=day), ago(days=day, minutes=-10))
    for day in range(25, 1, -1)
]
"""What completed before, in ten minutes each."""


@pytest.mark.matrix
class TestAHistoryOfAnyKind(TestCase):
    @settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
    @example(history=MEASURED, fields=FIELDS | {"max_duration_factor": 1.5})
    @example(history=MEASURED, fields=FIELDS | {"min_success_rate": 75})
    @given(history=runs, fields=rules)
    @pytest.mark.fault
    def test_is_replayed_as_the_checks_took_it(
        self, history: list[tuple[int, int, Status]], fields: dict[str, Any]
    ) -> None:
        for model in (Notification, AlertEvent, MonitorRun, MonitorRule, BackgroundTask):
            model._default_manager.all().delete()
        execution("heartbeat", started=ago(days=30))
        for one in USUAL:
            execution("sync", started=one.started_at, finished_at=one.finished_at)
        watched = rule("sync", notify_to=["ops@example.com"], **fields)
        past = USUAL + sorted(
            (
                Execution(
                    number,
                    "sync",
                    status,
                    NOW + timedelta(minutes=start),
                    NOW + timedelta(minutes=start + took),
                )
                for number, (start, took, status) in enumerate(history)
            ),
            key=lambda one: one.started_at,
        )

        for now in CHECKS:
            self.live(past, now)
        found = backtest(
            read_instance(watched, watched_since=ago(days=30)), past, CHECKS, ago(days=30)
        )

        events = AlertEvent.objects.order_by("pk").values_list("opened_at", "resolved_at")
        assert [(one.opened_at, one.resolved_at) for one in found.incidents] == list(events)
        assert found.messages == Notification.objects.count()

    def live(self, past: list[Execution], now: datetime) -> None:
        """Let the log be as it was at a time, and check."""
        BackgroundTask.objects.filter(task_name="sync", started_at__gt=ago(days=1)).delete()
        for one in past[len(USUAL) :]:
            if one.started_at <= now:
                is_over = one.finished_at is not None and one.finished_at <= now
                execution(
                    "sync",
                    one.status if is_over else "Running",
                    started=one.started_at,
                    finished_at=one.finished_at if is_over else None,
                )
        with time_machine.travel(now, tick=False), self.captureOnCommitCallbacks(execute=True):
            doors.check((), {})


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestTheCommand:
    def run(self, capsys: pytest.CaptureFixture[str], *options: str) -> str:
        call_command("monitor", "backtest", *options)
        return capsys.readouterr().out

    def test_says_what_each_rule_would_have_done(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync", lookback_hours=25)
        rule("never", lookback_hours=48)
        for day in range(1, 11):
            status = "Stopped" if day == 4 else "Completed"
            finish = ago(days=day) + timedelta(minutes=10)
            execution("sync", status, started=ago(days=day), finished_at=finish)

        said = self.run(capsys, "--days", "8")

        assert said.splitlines() == [
            "as if checked every 5 min, because no check is scheduled",
            "sync rule: would have opened 1 event in 8 days: 1 failure; 2 messages",
            "  2026-03-06 12:10 to 2026-03-07 12:10 UTC: Stopped, 2 messages",
            "never rule: would have opened 1 event in 8 days: 1 still open; 1 message",
            "  2026-03-02 12:00 to now: No execution found, 1 message",
        ]

    def test_admits_what_the_log_does_not_hold(self, capsys: pytest.CaptureFixture[str]) -> None:
        rule("sync")
        execution("sync", started=ago(hours=20))

        assert "; the log covers 20 h of these" in self.run(capsys, "--days", "60")

    def test_knows_a_task_from_its_first_run_on(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync", created_at=ago(hours=1))
        execution("sync", started=ago(hours=20))

        said = self.run(capsys, "--days", "60")

        assert "; the log covers 20 h of these" in said
        assert "2026-01-" not in said  # nothing was missing before

    def test_knows_it_from_before_if_the_rule_was_waiting_for_it(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync", created_at=ago(days=10))
        execution("sync", started=ago(hours=20))

        said = self.run(capsys, "--days", "60")

        assert "; the log covers 10 days of these" in said
        assert "2026-02-28 13:00 to 2026-03-09 16:00 UTC: No execution found" in said

    def test_says_nothing_of_a_log_that_holds_nothing(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rule("sync")

        assert "cannot be told: the log holds nothing of the last 60 days" in self.run(capsys)

    def test_looks_only_at_the_kind_that_a_rule_watches(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        hourly = IngestorSession.objects.create(ingestor_type="Hourly")
        rule("sync", context_model="gap.IngestorSession", context_type="Hourly", lookback_hours=30)
        for day in range(1, 6):
            execution("sync", started=ago(days=day), context_id=str(hourly.pk))
            execution("sync", "Stopped", started=ago(days=day, hours=-1))

        assert "no events" in self.run(capsys, "--days", "3")

    def test_takes_what_is_usual_from_before_the_days_it_replays(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync", lookback_hours=25, max_duration_factor=2)
        for day in range(1, 30):
            minutes = 50 if day == 2 else 10
            finish = ago(days=day) + timedelta(minutes=minutes)
            execution("sync", started=ago(days=day), finished_at=finish)

        assert self.run(capsys, "--days", "3").splitlines()[1:] == [
            "sync rule: would have opened 1 event in 3 days: 1 failure; 2 messages",
            "  2026-03-08 12:25 to 2026-03-09 12:10 UTC: Running, 2 messages",
        ]

    def test_takes_the_usual_of_a_kind_from_that_kind(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        hourly = IngestorSession.objects.create(ingestor_type="Hourly")
        context = {"context_model": "gap.IngestorSession", "context_type": "Hourly"}
        rule("sync", lookback_hours=30, max_duration_factor=2, **context)
        for day in range(1, 30):
            finish = ago(days=day) + timedelta(minutes=50 if day == 2 else 10)
            execution("sync", started=ago(days=day), finished_at=finish, context_id=str(hourly.pk))
            execution("sync", started=ago(days=day, hours=1), finished_at=ago(days=day))

        assert "would have opened 1 event in 3 days" in self.run(capsys, "--days", "3")

    def test_is_json_if_asked(self, capsys: pytest.CaptureFixture[str], old_log: None) -> None:
        rule("sync", lookback_hours=48)

        (found,) = json.loads(self.run(capsys, "--json", "--days", "2", "--every", "60"))

        assert (found["rule"], found["checks"], found["messages"]) == ("sync rule", 49, 1)
        assert found["events"][0]["verdict"] == "no_execution"

    def test_checks_as_often_as_beat_does(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync")
        periodic_tasks.install(20)

        assert "as if checked every 20 min, as it is scheduled" in self.run(capsys, "--days", "2")
        (found,) = json.loads(self.run(capsys, "--days", "2", "--json"))
        assert (found["checks"], found["every_minutes"], found["every_is"]) == (
            145,
            20,
            "scheduled",
        )

    def test_checks_as_often_as_it_is_told_to(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync")
        periodic_tasks.install(20)

        said = self.run(capsys, "--days", "2", "--every", "60")

        assert "as if checked every 60 min, as --every says" in said

    def test_replays_no_more_than_a_check_a_minute(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync")
        schedule = IntervalSchedule.objects.create(every=1, period="seconds")
        PeriodicTask.objects.create(name="Often", task="monitor_task_status", interval=schedule)

        (found,) = json.loads(self.run(capsys, "--days", "1", "--json"))

        assert (found["checks"], found["every_minutes"]) == (1441, 1)

    def test_suggests_what_would_have_raised_no_false_alarm(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.daily(without=20, late=40)
        rule("sync", lookback_hours=24)

        said = self.run(capsys, "--rule", "sync rule", "--suggest").splitlines()

        assert said[1].startswith("sync rule: would have opened")
        assert said[-5:] == [
            "  suggested: look back 25 h, alert after 1: "
            "it usually runs every 24 h, at most 40 min late",
            "    a missing run is told of within 65 min",
            "    a duration of 1.25 times the usual is a limit without a false alarm; "
            "0 runs took longer",
            "    1 of 58 gaps were longer than 25 h",
            "    with it: would have opened 1 event in 60 days: 1 late run; 2 messages",
        ]

    def daily(self, without: int, late: int) -> None:
        """Store a run for every day of two months but one, half of them this many minutes late."""
        for day in range(61, 0, -1):
            if day != without:
                start = ago(days=day) + timedelta(minutes=late if day % 15 == 0 else 0)
                execution("sync", started=start, finished_at=start + timedelta(minutes=10))

    def test_suggests_by_the_delay_that_is_chosen(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.daily(without=20, late=40)
        rule("sync", lookback_hours=24)

        (found,) = json.loads(self.run(capsys, "--suggest", "--delay", "0.5", "--json"))

        assert found["suggestion"]["lookback_hours"] == 24
        assert found["suggestion"]["longer_gaps"] == 4

    def test_suggests_for_what_a_rule_measures(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.daily(without=20, late=0)
        rule("sync", lookback_hours=24, min_success_rate=80, max_duration_factor=1.5)

        said = self.run(capsys, "--suggest")
        (found,) = json.loads(self.run(capsys, "--suggest", "--json"))

        assert "suggested: look back 121 h" in said
        assert "it holds 5 runs, so that what usually fails is no low success rate" in said
        suggestion = found["suggestion"]
        assert (suggestion["runs_in_window"], suggestion["max_duration_factor"]) == (5, 1.25)
        assert suggestion["slower_runs"] == 0

    def test_says_why_nothing_can_be_suggested(self, capsys: pytest.CaptureFixture[str]) -> None:
        rule("sync")
        execution("sync", started=ago(hours=20))

        assert "no suggestion: the log covers 20 h; it takes 14 days to tell" in self.run(
            capsys, "--suggest"
        )
        (found,) = json.loads(self.run(capsys, "--suggest", "--json"))
        assert found["suggestion"]["refused"] == "too_young"

    def test_writes_nothing(self, capsys: pytest.CaptureFixture[str], old_log: None) -> None:
        rule("sync")

        self.run(capsys)

        for model in (AlertEvent, Notification, MonitorRun):
            assert not model._default_manager.exists()

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (["--days", "0"], "--days must be from 1 to 400, got 0"),
            (["--every", "0"], "--every must be at least 1 minute, got 0"),
            (
                ["--suggest", "--delay", "0"],
                "--delay must be above 0 and at most 87600 hours, got 0",
            ),
            (["--suggest", "--delay", "nan"], "--delay must be above 0"),
            (["--delay", "1"], "--delay needs --suggest"),
        ],
    )
    def test_refuses_what_it_cannot_do(self, options: list[str], complaint: str) -> None:
        with pytest.raises(CommandError, match=complaint):
            call_command("monitor", "backtest", *options)

    def test_ends_with_2_if_a_rule_cannot_be_replayed(
        self, capsys: pytest.CaptureFixture[str], old_log: None
    ) -> None:
        rule("sync", context_model="gap.Gone", context_field="x", context_type="y")

        with pytest.raises(SystemExit) as ended:
            call_command("monitor", "backtest")

        assert ended.value.code == 2
        assert "is not an installed model" in capsys.readouterr().err
