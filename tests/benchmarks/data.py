"""A task log as a busy installation has one: many tasks, a few of them most of the time.

A million executions over thirty days. Every task ran once within the last hours; beyond that the
busiest has tens of thousands of executions and the quietest a few dozen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta

from django.db import connection
from django.db.models import QuerySet
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, Notification
from tests.factories import NOW

RULES = 10_000
EXECUTIONS = 1_000_000
HISTORY = timedelta(days=30)
LOOKBACK_HOURS = 25
"""At least; longer where the newest of each task are spread over more than this."""
TEAMS = 40
"""Each has an address of its own."""
CONTEXTS = 700
"""Rows that executions were made for, one after the other."""

MINUTES = 1440
"""Of a day."""

_SERIES = {
    "postgresql": "generate_series(0, {last}::bigint) AS series(i)",
    "sqlite": (
        "(WITH RECURSIVE counted(i) AS "
        "(SELECT 0 UNION ALL SELECT i + 1 FROM counted WHERE i < {last}) "
        "SELECT i FROM counted) AS series"
    ),
    "mysql": "(SELECT CAST(seq AS SIGNED) AS i FROM seq_0_to_{last}) AS series",
}
_TASK_ID = {
    "postgresql": "lpad(i::text, 36, '0')",
    "sqlite": "printf('%%036d', i)",
    "mysql": "LPAD(i, 36, '0')",
}
_TEXT = {"postgresql": "text", "sqlite": "text", "mysql": "char"}
_SECONDS_LATER = {
    "postgresql": "timestamptz '{start}+00' + {seconds} * interval '1 second'",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', julianday('{start}') + {seconds} / 86400.0)",
    "mysql": "TIMESTAMP'{start}' + INTERVAL {seconds} SECOND",
}


def fill(rules: int = RULES, executions: int = EXECUTIONS) -> None:
    """Store rules and executions, quickly: the database makes the executions by itself.

    The last execution of every task is Completed and inside the window of its rule.
    """
    spread = HISTORY.total_seconds() / 3600 * rules / executions
    MonitorRule.objects.bulk_create(
        (
            MonitorRule(
                name=f"Rule {number:06d}",
                task_name=f"team_{number % TEAMS}.jobs.task_{number:06d}",
                lookback_hours=max(LOOKBACK_HOURS, math.ceil(spread) + 1),
                notify_to=[f"team_{number % TEAMS}@example.com"],
                created_at=NOW - 2 * HISTORY,
            )
            for number in range(rules)
        ),
        batch_size=1000,
    )
    indexes = BackgroundTask._meta.indexes
    with connection.schema_editor() as schema:
        for index in indexes:
            schema.remove_index(BackgroundTask, index)
    with connection.cursor() as cursor:
        cursor.execute(_insert_executions(rules, executions))
    with connection.schema_editor() as schema:
        for index in indexes:
            schema.add_index(BackgroundTask, index)
    gather_statistics()


def fill_schedules() -> None:
    """Schedule the task of every rule once a day, at as many times as a day has minutes."""
    crontabs = CrontabSchedule.objects.bulk_create(
        CrontabSchedule(minute=str(number % 60), hour=str(number // 60), timezone="Europe/Berlin")
        for number in range(MINUTES)
    )
    tasks = enumerate(MonitorRule.objects.order_by("pk").values_list("task_name", flat=True))
    PeriodicTask.objects.bulk_create(
        (
            PeriodicTask(name=f"Daily {number:06d}", task=task, crontab=crontabs[number % MINUTES])
            for number, task in tasks
        ),
        batch_size=500,
    )


def gather_statistics() -> None:
    """Do what PostgreSQL and MariaDB do by themselves after a while, and SQLite never does."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE" if connection.in_atomic_block else "VACUUM ANALYZE")
        elif connection.vendor == "mysql":
            for model in (BackgroundTask, AlertEvent, Notification):
                cursor.execute(f"ANALYZE TABLE {model._meta.db_table}")
                cursor.fetchall()


def fill_history(events: int) -> None:
    """Store resolved events of all rules, and one message that was sent about each."""
    with connection.cursor() as cursor:
        cursor.execute(_insert_events(MonitorRule.objects.count(), events))
        cursor.execute(_insert_messages())
    gather_statistics()


def newest_of_each(rules: int) -> QuerySet[BackgroundTask]:
    """Return the latest execution of every task: `fill` stores them last."""
    last = BackgroundTask.objects.order_by("-pk").values_list("pk", flat=True)[0]
    return BackgroundTask.objects.filter(pk__gt=last - rules)


