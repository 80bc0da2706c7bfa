"""The newest row for each of many task names, in one statement.

One query per name is what makes the obvious check slow, and grouping reads every row of every
name. Here the database does one index seek per name: a correlated subquery, written by the ORM,
runs for each element of a list that is handed over as one parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections, models
from django.db.models.expressions import RawSQL

from monitoring.models.name_table import name_table


def newest(
    rows: models.QuerySet[Any], names: Iterable[str], columns: Sequence[str], *order_by: str
) -> list[tuple[Any, ...]]:
    """Return columns of the first row of each task name, in one query.

    rows: the candidates, not yet filtered by name. columns: field names; values come as the
    database driver gives them. order_by: field names, the newest first.
    Raises NotSupportedError on databases other than PostgreSQL, SQLite, MariaDB and MySQL.
    """
    wanted_names = sorted(set(names))
    if not wanted_names:
        return []
    connection = connections[rows.db]
    table, parameter = name_table(connection, wanted_names)
    first = rows.filter(task_name=RawSQL("wanted.name", ())).order_by(*order_by).values("pk")[:1]
    inner, parameters = first.query.get_compiler(connection=connection).as_sql()
    quote = connection.ops.quote_name
    meta = rows.model._meta
    found = ", ".join(
        _selected(meta.get_field(name), f"found.{quote(meta.get_field(name).column)}", connection)
        for name in columns
    )
    sql = (
        f"SELECT {found} FROM {table} JOIN {quote(meta.db_table)} found "  # noqa: S608
        f"ON found.{quote(meta.pk.column)} = ({inner})"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [parameter, *parameters])
        return list(cursor.fetchall())


def _selected(field: Any, column: str, connection: Any) -> str:
    # Django's reading of a PostgreSQL or SQLite date takes ten times as long as reading its text.
    as_text = isinstance(field, models.DateTimeField) and connection.vendor != "mysql"
    return f"CAST({column} AS text)" if as_text else column
