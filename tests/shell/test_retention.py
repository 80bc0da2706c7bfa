"""Old history goes, and nothing that is still needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring import pruning, retention
from monitoring.core.gaps import EARLIER_CHECKS
from monitoring.core.retention import LATE
from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
    WorkerHeartbeat,
)
from monitoring.pruning import Pace
from tests.factories import NOW, ago, execution, log, rule
from tests.sources import HOST, JOBS, OWN, RESULTS, Source

pytestmark = pytest.mark.django_db

_ids = count(1)
OLD = ago(days=500)
"""Older than any kind of history is kept by default."""


@pytest.fixture(autouse=True)
def _in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.pruning.time.sleep", lambda seconds: None)


def ran(at: datetime = OLD, status: str = "Completed", task: str = "sync", **columns: Any) -> Any:
    values = {"finished_at": at, "last_update": at} | columns
    return execution(task, status, started=at, **values)


def event(resolved: datetime | None = OLD, **columns: Any) -> AlertEvent:
    key = f"key-{next(_ids)}"
    values: dict[str, Any] = {
        "key": key,
        "open_key": None if resolved else key,
        "task_name": "sync",
        "verdict": "status_mismatch",
        "lookback_hours": 1,
        "opened_at": resolved or OLD,
        "last_checked_at": NOW,
        "resolved_at": resolved,
    }
    return AlertEvent.objects.create(**(values | columns))


def message(
    about: AlertEvent | None = None, at: datetime = OLD, state: str = "sent", **columns: Any
) -> Notification:
    values = {"kind": "alert", "recipient": "ops@example.com", "subject": "s", "created_at": at}
    return Notification.objects.create(alert_event=about, state=state, **(values | columns))


def check(
    at: datetime = OLD, identity: str = "all", state: str = "complete", **columns: Any
) -> Any:
    return MonitorRun.objects.create(
        rule_set="all rules", identity=identity, state=state, started_at=at, **columns
    )


def checks(number: int, identity: str = "all", state: str = "complete") -> list[MonitorRun]:
    """Store old checks, the oldest first."""
    return [check(OLD + timedelta(minutes=minute), identity, state) for minute in range(number)]


def prune(**days: int | None) -> dict[str, int]:
    """Prune, once it was said how much that would be, and that comes to the same."""
    planned = retention.would_prune(NOW)
    done, is_all = retention.prune(NOW)
    assert is_all
    assert planned == done
    return done


def is_left(*rows: models.Model) -> list[bool]:
    return [type(row)._base_manager.filter(pk=row.pk).exists() for row in rows]


@pytest.fixture
def days(settings: Any) -> Callable[..., None]:
    def set_days(**kinds: int | None) -> None:
        settings.MONITORING = settings.MONITORING | {"RETENTION_DAYS": kinds}

    return set_days


class TestEveryKind:
    def test_goes_when_it_is_older_than_its_days(self) -> None:
        check()  # the very first is kept
        first = [
            ran(),
            message(),
            event(),
            WorkerHeartbeat.objects.create(node="celery@a", booted_at=OLD, seen_at=OLD),
        ]
        checks(EARLIER_CHECKS + 1)

        done = prune()

        assert done == {"messages": 1, "events": 1, "runs": 1, "executions": 1, "workers": 1}
        assert is_left(*first) == [False] * 4

    @pytest.mark.parametrize(
        ("kind", "days", "store"),
        [
            ("executions", 90, ran),
            ("messages", 400, lambda at: message(at=at)),
            ("events", 400, event),
            (
                "workers",
                30,
                lambda at: WorkerHeartbeat.objects.create(node="a", booted_at=OLD, seen_at=at),
            ),
        ],
        ids=["executions", "messages", "events", "workers"],
    )
    def test_stays_as_long_as_is_documented(
        self, kind: str, days: int, store: Callable[[datetime], models.Model]
    ) -> None:
        young = store(ago(days=days))

        assert prune()[kind] == 0
        assert is_left(young) == [True]
        type(young)._base_manager.all().delete()
        store(ago(days=days, seconds=1))
        assert prune()[kind] == 1

    def test_checks_stay_as_long_as_is_documented(self) -> None:
        check()
        old, young = check(ago(days=30, seconds=1)), check(ago(days=30))
        for minute in range(EARLIER_CHECKS):
            check(ago(minutes=minute))

        assert prune()["runs"] == 1
        assert is_left(old, young) == [False, True]

    @pytest.mark.parametrize("forever", [0, None])
    def test_is_kept_for_ever_if_the_settings_say_so(
        self, days: Callable[..., None], forever: int | None
    ) -> None:
        kinds = ("executions", "messages", "events", "runs", "workers")
        days(**dict.fromkeys(kinds, forever))
        rows = [ran(), message(), event()]
        checks(EARLIER_CHECKS + 5)

        assert prune() == {}
        assert is_left(*rows) == [True] * 3

    def test_is_counted_in_what_json_can_hold(self) -> None:
        ran()

        assert json.loads(json.dumps(prune()))["executions"] == 1

    def test_that_is_no_history_is_left_alone(self) -> None:
        watched = rule("sync", created_at=OLD)
        state = RuleState.objects.create(key="k", task_name="sync", last_checked_at=OLD)

        prune()

        assert is_left(watched, state) == [True, True]

    def test_is_gone_after_the_first_of_two(self) -> None:
        ran()
        prune()

        assert set(prune().values()) == {0}


class TestExecutions:
    def test_that_run_stay(self) -> None:
        running = ran(status="Running", finished_at=None)

        prune()

        assert is_left(running) == [True]

    @pytest.mark.parametrize("status", ["Pending", "Queued", "Cancelled", "Invalidated", "Stopped"])
    def test_that_do_not_run_go_whatever_became_of_them(self, status: str) -> None:
        ran(status=status, started_at=None, finished_at=None)

        assert prune()["executions"] == 1

    def test_that_an_open_event_names_stay(self) -> None:
        named, other = ran(), ran()
        event(None, task_id=named.task_id)
        event(OLD, task_id=other.task_id)

        prune()

        assert is_left(named, other) == [True, False]

    @pytest.mark.parametrize(
        "time", ["submitted_at", "first_started_at", "started_at", "finished_at", "last_update"]
    )
    def test_to_which_something_happened_lately_stay(self, time: str) -> None:
        lately = ran(**{"first_started_at": OLD} | {time: ago(days=1)})

        prune()

        assert is_left(lately) == [True]

    def test_behind_many_that_waited_long_go_as_well(self) -> None:
        """A countdown of months: the rows came early, and are still young."""
        BackgroundTask.objects.bulk_create(
            BackgroundTask(
                task_id=f"waited-{number}", task_name="sync", submitted_at=OLD, last_update=NOW
            )
            for number in range(pruning.SLICE + 1)
        )
        old = ran()

        prune()

        assert is_left(old) == [False]

    def test_are_not_all_read_when_only_the_first_are_old(
        self, django_assert_num_queries: Any
    ) -> None:
        ran()
        BackgroundTask.objects.bulk_create(
            BackgroundTask(task_id=f"young-{number}", task_name="sync", last_update=NOW)
            for number in range(3 * pruning.SLICE)
        )
        target = next(retention._executions(90, NOW))

        with django_assert_num_queries(2):
            assert pruning.count(target) == 1


class TestTheLongestLookback:
    """Executions stay while a rule in force may look at them."""

    def kept(self, old: float, *, hours: float = 0) -> bool:
        """Say whether an execution of so many hours ago, and a day more, outlives a prune."""
        row = ran(NOW - timedelta(hours=old) - LATE + timedelta(seconds=hours))
        prune()
        return is_left(row)[0]

    @pytest.fixture(autouse=True)
    def _one_day(self, days: Callable[..., None]) -> None:
        days(executions=1)

    def test_of_no_rule_is_a_day_for_late_checks(self) -> None:
        assert self.kept(0)
        assert not self.kept(0.1)

    def test_of_an_enabled_rule_counts(self) -> None:
        rule("other", lookback_hours=170)

        assert self.kept(170)
        assert not self.kept(170.1)

    def test_of_a_disabled_rule_does_not(self) -> None:
        rule("other", lookback_hours=170, enabled=False)

        assert not self.kept(100)

    def test_is_longer_by_the_longest_runtime(self) -> None:
        rule("one", lookback_hours=24)
        rule("other", lookback_hours=1, max_runtime_minutes=120)

        assert self.kept(26)
        assert not self.kept(26.1)

    def periodic(self, args: object, *, enabled: bool = True) -> None:
        schedule, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
        text = args if isinstance(args, str) else json.dumps(args)
        PeriodicTask.objects.bulk_create(
            [
                PeriodicTask(
                    name=f"periodic-{next(_ids)}",
                    task="monitor_task_status",
                    interval=schedule,
                    args=text,
                    enabled=enabled,
                )
            ]
        )

    ENTRY = {"sync": {"expected_statuses": ["Completed"], "lookback_hours": 170}}

    def test_of_the_arguments_of_a_periodic_task_counts(self) -> None:
        self.periodic([self.ENTRY])

        assert self.kept(170)
        assert not self.kept(170.1)

    def test_of_a_disabled_periodic_task_does_not(self) -> None:
        self.periodic([self.ENTRY], enabled=False)

        assert not self.kept(100)

    @pytest.mark.parametrize("args", ["null", "not JSON", "7", '["x"]', '[{"sync": 7}]', ""])
    def test_of_arguments_that_nobody_can_read_does_not(self, args: str) -> None:
        self.periodic(args)

        assert not self.kept(100)

    def test_of_an_absurd_rule_breaks_nothing(self) -> None:
        MonitorRule.objects.create(name="x", task_name="x", max_runtime_minutes=1e300)

        assert self.kept(170)


@pytest.mark.parametrize("source", [HOST, JOBS, RESULTS], ids=["host", "jobs", "results"])
class TestAnotherTaskLog:
    @pytest.fixture(autouse=True)
    def _theirs(self, source: Source, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the log be somebody else's."""
        settings.MONITORING = settings.MONITORING | source.settings
        monkeypatch.setattr(log, "source", source)

    def stored(self, at: datetime = OLD, status: str = "Completed", **columns: Any) -> Any:
        finished = None if status == "Running" else at
        values = {"started": at, "submitted_at": at, "finished_at": finished}
        return execution("theirs", status, **(values | columns))

    def test_is_left_alone(self, source: Source) -> None:
        self.stored()

        assert prune()["executions"] == 0
        assert source.model.objects.count() == 1

    def test_is_pruned_if_the_settings_allow_it(self, source: Source, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"PRUNE_TASK_LOG": True}
        self.stored(task_id="task-700001")
        event(None, task_id="task-700001")
        self.stored()
        kept = [self.stored(status="Running"), self.stored(ago(days=1))]

        assert prune()["executions"] == 1
        assert source.model.objects.filter(pk__in=[row.pk for row in kept]).count() == 2
        assert source.model.objects.count() == 3

    def test_does_not_keep_what_our_own_still_holds(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "source", OWN)
        ran()

        assert prune()["executions"] == 1


