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


def upsert(record: Record, using: str) -> None:
    """Merge one signal into its row, or insert the row."""
    connection = connections[using]
    values = [_field(name).get_db_prep_save(_value(record, name), connection) for name in _COLUMNS]
    with connection.cursor() as cursor:
        cursor.execute(_statement(connection.vendor, BackgroundTask._meta.db_table), values)


def _field(name: str) -> Field[Any, Any]:
    return cast("Field[Any, Any]", BackgroundTask._meta.get_field(name))


def _value(record: Record, name: str) -> Any:
    value = getattr(record, name)
    return value.value if name == "status" else value


@cache
def _statement(vendor: str, table: str) -> str:
    quote = "`" if vendor == "mysql" else '"'
    columns = ", ".join(f"{quote}{name}{quote}" for name in _COLUMNS)
    places = ", ".join(["%s"] * len(_COLUMNS))
    insert = f"INSERT INTO {quote}{table}{quote} ({columns}) VALUES ({places})"  # noqa: S608
    changes = ", ".join(
        f"{quote}{name}{quote} = {_merged(name, vendor, table)}" for name in _COLUMNS[2:]
    )
    if vendor == "mysql":
        return f"{insert} ON DUPLICATE KEY UPDATE {changes}"
    return f'{insert} ON CONFLICT ("task_id") DO UPDATE SET {changes}'


def _merged(name: str, vendor: str, table: str) -> str:
    """Return the SQL of one column's new value: see `core.lifecycle.merge`."""
    row, new = _sides(vendor, table)
    least, greatest = ("MIN", "MAX") if vendor == "sqlite" else ("LEAST", "GREATEST")
    mine, other = row(name), new(name)
    if name in _BY_POSITION:
        return f"CASE WHEN {new('position')} > {row('position')} THEN {other} ELSE {mine} END"
    if name in _FILL_EMPTY:
        return f"COALESCE(NULLIF({mine}, ''), {other})"
    if name == "worker":
        return (
            f"CASE WHEN {new('started_at')} IS NOT NULL AND ({row('started_at')} IS NULL OR "
            f"{new('started_at')} >= {row('started_at')}) THEN {other} "
            f"ELSE COALESCE(NULLIF({mine}, ''), {other}) END"
        )
    # Where one side is NULL the database's LEAST would answer NULL, so each fills the other.
    function = least if name in _EARLIEST else greatest
    return f"{function}(COALESCE({mine}, {other}), COALESCE({other}, {mine}))"


def _sides(vendor: str, table: str) -> tuple[Any, Any]:
    if vendor == "mysql":
        return (lambda name: f"`{table}`.`{name}`"), (lambda name: f"VALUES(`{name}`)")
    return (lambda name: f'"{table}"."{name}"'), (lambda name: f'EXCLUDED."{name}"')
