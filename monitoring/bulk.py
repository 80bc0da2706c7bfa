"""Writing the rows of one batch with one statement."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from types import NoneType
from typing import Any

from django.db import connections, models, router
from django.db.models import ForeignKey, JSONField
from django.db.models.constants import OnConflict

from monitoring.models.fields import ExactCharField

ROWS = 1000
"""Most rows of one statement: as many as a batch has rules."""


_READY_MADE: Mapping[type[Any], type[Any]] = {
    models.CharField: str,
    ExactCharField: str,
    models.TextField: str,
    models.FloatField: float,
    models.BooleanField: bool,
    models.PositiveIntegerField: int,
    models.BigAutoField: int,
}
"""Of which type a value of a field goes to every database as it is. Of these fields themselves: one
that is made of them may convert it."""

Row = Mapping[str, Any]
"""Values by attribute name, as `vars` of a model instance has them.

Not instances: making one takes longer than everything else that is done for its row."""


def insert(model: type[Any], rows: Sequence[Row], *, ignore_conflicts: bool = False) -> list[Any]:
    """Write new rows; return their primary keys, or nothing where the database does not tell them.

    A value that a row leaves out is the default of its field; fields that set themselves
    (`auto_now`) do not. ignore_conflicts: leave out what is there already; no keys are told then.
    """
    return _write(model, rows, OnConflict.IGNORE if ignore_conflicts else None)


def replace(model: type[Any], rows: Sequence[Row], names: Iterable[str]) -> None:
    """Write fields of existing rows back.

    An upsert on the primary key; a bulk_update of this size spends seconds on its CASE terms.
    """
    _write(model, rows, OnConflict.UPDATE, names)


def _write(
    model: type[Any],
    rows: Sequence[Row],
    on_conflict: OnConflict | None,
    names: Iterable[str] = (),
) -> list[Any]:
    """Write plain values, as `bulk_create` would.

    Not by it, because it treats each of twenty thousand values as an expression that might have
    to be resolved, and cuts statements to the 999 parameters that SQLite took before 2020. That
    takes longer than everything else that a check does for a rule that has failed.
    """
    if not rows:
        return []
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
    keys: list[Any] = []
    with connection.cursor() as cursor:
        for part in (rows[start : start + most] for start in range(0, len(rows), most)):
            source, parameters = _source(fields, part, connection)
            cursor.execute(f"{beginning} {source} {suffix}", parameters)
            if tells_keys:
                keys += [key for (key,) in cursor.fetchall()]
    return keys


def _source(fields: Sequence[Any], rows: Sequence[Row], connection: Any) -> tuple[str, list[Any]]:
    """Return where a statement takes its rows from, and the parameters."""
    if connection.vendor == "postgresql":
        return _as_json(fields, rows, connection)
    columns = [_column(field, rows, connection) for field in fields]
    if connection.vendor == "sqlite":
        return _with_shared_values(columns)
    return _values(columns), list(chain.from_iterable(zip(*columns, strict=True)))


def _values(columns: Sequence[Sequence[Any]]) -> str:
    row = f"({', '.join(['%s'] * len(columns))})"
    return f"VALUES {', '.join([row] * len(columns[0]))}"


def _with_shared_values(columns: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return rows whose shared values, two thirds of all, stand in the statement once.

    Django rewrites every placeholder for SQLite, which takes as long as writing a value does.
    """
    first, *others = columns
    differ = [first, *(column for column in others if any(one is not column[0] for one in column))]
    kept = {id(column): f"column{number}" for number, column in enumerate(differ, 1)}
    shared = [column[0] for column in columns if id(column) not in kept]
    told = ", ".join(kept.get(id(column), "%s") for column in columns)
    # Without the condition SQLite would take the conflict clause for that of a join.
    sql = f"SELECT {told} FROM ({_values(differ)}) WHERE true"  # noqa: S608 - numbered columns
    return sql, [*shared, *chain.from_iterable(zip(*differ, strict=True))]


def _as_json(fields: Sequence[Any], rows: Sequence[Row], connection: Any) -> tuple[str, list[Any]]:
    """Return the rows as one parameter.

    The driver quotes arrays, and every JSON document in them, in Python: that took three times as
    long as all of this.
    """
    columns = [_column(field, rows, connection) for field in fields]
    names = [field.column for field in fields]
    documents = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    types = ", ".join(
        f"{connection.ops.quote_name(field.column)} {field.db_type(connection)}" for field in fields
    )
    sql = f"SELECT * FROM json_to_recordset(%s::json) AS new({types})"  # noqa: S608 - types of columns
    return sql, [json.dumps(documents, default=str)]


def _column(field: Any, rows: Sequence[Row], connection: Any) -> list[Any]:
    """Return one value of each row as `_source` hands it on.

    Most rows of a batch share the time of the check, an empty text or a default: one object is
    converted once, and what every database takes as it is not at all.
    """
    default, name = field.get_default(), field.attname
    values = [row.get(name, default) for row in rows]
    ready_made = _READY_MADE.get(type(_target(field)))
    if ready_made is not None and {ready_made, NoneType}.issuperset(map(type, values)):
        return values
    if connection.vendor == "postgresql" and isinstance(field, JSONField):
        return values
    # Django looks at a time from all sides first; ours are all aware.
    is_time = type(field) is models.DateTimeField
    convert = (
        connection.ops.adapt_datetimefield_value
        if is_time
        else partial(field.get_db_prep_save, connection=connection)
    )
    # By identity, because equal values may be written differently: `True` and `1` in JSON.
    distinct = {id(value): value for value in values}
    ready = {key: convert(value) for key, value in distinct.items()}
    return [ready[id(value)] for value in values]


def _target(field: Any) -> Any:
    """Return the field whose values this one holds: for a foreign key the key it points to."""
    return field.target_field if type(field) is ForeignKey else field


def _most_rows(connection: Any, columns: int) -> int:
    if connection.vendor != "sqlite":
        return ROWS
    connection.ensure_connection()
    most: int = connection.connection.getlimit(SQLITE_LIMIT_VARIABLE_NUMBER)
    return min(ROWS, most // columns)