def _insert_executions(rules: int, executions: int) -> str:
    vendor = connection.vendor
    divide = "DIV" if vendor == "mysql" else "/"
    # Whole numbers only, so that every database makes the same rows. The cube of a number that
    # looks random below a prime is small most of the time: these are the busy tasks.
    random = "(i * 7919 %% 999983)"
    skewed = f"({random} * {random} * {random} {divide} {10**18 // rules})"
    each_once = f"(i * 7919 %% {rules})"
    number = f"CASE WHEN i < {executions - rules} THEN {skewed} ELSE {each_once} END"
    seconds = f"(i * {int(HISTORY.total_seconds()) - 60} {divide} {executions})"
    columns = {
        "task_id": _TASK_ID[vendor],
        "task_name": "rule.task_name",
        "status": "'Completed'",
        "submitted_at": _later(seconds, 0),
        "started_at": _later(seconds, 1),
        "first_started_at": _later(seconds, 1),
        "finished_at": _later(seconds, 31),
        "last_update": _later(seconds, 31),
        "parameters": "''",
        "context_id": f"CAST(i %% {CONTEXTS} + 1 AS {_TEXT[vendor]})",
        "errors": "''",
        "stack_trace_errors": "''",
        "worker": "'celery@worker-1'",
        "queue": "'celery'",
        "retries": "0",
        "periodic_task_name": "''",
        "position": "5",
    }
    sql = (
        f"INSERT INTO {BackgroundTask._meta.db_table} ({', '.join(columns)}) "
        f"SELECT {', '.join(columns.values())} "
        f"FROM {_SERIES[vendor].format(last=executions - 1)} "
        f"JOIN {MonitorRule._meta.db_table} rule ON rule.id = {_first_rule()} + {number} "
        "ORDER BY i"
    )
    return sql.replace("%%", "%")


def _insert_events(rules: int, events: int) -> str:
    vendor = connection.vendor
    divide = "DIV" if vendor == "mysql" else "/"
    seconds = f"(i * {int(HISTORY.total_seconds()) - 3600} {divide} {events})"
    columns = {
        "rule_id": "rule.id",
        "rule_name": "rule.name",
        "periodic_task": "''",
        "key": "CONCAT('rule:', rule.id)" if vendor == "mysql" else "'rule:' || rule.id",
        "open_key": "NULL",
        "task_name": "rule.task_name",
        "verdict": "CASE WHEN i % 3 = 0 THEN 'no_execution' ELSE 'status_mismatch' END",
        "current_status": "'Stopped'",
        "expected_statuses": """'["Completed"]'""",
        "lookback_hours": "rule.lookback_hours",
        "dependent_tasks": "'[]'",
        "context_model": "''",
        "context_type": "''",
        "rule_settings": "'{}'",
        "task_id": _TASK_ID[vendor],
        "started_at": _later(seconds, 1),
        "opened_at": _later(seconds, 60),
        "last_checked_at": _later(seconds, 600),
        "failing_checks": "2",
        "last_message_at": _later(seconds, 60),
        "alert_owed": "false",
        "resolved_at": _later(seconds, 600),
        "resolution": "'recovered'",
        "note": "''",
        "cause": "''",
    }
    sql = (
        f"INSERT INTO {AlertEvent._meta.db_table} ({', '.join(_quoted(columns))}) "
        f"SELECT {', '.join(columns.values())} "
        f"FROM {_SERIES[vendor].format(last=events - 1)} "
        f"JOIN {MonitorRule._meta.db_table} rule ON rule.id = {_first_rule()} + i % {rules}"
    )
    return sql.replace("%%", "%")


def _insert_messages() -> str:
    columns = {
        "alert_event_id": "event.id",
        "kind": "'alert'",
        "recipient": "'ops@example.com'",
        "channel": "''",
        "subject": "'[ALERT] Status Check Failed'",
        "facts": """'{"subject": "[ALERT] Status Check Failed"}'""",
        "text_body": "'What failed, since when and what to do.'",
        "html_body": "'<p>What failed, since when and what to do.</p>'",
        "state": "'sent'",
        "suppressed_by": "''",
        "attempts": "1",
        "created_at": "event.opened_at",
        "next_attempt_at": "event.opened_at",
        "is_digest": "false",
        "claim": "''",
        "sent_at": "event.opened_at",
        "error": "''",
        "message_id": "''",
    }
    return (
        f"INSERT INTO {Notification._meta.db_table} ({', '.join(_quoted(columns))}) "
        f"SELECT {', '.join(columns.values())} FROM {AlertEvent._meta.db_table} event"
    )


def _quoted(names: Iterable[str]) -> list[str]:
    return [connection.ops.quote_name(name) for name in names]


def _later(seconds: str, more: int) -> str:
    start = f"{NOW - HISTORY:%Y-%m-%d %H:%M:%S}"
    return _SECONDS_LATER[connection.vendor].format(start=start, seconds=f"({seconds} + {more})")


def _first_rule() -> int:
    pk: int = MonitorRule.objects.order_by("pk").values_list("pk", flat=True)[0]
    return pk