class TestMessages:
    @pytest.mark.parametrize("state", ["pending", "sending"])
    def test_that_are_owed_stay_with_all_of_their_event(self, state: str) -> None:
        found = event()
        rows = [message(found), message(found, state=state), message(None, state=state)]

        prune()

        assert is_left(found, *rows) == [True] * 4

    @pytest.mark.parametrize("state", ["sent", "failed", "suppressed"])
    def test_that_are_done_with_go(self, state: str) -> None:
        row = message(event(), state=state)

        assert prune()["messages"] == 1
        assert is_left(row) == [False]

    def test_of_an_open_event_stay(self) -> None:
        row = message(event(None))

        prune()

        assert is_left(row) == [True]

    def test_that_an_owed_one_stands_in_for_stay(self) -> None:
        failed = message(state="failed")
        message(state="pending", stands_in_for=failed)

        prune()

        assert is_left(failed) == [True]

    def test_that_others_stood_in_for_go(self) -> None:
        failed = message(state="failed")
        young = message(at=NOW, stands_in_for=failed)

        assert prune()["messages"] == 1
        young.refresh_from_db()
        assert young.stands_in_for is None

    def test_that_a_digest_still_owed_says_stay(self) -> None:
        digest = message(state="pending", is_digest=True)
        found = event()
        member = message(found, digest=digest)

        prune()

        assert is_left(digest, member, found) == [True] * 3

    @pytest.mark.parametrize("needed", ["owed", "of an open event"])
    def test_a_digest_stays_for_a_member_that_is(self, needed: str) -> None:
        digest = message(is_digest=True)
        member = (
            message(event(), state="pending", digest=digest)
            if needed == "owed"
            else message(event(None), digest=digest)
        )

        prune()

        member.refresh_from_db()
        assert member.digest == digest

    def test_a_digest_goes_with_all_that_it_said(self) -> None:
        digest = message(is_digest=True)
        for _ in range(30):
            message(event(), digest=digest)

        assert prune()["messages"] == 31

    def test_a_young_member_outlives_its_digest(self) -> None:
        digest = message(is_digest=True)
        member = message(event(NOW), at=NOW, digest=digest)

        assert prune()["messages"] == 1
        member.refresh_from_db()
        assert (member.digest, member.state) == (None, "sent")


