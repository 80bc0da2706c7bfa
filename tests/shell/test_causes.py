"""The probable cause in events and mails, from what the databases hold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMultiAlternatives
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from monitoring import causes, doors, periodic_tasks, workers
from monitoring.core.values import ContextFilter, Rule, Verdict, VerdictKind
from monitoring.models import AlertEvent, WorkerHeartbeat
from monitoring.runs import Request
from tests.factories import NOW, ago, execution, rule, superuser
from tests.gap.models import IngestorSession
from tests.shell.conftest import Monitor
from tests.sources import Source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("old_log", "clock")]

Mailbox = list[EmailMultiAlternatives]


@pytest.fixture(autouse=True)
def _somebody_to_tell(db: None) -> None:
    superuser()


@pytest.fixture
def cause(monitor: Monitor) -> Callable[[], str]:
    """Check, and return the cause of the one open event."""

    def check() -> str:
        monitor()
        return AlertEvent.objects.open().get(rule__isnull=False).cause

    return check


def unstarted(task_name: str, status: str = "Pending", minutes: float = 10, **columns: Any) -> Any:
    values = {"started_at": None, "submitted_at": ago(minutes=minutes), "queue": "reports"}
    return execution(task_name, status, **(values | columns))


def periodic(name: str = "Hourly sync", task: str = "sync", **columns: Any) -> PeriodicTask:
    """Store an hourly periodic task that was last changed a day ago."""
    hour, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    values = {"name": name, "task": task, "interval": hour, "last_run_at": ago(minutes=30)}
    row = PeriodicTask.objects.create(**(values | columns))
    PeriodicTask.objects.update(date_changed=ago(days=1))
    return row


def worker(node: str = "w1@host", seen: datetime | None = None, **columns: Any) -> None:
    values = {"booted_at": ago(days=1), "seen_at": seen or ago(minutes=1)}
    WorkerHeartbeat.objects.create(node=node, **(values | columns))


def past_runs(task_name: str, *statuses: str, error: str = "") -> None:
    for hours, status in enumerate(statuses, start=1):
        at = ago(hours=hours)
        execution(
            task_name, status, started=at, finished_at=at + timedelta(minutes=3), errors=error
        )


class TestWhatTheLogTells:
    def test_of_an_exception(self, cause: Any, mailoutbox: Mailbox) -> None:
        rule("sync", notify_to=["ops@example.com"])
        past_runs("sync", "Stopped", "Stopped", "Completed", error="OSError: disk 1 is <full>")
        execution("sync", "Stopped", errors="OSError: disk 2 is <full>")

        text = (
            "It raised OSError: disk 2 is <full>; same error as the last 2 failures, first seen "
            "at 2026-03-10 10:00:00 UTC"
        )
        assert cause() == text
        (mail,) = mailoutbox
        assert f"Probable cause: {text}" in " ".join(mail.body.split())
        html = str(mail.alternatives[0][0])
        assert "Probable cause" in html
        assert "disk 2 is &lt;full&gt;; same error" in html

    def test_of_a_lost_worker(self, cause: Any) -> None:
        rule("sync")
        execution("sync", "Running", started=ago(minutes=50), worker="w1@host", position=3)
        worker(seen=ago(minutes=40))

        assert cause() == (
            "Its worker was lost: began at 2026-03-10 11:10:00 UTC, and the worker was last heard "
            "at 2026-03-10 11:20:00 UTC (on w1@host)"
        )

    def test_of_a_task_that_runs_longer_than_usual(self, cause: Any) -> None:
        rule("sync", max_runtime_minutes=10)
        past_runs("sync", "Completed", "Completed", "Completed")
        execution("sync", "Running", started=ago(minutes=50))

        assert cause() == (
            "It still runs: for 50 min now, since 2026-03-10 11:10:00 UTC; it usually takes 3 min"
        )

    def test_of_a_worker_that_does_not_know_the_task(self, cause: Any) -> None:
        rule("sync")
        error = "NotRegistered: the worker w1@host knows no task named sync"
        unstarted("sync", "Stopped", errors=error, worker="w1@host", finished_at=ago(minutes=3))

        assert cause().startswith("The worker does not know the task: w1@host refused it at")

    def test_of_a_message_that_expired(self, cause: Any) -> None:
        rule("sync")
        periodic(expire_seconds=120)
        unstarted(
            "sync",
            "Cancelled",
            errors="expired",
            finished_at=ago(minutes=3),
            periodic_task_name="Hourly sync",
        )

        assert cause() == (
            "Its message expired before a worker took it: sent at 2026-03-10 11:50:00 UTC; dropped "
            "at 2026-03-10 11:57:00 UTC; the periodic task “Hourly sync” gives it 2 min"
        )

    def test_of_a_queue_that_no_known_worker_consumes(self, cause: Any) -> None:
        rule("sync")
        unstarted("sync")
        worker(queues=["celery"])

        assert cause() == (
            "No worker is heard that consumes its queue: sent at 2026-03-10 11:50:00 UTC to "
            "“reports”; the only worker heard of takes no tasks from there"
        )

    def test_of_others_that_wait_before_it(self, cause: Any) -> None:
        rule("sync")
        for minutes in (30, 20, 15):
            unstarted("other", minutes=minutes)
        unstarted("other", minutes=20, queue="elsewhere")
        unstarted("sync", minutes=10)
        unstarted("other", minutes=5)
        unstarted("other", minutes=3000)
        execution("other", "Running", queue="reports")
        execution("other", "Running", queue="elsewhere")
        worker(queues=["reports"])

        assert cause() == (
            "It waits in the queue: sent at 2026-03-10 11:50:00 UTC to “reports”; behind 3 others "
            "that wait; 1 execution of this queue runs"
        )

    def test_nothing_of_a_queue_that_is_not_known(self, cause: Any) -> None:
        rule("sync")
        unstarted("other", minutes=20, queue="")
        execution("other", "Running")
        unstarted("sync", queue="")

        assert cause() == "It waits in the queue: sent at 2026-03-10 11:50:00 UTC"

    def test_of_the_newest_message_only(self, cause: Any) -> None:
        rule("sync")
        unstarted("sync", "Cancelled", 20, errors="revoked", finished_at=ago(minutes=5))
        unstarted("sync", minutes=10)

        assert cause().startswith("It waits in the queue: sent at 2026-03-10 11:50:00 UTC")

    @pytest.mark.parametrize(
        ("apart", "more"),
        [
            (59, "; its runs before were at most 59 min apart"),
            (80, "; is a window of 1 h too short?"),
        ],
    )
    def test_of_a_run_just_before_the_window(self, cause: Any, apart: int, more: str) -> None:
        rule("sync")
        for number in range(4):
            execution("sync", started=ago(minutes=70 + number * apart))

        assert cause() == (
            f"It ran before the window began: at 2026-03-10 10:50:00 UTC, 10 min before it{more}"
        )

    @pytest.mark.parametrize(
        ("context_id", "was_for"), [("2", "“B”"), ("", "nothing that is known")]
    )
    def test_of_a_run_in_another_context(self, cause: Any, context_id: str, was_for: str) -> None:
        IngestorSession.objects.create(pk=1, ingestor_type="A")
        IngestorSession.objects.create(pk=2, ingestor_type="B")
        rule("sync", context_model="gap.IngestorSession", context_type="A")
        execution("sync", started=ago(hours=2), context_id="1")
        execution("sync", context_id=context_id)

        assert cause() == (
            "It ran, but in another context: its run of 2026-03-10 11:55:00 UTC (Completed) was "
            f"for {was_for}, not for “A”"
        )

    @pytest.mark.parametrize(("context_id", "waits"), [("1", True), ("2", False), ("", False)])
    def test_of_a_message_only_if_it_is_for_the_context(
        self, cause: Any, context_id: str, waits: bool
    ) -> None:
        IngestorSession.objects.create(pk=1, ingestor_type="A")
        IngestorSession.objects.create(pk=2, ingestor_type="B")
        rule("sync", context_model="gap.IngestorSession", context_type="A")
        unstarted("sync", context_id=context_id)

        assert cause().startswith("It waits in the queue") is waits


MISSED = "It has missed its schedule: it last ran at 2026-03-10 07:00:00 UTC"
BEFORE = "It ran before the window began: at 2026-03-10 07:00:00 UTC, 2 h before it"
AT_NIGHT = {"interval": None, "crontab": {"hour": "3", "minute": "0"}}
AT_NINE = {"interval": None, "crontab": {"hour": "9", "minute": "0"}}
PLANS = pytest.mark.parametrize(
    ("columns", "changed", "text"),
    [
        ({}, 1500, f"{MISSED}; 5 runs were due since"),
        (AT_NINE, 1500, f"{MISSED}; 1 run was due since"),
        # Beat has saved the row three minutes after it has sent the task.
        (
            {"last_run_at": ago(minutes=33)},
            30,
            f"{MISSED}; 5 runs were due since",
        ),
        ({"last_run_at": ago(minutes=90)}, 30, BEFORE),
        (AT_NIGHT, 1500, f"{BEFORE}; is a window of 3 h too short?"),
    ],
    ids=["an interval", "a crontab", "noted since", "changed since", "not due since"],
)


class TestWhatBeatsTablesTell:
    def test_of_a_periodic_task_that_is_disabled(self, cause: Any) -> None:
        rule("sync")
        periodic(enabled=False)
        execution("sync", started=ago(hours=30), periodic_task_name="Hourly sync")

        assert cause() == (
            "Its periodic task is disabled: “Hourly sync”, last changed at 2026-03-09 12:00:00 UTC"
        )

    def test_of_one_that_was_deleted(self, cause: Any) -> None:
        rule("sync")
        execution("sync", started=ago(hours=3), periodic_task_name="Hourly sync")

        assert cause() == (
            "Its periodic task was deleted or renamed: “Hourly sync” sent its run of 2026-03-10 "
            "09:00:00 UTC; none of that name is left, and no other sends this task"
        )

    def test_of_one_that_sends_another_task_now(self, cause: Any) -> None:
        rule("sync")
        periodic(task="other")
        execution("sync", started=ago(hours=3), periodic_task_name="Hourly sync")

        assert cause().startswith("Its periodic task sends another task: “Hourly sync” sent")

    def test_of_a_silent_beat(self, cause: Any) -> None:
        rule("sync")
        periodic(last_run_at=ago(hours=5))

        assert cause() == (
            "Beat is silent: no periodic task is known to have been sent since 2026-03-10 07:00:00 "
            "UTC, and one was due at 2026-03-10 08:00:00 UTC"
        )

    def test_of_a_beat_that_the_log_has_heard_since(self, cause: Any) -> None:
        rule("sync")
        periodic(last_run_at=ago(hours=5))
        execution("other", started=ago(minutes=10), periodic_task_name="Another")

        assert cause() == ""

    def test_of_a_beat_that_asks_for_the_check_itself(self, db: None) -> None:
        rule("sync")
        periodic(last_run_at=ago(hours=5))

        doors.check([], {}, request=Request(task_id="x", periodic_task="Check"))

        assert AlertEvent.objects.get().cause == ""

    @PLANS
    def test_of_how_often_a_task_was_due_since_its_last_run(
        self, cause: Any, columns: dict[str, Any], changed: float, text: str
    ) -> None:
        rule("sync", lookback_hours=3)
        if "crontab" in columns:
            columns = columns | {"crontab": CrontabSchedule.objects.create(**columns["crontab"])}
        periodic(**columns)
        PeriodicTask.objects.update(date_changed=ago(minutes=changed))
        execution("sync", started=ago(hours=5), periodic_task_name="Hourly sync")

        assert cause() == text

    @pytest.mark.parametrize(
        ("columns", "due"),
        [
            ({}, ago(hours=4)),
            ({"interval": None, "crontab": {"hour": "9", "minute": "30"}}, ago(hours=2.5)),
            ({"one_off": True}, None),
            ({"enabled": False}, None),
            ({"expires": ago(hours=1)}, None),
            ({"start_time": ago(hours=1)}, None),
        ],
    )
    def test_of_when_something_was_due(self, columns: dict[str, Any], due: datetime | None) -> None:
        if "crontab" in columns:
            columns["crontab"] = CrontabSchedule.objects.create(**columns["crontab"])
        periodic(**columns)

        PeriodicTask.objects.update(last_run_at=ago(hours=5))
        beat = periodic_tasks.look_at_beat(ago(hours=5), NOW)

        assert (beat and beat.due_at) == due

    def test_of_missed_runs_while_beat_may_still_be_on_time(self, cause: Any) -> None:
        rule("sync", lookback_hours=3 / 60)
        often = IntervalSchedule.objects.create(every=20, period="seconds")
        last = NOW - timedelta(minutes=3, seconds=23)
        periodic(interval=often, last_run_at=last)
        execution("sync", started=last, periodic_task_name="Hourly sync")

        assert cause() == (
            "It has missed its schedule: it last ran at 2026-03-10 11:56:37 UTC; 10 runs were due "
            "since"
        )

    def test_of_a_schedule_only_from_its_last_change_on(self) -> None:
        periodic(last_run_at=ago(hours=5))
        PeriodicTask.objects.update(date_changed=ago(minutes=20))

        beat = periodic_tasks.look_at_beat(None, NOW)

        assert beat is not None
        assert beat.due_at == ago(minutes=-40)

    def test_nothing_of_a_beat_that_never_sent_anything(self) -> None:
        periodic(last_run_at=None)

        assert periodic_tasks.look_at_beat(None, NOW) is None


class TestATaskThatNobodyKnows:
    def test_is_told_with_the_nearest_name(self, cause: Any) -> None:
        rule("nightly_snyc")
        execution("nightly_sync", started=ago(hours=3))

        assert cause() == (
            'Nobody knows the task: no task "nightly_snyc" is in the code, scheduled, or has ever '
            'run (did you mean "nightly_sync"?)'
        )

    def test_is_none_that_the_code_has(self, cause: Any) -> None:
        rule("monitor_task_status")

        assert cause() == ""

    def test_is_none_that_ran_for_another_context(self, cause: Any) -> None:
        rule("sync", context_model="gap.IngestorSession", context_type="A")
        execution("sync", started=ago(hours=3))

        assert cause() == ""

    def test_is_looked_for_only_where_nothing_else_was_found(self, monitor: Monitor) -> None:
        rule("sync")
        unstarted("sync")

        with CaptureQueriesContext(connection) as queries:
            monitor()

        assert "RECURSIVE seen" not in "".join(query["sql"] for query in queries)


class TestTheEvent:
    def test_keeps_its_cause_while_it_fails_in_the_same_way(
        self, cause: Any, clock: time_machine.Traveller
    ) -> None:
        rule("sync", remind_hours=0)
        execution("sync", started=ago(days=2))
        waiting = unstarted("sync")
        first = cause()
        waiting.delete()
        clock.shift(300)

        assert cause() == first != ""

    @pytest.mark.parametrize(("minutes", "is_found"), [(5, True), (59, True), (60, False)], ids=str)
    def test_that_has_none_gets_what_is_found_within_an_hour(
        self,
        minutes: int,
        is_found: bool,
        cause: Any,
        clock: time_machine.Traveller,
        mailoutbox: Mailbox,
    ) -> None:
        rule("snyc")
        periodic(task="snyc")
        assert cause() == ""
        error = "NotRegistered: the worker w1@host knows no task named snyc"
        unstarted("snyc", "Stopped", errors=error, worker="w1@host", finished_at=ago(minutes=-1))
        PeriodicTask.objects.update(last_run_at=ago(minutes=-minutes))
        clock.shift(minutes * 60)

        assert cause().startswith("The worker does not know the task") is is_found
        assert len(mailoutbox) == 1

    def test_that_has_one_is_not_looked_at_again(
        self, cause: Any, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rule("sync")
        unstarted("sync")
        cause()
        clock.shift(300)
        asked: list[Any] = []
        monkeypatch.setattr(causes, "find", lambda failing, *_, **__: asked.extend(failing) or {})

        cause()

        assert asked == []

    def test_gets_another_one_when_it_fails_in_another_way(
        self, cause: Any, clock: time_machine.Traveller
    ) -> None:
        rule("sync")
        unstarted("sync")
        cause()
        execution("sync", "Stopped", errors="OSError: full")
        clock.shift(300)

        assert cause() == "It raised OSError: full"

    def test_loses_it_when_it_fails_in_another_way_that_nothing_explains(
        self, cause: Any, clock: time_machine.Traveller
    ) -> None:
        rule("sync")
        unstarted("sync")
        cause()
        execution("sync", "Stopped")
        clock.shift(300)

        assert cause() == ""

    def test_of_json_arguments_has_one(self, monitor: Monitor) -> None:
        execution("sync", "Stopped", errors="OSError: full")

        monitor({"sync": {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}})

        assert AlertEvent.objects.get().cause == "It raised OSError: full"


DUE = "The task was due in this time frame but did not execute."
NOT_DUE = "The task did not execute in this time frame."


class TestTheMailOfAMissingExecution:
    @pytest.fixture
    def says(self, monitor: Monitor, mailoutbox: Mailbox) -> Callable[[str], bool]:
        def in_both_parts(sentence: str) -> bool:
            monitor()
            html = str(mailoutbox[0].alternatives[0][0])
            found = {sentence in " ".join(mailoutbox[0].body.split()), sentence in html}
            assert len(found) == 1
            return found.pop()

        return in_both_parts

    @pytest.mark.parametrize(("sentence", "is_said"), [(DUE, False), (NOT_DUE, True)])
    @pytest.mark.parametrize("what", ["disabled", "deleted", "just before", "unknown"])
    def test_does_not_say_it_was_due_where_the_cause_is_that_nothing_was(
        self, what: str, sentence: str, is_said: bool, says: Any
    ) -> None:
        rule("sync")
        if what == "disabled":
            periodic(enabled=False)
        if what == "just before":
            execution("sync", started=ago(minutes=70))
        elif what != "unknown":
            execution("sync", started=ago(hours=30), periodic_task_name="Hourly sync")

        assert says(sentence) is is_said

    @pytest.mark.parametrize(("sentence", "is_said"), [(DUE, True), (NOT_DUE, False)])
    @pytest.mark.parametrize("last_run", [ago(hours=5), ago(minutes=30)], ids=["silent", "missed"])
    def test_says_it_was_due_where_it_was(
        self, last_run: datetime, sentence: str, is_said: bool, says: Any
    ) -> None:
        rule("sync")
        periodic(last_run_at=last_run)
        execution("sync", started=ago(hours=5))

        assert says(sentence) is is_said


def test_a_digest_says_the_cause_of_each_task(
    monitor: Monitor, settings: Any, mailoutbox: Mailbox
) -> None:
    settings.MONITORING = settings.MONITORING | {"DIGEST_ABOVE": 1}
    for name in ("a", "b"):
        rule(name, notify_to=["ops@example.com"])
        execution(name, "Stopped", errors=f"OSError: <{name}> " + "x" * 300)

    monitor()

    (mail,) = mailoutbox
    html = str(mail.alternatives[0][0])
    for name in ("a", "b"):
        assert f"  Probable cause: It raised OSError: <{name}> xxx" in mail.body
        assert f"Probable cause: It raised OSError: &lt;{name}&gt; xxx" in html
    assert "x" * 160 not in mail.body


@pytest.mark.usefixtures("source")
def test_an_exception_is_compared_with_those_before_in_whichever_log(
    source: Source, cause: Any
) -> None:
    rule("sync")
    past_runs("sync", "Stopped", "Completed", error="OSError: full")
    execution("sync", "Stopped", errors="OSError: full")

    assert cause() == (
        "It raised OSError: full; same error as the last failure, first seen at "
        "2026-03-10 11:00:00 UTC"
    )


@pytest.mark.usefixtures("source")
def test_a_log_without_messages_still_knows_what_ran_too_early(source: Source, cause: Any) -> None:
    execution("heartbeat", started=ago(days=30))
    rule("sync")
    execution("sync", started=ago(minutes=70))

    assert cause().startswith("It ran before the window began")


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        ("table", "is_explained"),
        [("django_celery_beat_periodictask", True), ("monitoring_workerheartbeat", False)],
    )
    def test_costs_the_causes_that_rest_on_it_and_nothing_else(
        self,
        table: str,
        is_explained: bool,
        cause: Any,
        mailoutbox: Mailbox,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        rule("sync", notify_to=["ops@example.com"])
        worker(queues=["celery"])
        unstarted("sync")

        def refuse(execute: Any, sql: str, *rest: Any) -> Any:
            if f'FROM "{table}"' in sql.replace("`", '"'):
                raise DatabaseError("away")
            return execute(sql, *rest)

        with connection.execute_wrapper(refuse):
            text = cause()

        assert text.startswith("No worker is heard") is is_explained
        assert len(mailoutbox) == 1
        assert "facts for probable causes cannot be read" in caplog.text

    def test_may_be_a_bug_of_ours(
        self, cause: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(facts: object) -> None:
            raise KeyError("oops")

        monkeypatch.setattr(causes, "probable_cause", fail)
        rule("sync")
        unstarted("sync")

        assert cause() == ""
        assert "the cause of rule 'sync rule' cannot be told" in caplog.text

    def test_may_be_a_context_model_that_is_gone(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.ERROR)
        execution("sync", context_id="1")
        watched = Rule(
            key="k",
            task_name="sync",
            expected_statuses=(),
            context=ContextFilter(model="gap.Gone", field="", type="A"),
        )
        nothing = Verdict(VerdictKind.NO_EXECUTION, "")

        assert causes.find([(watched, nothing)], NOW) == {}
        assert "facts for probable causes cannot be read" in caplog.text


def test_what_does_not_fail_costs_no_query(django_assert_num_queries: Any) -> None:
    fine = Rule(key="k", task_name="sync", expected_statuses=())

    with django_assert_num_queries(0):
        assert causes.find([(fine, Verdict(VerdictKind.OK, "Completed"))], NOW) == {}


class TestTheQueuesOfAWorker:
    def heart(self, **queues: Any) -> Any:
        app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)))
        return SimpleNamespace(eventer=SimpleNamespace(hostname="w1@host", app=app))

    @pytest.fixture(autouse=True)
    def _has_said_nothing_yet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitoring.workers._Process.said", {})
        monkeypatch.setattr("monitoring.workers._Process.mute", set())

    def test_are_told_with_its_heartbeats(self) -> None:
        def queue(key: str, *bindings: str) -> Any:
            keys = [SimpleNamespace(routing_key=one) for one in bindings]
            return SimpleNamespace(routing_key=key, bindings=keys)

        workers.on_heartbeat_sent(
            sender=self.heart(reports=queue("reports"), feed=queue("feed.#", "old", "new"))
        )

        assert WorkerHeartbeat.objects.get().queues == ["feed", "feed.#", "new", "old", "reports"]

    def test_that_cannot_be_asked_cost_no_heartbeat(self) -> None:
        workers.on_heartbeat_sent(sender=self.heart(reports=None))

        assert WorkerHeartbeat.objects.get().queues is None
