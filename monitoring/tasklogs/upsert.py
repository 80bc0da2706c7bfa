"""One signal into one row with one statement, whatever was there before.

The statement is `monitoring.core.lifecycle.merge` in SQL. It is written by hand because the
row's own values decide what an arriving one may change, which the ORM's upsert cannot say.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from django.db import connections
from django.db.models import Field

from monitoring.core.lifecycle import Record
from monitoring.core.statuses import FINISHED
from monitoring.models import BackgroundTask

_BY_POSITION = ("status", "finished_at", "errors", "stack_trace_errors", "retries")
_EARLIEST = ("submitted_at", "first_started_at")
_FILL_EMPTY = ("parameters", "context_id", "queue", "periodic_task_name")
# MariaDB assigns from left to right and reads what it has just assigned, so what the others
# compare against comes last.
_COLUMNS = (
    "task_id",
    "task_name",
    *_BY_POSITION,
    *_EARLIEST,
    *_FILL_EMPTY,
    "worker",
    "started_at",
    "last_update",
    "position",
)
_NEVER_EMPTY = frozenset({"task_id", "task_name", "status", "retries", "last_update", "position"})
# For this statement alone, as it is a transaction of its own. A start need not be on the disk
# before the task runs: its end tells it once more, and what commits later takes it there too.
_WITHOUT_WAITING_FOR_THE_DISK = " RETURNING set_config('synchronous_commit', 'off', true)"
_EMPTY_TEXTS = frozenset({*_FILL_EMPTY, "errors", "stack_trace_errors", "worker"})


def upsert(record: Record, using: str) -> None:
    """Merge one signal into its row, or insert the row."""
    connection = connections[using]
    told = tuple(name for name in _COLUMNS if name in _NEVER_EMPTY or getattr(record, name))
    values = [_value(record, name, connection) for name in told]
    statement = _statement(connection.vendor, BackgroundTask._meta.db_table, told)
    if (
        connection.vendor == "postgresql"
        and record.status not in FINISHED
        and not connection.in_atomic_block
    ):
        statement += _WITHOUT_WAITING_FOR_THE_DISK
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _value(record: Record, name: str, connection: Any) -> Any:
    value = getattr(record, name)
    if name == "status":
        return value.value
    if value.__class__ is str:
        return value
    return _field(name).get_db_prep_save(value, connection)


@cache
def _field(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", BackgroundTask._meta.get_field(name))


@cache
def _statement(vendor: str, table: str, told: tuple[str, ...]) -> str:
    """Return the statement for signals that tell these columns; each kind of signal has its own.

    What a signal does not tell is no parameter, and changes nothing unless the position decides:
    servers and drivers take longer to read a statement than to do what it says.
    """
    quote = "`" if vendor == "mysql" else '"'
    columns = ", ".join(f"{quote}{name}{quote}" for name in _COLUMNS)
    places = ", ".join("%s" if name in told else _empty(name) for name in _COLUMNS)
    insert = f"INSERT INTO {quote}{table}{quote} ({columns}) VALUES ({places})"  # noqa: S608
    changes = ", ".join(
        f"{quote}{name}{quote} = {_merged(name, vendor, table, told)}"
        for name in _COLUMNS[2:]
        if name in told or name in _BY_POSITION or (name == "worker" and "started_at" in told)
    )
    if vendor == "mysql":
        return f"{insert} ON DUPLICATE KEY UPDATE {changes}"
    return f'{insert} ON CONFLICT ("task_id") DO UPDATE SET {changes}'


def _empty(name: str) -> str:
    return "''" if name in _EMPTY_TEXTS else "NULL"


def _merged(name: str, vendor: str, table: str, told: tuple[str, ...]) -> str:
    """Return the SQL of one column's new value: see `core.lifecycle.merge`."""
    row, new = _sides(vendor, table)
    least, greatest = ("MIN", "MAX") if vendor == "sqlite" else ("LEAST", "GREATEST")
    mine, other = row(name), new(name)
    filled = f"COALESCE(NULLIF({mine}, ''), {other})"
    if name in _BY_POSITION:
        return f"CASE WHEN {new('position')} > {row('position')} THEN {other} ELSE {mine} END"
    if name in _FILL_EMPTY or (name == "worker" and "started_at" not in told):
        return filled
    if name == "worker":
        return (
            f"CASE WHEN {row('started_at')} IS NULL OR "
            f"{new('started_at')} >= {row('started_at')} THEN {other} ELSE {filled} END"
        )
    if name in _NEVER_EMPTY:
        return f"{greatest}({mine}, {other})"
    # Where the row has NULL the database's LEAST would answer NULL.
    function = least if name in _EARLIEST else greatest
    return f"{function}(COALESCE({mine}, {other}), {other})"


def _sides(vendor: str, table: str) -> tuple[Any, Any]:
    if vendor == "mysql":
        return (lambda name: f"`{table}`.`{name}`"), (lambda name: f"VALUES(`{name}`)")
    return (lambda name: f'"{table}"."{name}"'), (lambda name: f'EXCLUDED."{name}"')