class TestEvents:
    def test_that_are_open_stay(self) -> None:
        found = event(None)

        prune()

        assert is_left(found) == [True]

    def test_stay_as_long_as_any_of_their_messages(self, days: Callable[..., None]) -> None:
        days(events=30, messages=None)
        found = event()
        message(found)

        assert prune()["events"] == 0
        days(events=30, messages=30)
        assert prune()["events"] == 1

    def test_that_an_open_one_waits_for_stay(self) -> None:
        upstream = event()
        event(None, upstream=upstream)

        prune()

        assert is_left(upstream) == [True]

    def test_that_another_has_waited_for_go(self) -> None:
        upstream = event()
        young = event(NOW, upstream=upstream)

        assert prune()["events"] == 1
        young.refresh_from_db()
        assert young.upstream is None

    def test_that_were_open_until_lately_stay(self) -> None:
        found = event(ago(days=1), opened_at=OLD)

        prune()

        assert is_left(found) == [True]


class TestChecks:
    def test_the_last_fifty_of_the_same_rules_stay(self) -> None:
        check(OLD - timedelta(days=1), identity="first")
        rows = checks(EARLIER_CHECKS + 3)
        others = checks(EARLIER_CHECKS, identity="others")

        assert prune()["runs"] == 3
        assert is_left(*rows[:4]) == [False, False, False, True]
        assert all(is_left(*others))

    def test_that_failed_do_not_count_among_those_that_ended_well(self) -> None:
        check(OLD - timedelta(days=1), identity="first")
        complete = checks(EARLIER_CHECKS)
        checks(EARLIER_CHECKS + 2, state="failed")

        assert prune()["runs"] == 2
        assert all(is_left(*complete))

    def test_of_a_clock_gone_wrong_do_not_count(self) -> None:
        check(OLD - timedelta(days=1), identity="first")
        rows = checks(EARLIER_CHECKS)
        check(NOW + timedelta(days=9))

        assert prune()["runs"] == 0
        assert all(is_left(*rows))

    def test_the_very_first_stays(self) -> None:
        """Since then it is known what ran."""
        rows = checks(EARLIER_CHECKS + 2)

        assert prune()["runs"] == 1
        assert is_left(*rows[:3]) == [True, False, True]

    def test_that_go_on_stay(self) -> None:
        check(OLD - timedelta(days=1), identity="first")
        going = check(OLD - timedelta(hours=1), state="running", lease="all")
        checks(EARLIER_CHECKS, state="running")

        assert prune()["runs"] == 0
        assert is_left(going) == [True]

    def test_that_owe_messages_stay(self) -> None:
        check(OLD - timedelta(days=1), identity="first")
        rows = checks(EARLIER_CHECKS + 2)
        message(state="pending", run=rows[0])
        said = message(at=NOW, run=rows[1])

        assert prune()["runs"] == 1
        assert is_left(*rows[:2]) == [True, False]
        said.refresh_from_db()
        assert said.run is None


