"""Writing the rows of one batch with one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import Any

from django.db import connections, router
from django.db.models.constants import OnConflict

ROWS = 1000
"""Most rows of one statement: as many as a batch has rules."""


def insert(model: type[Any], rows: Sequence[Any], *, ignore_conflicts: bool = False) -> None:
    """Write new rows; they get their primary keys where the database tells them.

    ignore_conflicts: leave out what is there already; no row gets a key then.
    """
    _write(model, rows, OnConflict.IGNORE if ignore_conflicts else None)


def replace(model: type[Any], rows: Sequence[Any], names: Iterable[str]) -> None:
    """Write fields of existing rows back.

    An upsert on the primary key; a bulk_update of this size spends seconds on its CASE terms.
    """
    _write(model, rows, OnConflict.UPDATE, names)


def _write(
    model: type[Any],
    rows: Sequence[Any],
    on_conflict: OnConflict | None,
    names: Iterable[str] = (),
) -> None:
    """Write plain values, as `bulk_create` would.

    Not by it, because it treats each of twenty thousand values as an expression that might have
    to be resolved, and cuts statements to the 999 parameters that SQLite took before 2020. That
    takes longer than everything else that a check does for a rule that has failed.
    """
    if not rows:
        return
    connection: Any = connections[router.db_for_write(model)]
    meta: Any = model._meta
    is_update = on_conflict is OnConflict.UPDATE
    fields = [one for one in meta.concrete_fields if is_update or not one.primary_key]
    changed = [meta.get_field(name).column for name in names]
    unique = [meta.pk.column] if is_update else []
    suffix = connection.ops.on_conflict_suffix_sql(fields, on_conflict, changed, unique)
    tells_keys = on_conflict is None and connection.features.can_return_rows_from_bulk_insert
    if tells_keys:
        suffix = f"RETURNING {connection.ops.quote_name(meta.pk.column)}"
    beginning = (
        f"{connection.ops.insert_statement(on_conflict)} "
        f"{connection.ops.quote_name(meta.db_table)} "
        f"({', '.join(connection.ops.quote_name(one.column) for one in fields)})"
    )
    most = _most_rows(connection, len(fields))
    with connection.cursor() as cursor:
        for part in (rows[start : start + most] for start in range(0, len(rows), most)):
            source, parameters = _source(fields, part, connection)
            cursor.execute(f"{beginning} {source} {suffix}", parameters)
            if tells_keys:
                for row, (key,) in zip(part, cursor.fetchall(), strict=True):
                    row.pk, row._state.adding = key, False


def _source(fields: Sequence[Any], rows: Sequence[Any], connection: Any) -> tuple[str, list[Any]]:
    """Return where a statement takes its rows from, and the parameters."""
    columns = [
        [field.get_db_prep_save(field.pre_save(row, True), connection) for row in rows]
        for field in fields
    ]
    if connection.vendor == "postgresql":  # one parameter for each column
        lists = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
        return f"SELECT * FROM UNNEST({lists})", columns  # noqa: S608 - types of columns
    row = f"({', '.join(['%s'] * len(fields))})"
    values = ", ".join([row] * len(rows))
    return f"VALUES {values}", list(chain.from_iterable(zip(*columns, strict=True)))


def _most_rows(connection: Any, columns: int) -> int:
    if connection.vendor != "sqlite":
        return ROWS
    connection.ensure_connection()
    most: int = connection.connection.getlimit(SQLITE_LIMIT_VARIABLE_NUMBER)
    return min(ROWS, most // columns)
