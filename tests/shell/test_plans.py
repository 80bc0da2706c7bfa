"""No statement reads a whole large table: what PostgreSQL plans for each that really runs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context
from django.db import connection
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring import metrics, recorder, retention
from monitoring.checker import run_check
from monitoring.core.arguments import parse_arguments
from monitoring.delivery import deliver
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, MonitorRun, Notification
from monitoring.outbox import book_wakeup
from monitoring.rulesets import select
from tests.admin.conftest import client_of
from tests.admin.data import url
from tests.benchmarks import data
from tests.benchmarks.pages import PAGES
from tests.factories import NOW, ago, execution, superuser
from tests.gap.models import IngestorSession

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]

LARGE = (
    BackgroundTask._meta.db_table,
    AlertEvent._meta.db_table,
    Notification._meta.db_table,
)
RULES, EXECUTIONS, EVENTS = 200, 60_000, 30_000
MANY_RULES, MANY_EVENTS = 1_000, 100_000
"""For pages, which show some of them: a quarter of all is read faster from end to end."""
_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "(SELECT")


@contextmanager
def plans() -> Iterator[list[tuple[str, Any]]]:
    """Collect (statement, plan) of whatever is executed, planned at the moment it runs."""
    found: list[tuple[str, Any]] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(_PLANNED):
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                ((plan,),) = cursor.fetchall()
            found.append((sql, plan if isinstance(plan, list) else json.loads(plan)))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield found


def nodes(plan: Any, above: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each node of a plan, with the type of the one above it."""
    if isinstance(plan, list):
        for one in plan:
            yield from nodes(one, above)
    elif "Plan" in plan:
        yield from nodes(plan["Plan"], above)
    else:
        yield plan, above
        yield from nodes(plan.get("Plans", []), plan["Node Type"])


def whole_reads(found: list[tuple[str, Any]]) -> list[str]:
    """Return the statements that read a large table from one end to the other.

    Not those that take any rows there are and stop at a limit.
    """
    return [
        f"{node['Relation Name']}: {re.sub(r'(%s, )+', '%s, … ', sql)[-500:]}"
        for sql, plan in found
        for node, above in nodes(plan)
        if node["Node Type"] == "Seq Scan"
        and node["Relation Name"] in LARGE
        and not (above == "Limit" and "Filter" not in node)
    ]


@pytest.fixture
def filled(request: pytest.FixtureRequest) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("plans are those of PostgreSQL")
    shown = request.node.callspec.params["run"] is pages
    rules, events = (MANY_RULES, MANY_EVENTS) if shown else (RULES, EVENTS)
    data.fill(rules, EXECUTIONS)
    data.fill_history(events)
    MonitorRule.objects.filter(name__endswith="3").update(
        max_runtime_minutes=30, while_running="wait", expected_statuses=["Completed", "Queued"]
    )
    IngestorSession.objects.create(pk=7, ingestor_type="files")
    MonitorRule.objects.filter(name__endswith="5").update(
        context_model="gap.IngestorSession", context_type="files"
    )
    MonitorRule.objects.filter(name__endswith="7").update(
        max_duration_factor=100, min_success_rate=90
    )
    MonitorRule.objects.filter(name__endswith="15").update(
        max_duration_factor=100, min_success_rate=90
    )
    latest = data.newest_of_each(rules)
    failing = MonitorRule.objects.filter(name__endswith="0").values("task_name")
    latest.filter(task_name__in=failing).update(status="Stopped")
    running = MonitorRule.objects.filter(name__endswith="3").values("task_name")
    latest.filter(task_name__in=running).update(status="Running", finished_at=None)
    data.gather_statistics()
    if shown:
        check()  # so that some events are open; itself it is planned among fewer rules


def check(args: list[Any] | None = None, minutes: int = 0) -> None:
    run_check(select(parse_arguments(args or [], {})), NOW + timedelta(minutes=minutes))


def checks() -> None:
    """Open events, update them, resolve them; rules and JSON arguments."""
    tasks = MonitorRule.objects.order_by("pk").values_list("task_name", flat=True)[:20]
    entry = {"expected_statuses": ["Stopped"], "notify_to": ["a@b.example"]}
    arguments = [dict.fromkeys(tasks, entry)]
    check()
    check(minutes=5)
    data.newest_of_each(RULES).update(status="Completed")
    check(minutes=10)
    check(arguments)
    check(arguments, minutes=5)


def causes() -> None:
    """Look for why nothing ran: what waits, what never began, what beat has sent."""
    hour, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    for number in range(40):
        name = f"new_{number}"
        MonitorRule.objects.create(name=name, task_name=name, created_at=ago(days=30))
        PeriodicTask.objects.create(
            name=name, task=name, interval=hour, last_run_at=ago(hours=5), enabled=number % 2 == 0
        )
        for status, minutes in (("Pending", 10), ("Cancelled", 30)):
            execution(
                name,
                status,
                started_at=None,
                submitted_at=ago(minutes=minutes),
                queue=f"queue_{number % 3}",
            )
    check()
    assert AlertEvent.objects.filter(opened_at=NOW).exclude(cause="").count() >= 40


def recordings() -> None:
    for number in range(2):
        request = Context(
            id=f"new {number}", retries=0, delivery_info={"routing_key": "celery"}, hostname="w"
        )
        task = SimpleNamespace(name="sync", request=request)
        recorder.on_prerun(task_id=request.id, task=task, args=(), kwargs={})
        recorder.on_success(sender=task)


def delivery() -> None:
    check()
    for minutes in (10, 60):
        deliver(NOW + timedelta(minutes=minutes))
        book_wakeup(NOW + timedelta(minutes=minutes))


def pruning() -> None:
    """Delete what is old while some of it is still needed, and all of it much later."""
    check()
    for days in (10, 400):
        retention.would_prune(NOW + timedelta(days=days))
        retention.prune(NOW + timedelta(days=days))


def pages() -> None:
    client = client_of(superuser())
    for page in PAGES:
        assert page.open(client).status_code == page.answers, page.name


def exports() -> None:
    client: Client = client_of(superuser())
    for model in (AlertEvent, BackgroundTask):
        address = f"{url(model, 'export')}?task_name=team_7.jobs.task_000007"
        assert client.post(address, {"format": "0"}).status_code == 200
    assert client.get(url(MonitorRun, "changelist")).status_code == 200


def measures() -> None:
    check()
    # As if most of the log were older than what is counted.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "MOST_EXECUTIONS", EXECUTIONS // 10)
        metrics.read(NOW)


@pytest.mark.parametrize(
    "run",
    [checks, causes, recordings, delivery, pruning, pages, exports, measures],
    ids=lambda run: run.__name__,
)
@pytest.mark.usefixtures("filled")
def test_no_statement_reads_a_large_table_from_end_to_end(
    run: Callable[[], None], django_capture_on_commit_callbacks: Any
) -> None:
    with plans() as found, django_capture_on_commit_callbacks(execute=True):
        run()

    tables = Counter(table for sql, _ in found for table in LARGE if table in sql)
    assert tables
    # What is kept of messages and events hangs on other messages and events, which a deletion by
    # night looks up together.
    looked_up = LARGE[1:] if run is pruning else ()
    reads = [read for read in whole_reads(found) if not read.startswith(looked_up)]
    assert reads == [], "\n".join(reads)