class TestABatch:
    def fill(self, number: int) -> None:
        """Store as much of everything, all of it old and much of it tied to the rest."""
        first = check(OLD - timedelta(days=1), identity="first")
        runs = checks(EARLIER_CHECKS + number)
        events = [event() for _ in range(number)]
        for one in events[1:]:
            AlertEvent.objects.filter(pk=one.pk).update(upstream=events[0])
        digest = message(is_digest=True, run=first)
        for one, run in zip(events, runs, strict=False):
            failed = message(one, state="failed", digest=digest, run=run)
            message(one, stands_in_for=failed, run=run)
            message(at=NOW, run=run)
        BackgroundTask.objects.bulk_create(
            BackgroundTask(task_id=f"task-{next(_ids)}-{number}", task_name="sync", last_update=OLD)
            for _ in range(number)
        )

    def queries(self) -> int:
        with CaptureQueriesContext(connection) as captured:
            retention.prune(NOW)
        return len(captured)

    def test_costs_as_many_statements_however_large_it_is(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pruning, "FIRST_BATCH", 1000)
        monkeypatch.setattr(pruning, "next_size", lambda size, seconds: size)
        self.fill(3)
        few = self.queries()
        self.fill(200)

        many = self.queries()

        assert MonitorRun.objects.count() == EARLIER_CHECKS + 1 + 1
        assert Notification.objects.filter(created_at__lt=NOW).count() == 0
        assert AlertEvent.objects.count() == BackgroundTask.objects.count() == 0
        assert many == few

    def test_is_followed_by_others_until_all_is_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pruning, "FIRST_BATCH", 7)
        monkeypatch.setattr(pruning, "SLICE", 20)
        monkeypatch.setattr(pruning, "next_size", lambda size, seconds: size)
        self.fill(50)

        done = prune()

        assert done == {
            "messages": 101,
            "events": 50,
            "runs": 50,
            "executions": 50,
            "workers": 0,
        }

    def test_that_took_long_is_followed_by_a_smaller_one(self) -> None:
        pace = Pace(None)

        def work() -> int:
            pace_time[0] += 1
            return 1

        pace_time = [0]
        first = pace.size
        with pytest.MonkeyPatch.context() as patch:
            ticks = iter([0.0, 1.0])
            patch.setattr("monitoring.pruning.time.monotonic", lambda: next(ticks))
            assert pace.write(work) == 1

        assert pace.size < first
        assert pace.longest == 1

    def test_begins_only_while_there_is_time(self) -> None:
        rows = [ran() for _ in range(5)]

        done, is_all = retention.prune(NOW, seconds=-1)

        assert (done["executions"], is_all) == (0, False)
        assert all(is_left(*rows))

    def test_leaves_a_row_that_was_claimed_since_it_was_read(self) -> None:
        """An execution that was taken for old runs again."""
        row = ran()

        def run_again(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("DELETE") and "backgroundtask" in sql:
                with connection.cursor() as cursor:
                    cursor.cursor.execute(
                        f"UPDATE {BackgroundTask._meta.db_table} SET status = 'Running'"
                    )
            return execute(sql, *rest)

        with connection.execute_wrapper(run_again):
            done, _ = retention.prune(NOW)

        assert done["executions"] == 0
        assert is_left(row) == [True]
