"""The newest row for each of many task names, in one statement.

One query per name is what makes the obvious check slow, and grouping reads every row of every
name. Here the database does one index seek per name: a correlated subquery, written by the ORM,
runs for each element of a list that is handed over as one parameter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db import NotSupportedError, connections, models
from django.db.models.expressions import RawSQL

from monitoring.models.fields import exact_collation


def newest_pks(rows: models.QuerySet[Any], names: Iterable[str], *order_by: str) -> list[Any]:
    """Return the primary key of the first row of each task name, in one query.

    rows: the candidates, not yet filtered by name. order_by: field names, the newest first.
    Raises NotSupportedError on databases other than PostgreSQL, SQLite, MariaDB and MySQL.
    """
    wanted_names = sorted(set(names))
    if not wanted_names:
        return []
    connection = connections[rows.db]
    table, parameter = _wanted(connection, wanted_names)
    first = rows.filter(task_name=RawSQL("wanted.name", ())).order_by(*order_by).values("pk")[:1]
    sql, parameters = first.query.get_compiler(connection=connection).as_sql()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({sql}) FROM {table}", [*parameters, parameter])  # noqa: S608
        return [pk for (pk,) in cursor.fetchall() if pk is not None]


def _wanted(connection: Any, names: list[str]) -> tuple[str, Any]:
    """Return a table expression named `wanted` with a column `name`, and its one parameter."""
    if connection.vendor == "postgresql":
        return "unnest(%s::text[]) AS wanted(name)", names
    if connection.vendor == "sqlite":
        return "(SELECT value AS name FROM json_each(%s)) AS wanted", json.dumps(names)
    if connection.vendor == "mysql":
        column = (
            "name VARCHAR(255) CHARACTER SET utf8mb4 "
            f"COLLATE {exact_collation(connection)} PATH '$'"
        )
        return f"JSON_TABLE(%s, '$[*]' COLUMNS ({column})) AS wanted", json.dumps(names)
    raise NotSupportedError(
        f"the task log is on {connection.vendor}: use PostgreSQL, SQLite, MariaDB or MySQL"
    )
