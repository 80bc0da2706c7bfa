"""A task log as a busy installation has one: many tasks, a few of them most of the time.

A million executions over thirty days. Every task ran once within the last hours; beyond that the
busiest has tens of thousands of executions and the quietest a few dozen.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from monitoring.models import BackgroundTask, MonitorRule
from tests.factories import NOW

RULES = 10_000
EXECUTIONS = 1_000_000
HISTORY = timedelta(days=30)
LOOKBACK_HOURS = 25

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
_SECONDS_LATER = {
    "postgresql": "timestamptz '{start}+00' + {seconds} * interval '1 second'",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', julianday('{start}') + {seconds} / 86400.0)",
    "mysql": "TIMESTAMP'{start}' + INTERVAL {seconds} SECOND",
}


def fill(rules: int = RULES, executions: int = EXECUTIONS) -> None:
    """Store rules and executions, quickly: the database makes the executions by itself.

    The last execution of every task is Completed and inside the window of its rule.
    """
    MonitorRule.objects.bulk_create(
        (
            MonitorRule(
                name=f"Rule {number:06d}",
                task_name=f"team_{number % 40}.jobs.task_{number:06d}",
                lookback_hours=LOOKBACK_HOURS,
                notify_to=["ops@example.com"],
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
    with connection.cursor() as cursor:
        # PostgreSQL and MariaDB do this by themselves after a while, SQLite never does.
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
        elif connection.vendor == "mysql":
            cursor.execute(f"ANALYZE TABLE {BackgroundTask._meta.db_table}")
            cursor.fetchall()


def _insert_executions(rules: int, executions: int) -> str:
    vendor = connection.vendor
    divide = "DIV" if vendor == "mysql" else "/"
    # Whole numbers only, so that every database makes the same rows. The cube of a number that
    # looks random below a prime is small most of the time: these are the busy tasks.
    random = "(i * 7919 %% 999983)"
    skewed = f"({random} * {random} * {random} {divide} {10**18 // rules})"
    each_once = f"(i * 7919 %% {rules})"
    number = f"CASE WHEN i < {executions - rules} THEN {skewed} ELSE {each_once} END"
    start = f"{NOW - HISTORY:%Y-%m-%d %H:%M:%S}"
    seconds = f"(i * {int(HISTORY.total_seconds()) - 60} {divide} {executions})"

    def later(more: int) -> str:
        return _SECONDS_LATER[vendor].format(start=start, seconds=f"({seconds} + {more})")

    columns = {
        "task_id": _TASK_ID[vendor],
        "task_name": "rule.task_name",
        "status": "'Completed'",
        "submitted_at": later(0),
        "started_at": later(1),
        "first_started_at": later(1),
        "finished_at": later(31),
        "last_update": later(31),
        "parameters": "''",
        "context_id": "''",
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


def _first_rule() -> int:
    pk: int = MonitorRule.objects.order_by("pk").values_list("pk", flat=True)[0]
    return pk
