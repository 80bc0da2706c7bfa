"""A check costs the same number of queries however many rules and rows there are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Concat
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.causes.known import MOST_STRANGERS
from monitoring.checker import run_check
from monitoring.core.arguments import parse_arguments
from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    WorkerHeartbeat,
)
from monitoring.reports import Report
from monitoring.rulesets import select
from tests.factories import NOW, ago
from tests.gap.models import CollectorSession, IngestorSession

pytestmark = pytest.mark.django_db

FEW, MANY = 10, 900


@pytest.fixture(autouse=True)
def _no_digests(settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | {"DIGEST_ABOVE": 10_000}


# Each transaction counts two more here, because the test's own makes it a savepoint. A quarter
# are the facts that probable causes rest on.
MOST_QUERIES = 71


def names(count: int) -> list[str]:
    return [f"task-{number:04}" for number in range(count)]


def fails(number: int) -> bool:
    """Say whether the task of that number is one of the ten per cent that fail."""
    return number % 10 == 3


def fill_log(count: int, *, context_ids: list[str] | None = None, is_fine: bool = False) -> None:
    """Store three executions of each task, inside and outside of its window."""
    rows = [
        BackgroundTask(
            task_id=f"{name}-{age}",
            task_name=name,
            status="Stopped" if fails(number) and not is_fine else "Completed",
            submitted_at=ago(minutes=age),
            started_at=ago(minutes=age),
            first_started_at=ago(minutes=age),
            context_id=context_ids[number] if context_ids else "",
        )
        for number, name in enumerate(names(count))
        for age in (50, 300, 20)
    ]
    rows.append(BackgroundTask(task_id="old", task_name="old", submitted_at=ago(days=60)))
    BackgroundTask.objects.bulk_create(rows, batch_size=500)


def store_rules(count: int, **fields: Any) -> None:
    values = {"created_at": ago(days=30), "notify_to": ["ops@example.com"]} | fields
    MonitorRule.objects.bulk_create(
        [MonitorRule(name=name, task_name=name, **values) for name in names(count)], batch_size=500
    )


def check(args: list[Any] | None = None, minutes: int = 0) -> tuple[int, Report]:
    """Check and return how many queries that took."""
    arguments = parse_arguments(args or [], {})
    with CaptureQueriesContext(connection) as queries:
        report = run_check(select(arguments), NOW + timedelta(minutes=minutes))
    return len(queries), report


def all_fine(count: int) -> int:
    fill_log(count, is_fine=True)
    store_rules(count)
    check()

    queries, report = check(minutes=5)

    assert report.counts["ok"] == count
    return queries


def first_check(count: int) -> int:
    fill_log(count, is_fine=True)
    store_rules(count)

    queries, report = check()

    assert report.counts["ok"] == count
    return queries


def some_failing(count: int) -> int:
    fill_log(count)
    store_rules(count)

    queries, report = check()

    assert report.counts["failing"] == len(report.messages) == count // 10
    assert AlertEvent.objects.open().count() == Notification.objects.count() == count // 10
    return queries


def some_still_failing(count: int) -> int:
    fill_log(count)
    store_rules(count, remind_hours=0)
    check()

    queries, report = check(minutes=5)

    assert report.counts["failing"] == len(report.messages) == count // 10
    return queries


def some_still_failing_without_a_cause(count: int) -> int:
    fill_log(count)
    store_rules(count)
    check()

    queries, report = check(minutes=5)

    assert report.counts["failing"] == count // 10
    assert not report.messages
    return queries


def some_recovering(count: int) -> int:
    fill_log(count)
    store_rules(count)
    check()
    BackgroundTask.objects.update(status="Completed")

    queries, report = check(minutes=5)

    assert report.counts["ok"] == count
    assert len(report.messages) == count // 10
    return queries


def json_arguments(count: int) -> int:
    fill_log(count)
    entry = {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}
    config = dict.fromkeys(names(count), entry)
    check([config])

    queries, report = check([config], minutes=5)

    assert report.counts["failing"] == len(report.messages) == count // 10
    return queries


def with_contexts(count: int) -> int:
    for model in (IngestorSession, CollectorSession):
        model.objects.bulk_create(
            [model(pk=number + 1, ingestor_type=f"type-{number % 7}") for number in range(count)]
        )
    fill_log(count, context_ids=[str(number + 1) for number in range(count)])
    store_rules(count)
    half = names(count)[: count // 2]
    for model, chosen in (("Ingestor", True), ("Collector", False)):
        rows = MonitorRule.objects.all()
        rows = rows.filter(name__in=half) if chosen else rows.exclude(name__in=half)
        for number in range(7):
            rows.filter(name__in=names(count)[number::7]).update(
                context_model=f"gap.{model}Session", context_type=f"type-{number}"
            )

    queries, report = check()

    assert report.counts["failing"] == len(report.messages) == count // 10
    return queries


def with_everything(count: int) -> int:
    """Rules that wait, limit the runtime, expect Queued; executions that run, wait, lie ahead."""
    fill_log(count)
    store_rules(count, max_runtime_minutes=30, expected_statuses=["Completed", "Queued"])
    rows = [
        BackgroundTask(
            task_id=f"{kind}-{name}",
            task_name=name,
            status=kind,
            submitted_at=ago(minutes=1),
            started_at={"Running": ago(minutes=1), "Completed": ago(days=-1)}.get(kind),
        )
        for name in names(count)
        for kind in ("Running", "Queued", "Completed")
    ]
    BackgroundTask.objects.bulk_create(rows, batch_size=500)

    queries, report = check()

    assert report.counts["checked"] == count
    return queries


def with_contexts_thresholds_and_failures(count: int) -> int:
    """Every tenth rule alerts at its second failing check, and every rule has a context type."""
    ids = [str(number + 1) for number in range(count)]
    IngestorSession.objects.bulk_create(
        [IngestorSession(pk=int(pk), ingestor_type="files") for pk in ids]
    )
    fill_log(count, context_ids=ids)
    store_rules(
        count,
        alert_after=2,
        max_runtime_minutes=30,
        context_model="gap.IngestorSession",
        context_type="files",
    )
    check()
    assert not AlertEvent.objects.exists()

    queries, report = check(minutes=5)

    assert report.counts["failing"] == len(report.messages) == count // 10
    assert AlertEvent.objects.open().count() == Notification.objects.count() == count // 10
    return queries


def with_measures(count: int) -> int:
    """Every rule limits durations and wants successes, half of them of a context type."""
    ids = [str(number + 1) for number in range(count)]
    IngestorSession.objects.bulk_create(
        [IngestorSession(pk=int(pk), ingestor_type="files") for pk in ids]
    )
    fill_log(count, context_ids=ids, is_fine=True)
    BackgroundTask.objects.update(finished_at=NOW)
    store_rules(count, max_duration_factor=2, min_success_rate=90)
    MonitorRule.objects.filter(name__in=names(count)[::2]).update(
        context_model="gap.IngestorSession", context_type="files"
    )
    check()

    queries, report = check(minutes=5)

    assert report.counts["ok"] == count
    return queries


def with_every_clue(count: int) -> int:
    """Nothing ran: messages wait or were dropped, periodic tasks are disabled, beat is silent."""
    store_rules(count)
    rows = [
        BackgroundTask(
            task_id=f"{status}-{name}",
            task_name=name,
            status=status,
            submitted_at=ago(minutes=minutes),
            started_at=ago(minutes=minutes) if minutes > 60 else None,
            queue=f"queue-{number % 7}",
            periodic_task_name=f"Every hour {name}" if minutes > 60 else "",
        )
        for number, name in enumerate(names(count))
        for status, minutes in (("Pending", 5), ("Cancelled", 20), ("Completed", 90))
        if minutes > 60 or number % 3
    ]
    rows.append(BackgroundTask(task_id="old", task_name="old", submitted_at=ago(days=60)))
    BackgroundTask.objects.bulk_create(rows, batch_size=500)
    WorkerHeartbeat.objects.create(
        node="w1", booted_at=ago(days=1), seen_at=ago(hours=1), queues=["queue-1"]
    )
    hour, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    PeriodicTask.objects.bulk_create(
        PeriodicTask(
            name=f"Every hour {name}",
            task=name,
            interval=hour,
            enabled=number % 2 == 0,
            last_run_at=ago(hours=3),
        )
        for number, name in enumerate(names(count))
    )
    PeriodicTask.objects.update(date_changed=ago(hours=9))

    queries, report = check()

    assert report.counts["failing"] == len(report.messages) == count
    causes = {event.cause.partition(":")[0] for event in AlertEvent.objects.all()}
    assert causes == {
        "Its periodic task is disabled",
        "Beat is silent",
        "No worker is heard that consumes its queue",
    }
    PeriodicTask.objects.all().delete()
    WorkerHeartbeat.objects.all().delete()
    return queries


def with_misspelt_names(count: int) -> int:
    fill_log(count, is_fine=True)
    store_rules(count)
    long_ago = ago(days=60)
    BackgroundTask.objects.update(
        task_name=Concat(Value("x"), "task_name"), submitted_at=long_ago, started_at=long_ago
    )

    queries, report = check()

    assert report.counts["failing"] == len(report.messages) == count
    told = AlertEvent.objects.filter(cause__startswith="Nobody knows the task")
    assert told.count() == min(count, MOST_STRANGERS)
    return queries


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(all_fine, marks=pytest.mark.matrix),
        pytest.param(first_check, marks=pytest.mark.matrix),
        pytest.param(some_failing, marks=pytest.mark.matrix),
        pytest.param(some_still_failing, marks=pytest.mark.matrix),
        pytest.param(some_recovering, marks=pytest.mark.matrix),
        pytest.param(some_still_failing_without_a_cause, marks=pytest.mark.matrix),
        json_arguments,
        pytest.param(with_contexts, marks=pytest.mark.matrix),
        with_contexts_thresholds_and_failures,
        with_everything,
        pytest.param(with_measures, marks=pytest.mark.matrix),
        pytest.param(with_every_clue, marks=pytest.mark.matrix),
        pytest.param(with_misspelt_names, marks=pytest.mark.matrix),
    ],
    ids=lambda case: case.__name__,
)
class TestTheNumberOfQueries:
    def test_of_many_rules_is_that_of_few(
        self, case: Callable[[int], int], django_assert_max_num_queries: Any
    ) -> None:
        few = case(FEW)
        for model in (Notification, AlertEvent, MonitorRule, BackgroundTask, MonitorRun):
            model.objects.all().delete()
        IngestorSession.objects.all().delete()
        CollectorSession.objects.all().delete()

        many = case(MANY)

        assert many == few
        assert many <= MOST_QUERIES


def test_a_second_batch_costs_as_much_as_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = failing_in_batches_of((40, 20), monkeypatch)

    assert one < two < 2 * one


def test_every_further_batch_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    two, four, eight = failing_in_batches_of((20, 10, 5), monkeypatch)

    assert eight - four == 2 * (four - two) > 0


def failing_in_batches_of(sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what checks of forty rules cost that all fail and have alerted."""
    fill_log(40, is_fine=True)
    store_rules(40, expected_statuses=["Stopped"])
    check()
    counted = []
    for minute, size in enumerate(sizes, 1):
        monkeypatch.setattr("monitoring.rulesets.BATCH_SIZE", size)
        queries, report = check(minutes=minute)
        assert report.counts["failing"] == 40
        counted.append(queries)
    return counted


def test_a_check_of_nothing_costs_next_to_nothing() -> None:
    queries, _ = check()

    assert queries <= 31


def test_a_storm_costs_a_few_queries_more_for_each_recipient(settings: Any) -> None:
    fill_log(MANY)
    store_rules(MANY)
    counted = []
    for minutes, above in ((0, 10_000), (5, 10_000), (10, 10)):
        for model in (Notification, AlertEvent):
            model.objects.all().delete()
        settings.MONITORING = settings.MONITORING | {"DIGEST_ABOVE": above}
        counted.append(check(minutes=minutes)[0])
    _, alone, with_digest = counted

    assert Notification.objects.filter(digest__isnull=False).count() == MANY // 10
    assert with_digest <= alone + 4
