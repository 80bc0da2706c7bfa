"""The newest row for each of many task names, in one statement.

One query per name is what makes the obvious check slow, and grouping reads every row of every
name. Here the database does one index seek per name: a correlated subquery, written by the ORM,
runs for each element of a list that is handed over as one parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.db import connections, models
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from monitoring.models.fields import exact_collation
from monitoring.models.name_table import name_table
from monitoring.tasklogs.base import TaskLog, column_of

_WORD = re.compile(r"\w+")


def newest(log: TaskLog, rows: models.QuerySet[Any], names: Iterable[str]) -> list[tuple[Any, ...]]:
    """Return (primary key, task name, status, start) of the newest row of each task, in one query.

    rows: the candidates, not yet filtered by name. Values come as the database driver gives them.
    Raises NotSupportedError on databases other than PostgreSQL, SQLite, MariaDB and MySQL.
    """
    wanted_names = sorted(set(names))
    if not wanted_names:
        return []
    connection = connections[rows.db]
    table, parameter = name_table(connection, wanted_names)
    first = named(log, rows, RawSQL("wanted.name", ())).order_by("-log_start", "-pk")[:1]
    finding = _beside if connection.vendor == "postgresql" else _by_key
    sql, parameters = finding(log, first, connection, table)
    with connection.cursor() as cursor:
        cursor.execute(sql, [parameter, *parameters])
        return list(cursor.fetchall())


def _beside(
    log: TaskLog, first: models.QuerySet[Any], connection: Any, table: str
) -> tuple[str, Any]:
    """Return the statement and its parameters where a subquery may stand beside what it uses."""
    text = {"log_start_text": Cast(log.start, models.TextField())}
    columns = ("pk", log.fields["task_name"], log.fields["status"], *text)
    found = first.annotate(**text).values_list(*columns)
    inner, parameters = found.query.get_compiler(connection=connection).as_sql()
    return f"SELECT found.* FROM {table} CROSS JOIN LATERAL ({inner}) found", parameters  # noqa: S608


def _by_key(
    log: TaskLog, first: models.QuerySet[Any], connection: Any, table: str
) -> tuple[str, Any]:
    """Return the same where it may not: SQLite and MariaDB find the key, and by it the row."""
    inner, parameters = first.values("pk").query.get_compiler(connection=connection).as_sql()
    quote = connection.ops.quote_name
    meta: Any = log.model._meta
    pk = quote(meta.pk.column)
    sql = (
        f"SELECT found.{pk}, found.{quote(log.column('task_name'))}, "  # noqa: S608 - columns of models
        f"found.{quote(log.column('status'))}, {_start(log, connection, 'found')} "
        f"FROM {table} JOIN {quote(meta.db_table)} found ON found.{pk} = ({inner})"
    )
    return sql, parameters


def _start(log: TaskLog, connection: Any, table: str) -> str:
    """Return the start of an execution in SQL.

    As text, because the drivers, or Django after them, take ten times as long to make a time of it.
    """
    text = "char" if connection.vendor == "mysql" else "text"
    return f"CAST({start_sql(log, connection, table)} AS {text})"


def start_sql(log: TaskLog, connection: Any, table: str) -> str:
    """Return the start of an execution in SQL, of a row of `table`."""
    quote = connection.ops.quote_name
    columns = [f"{table}.{quote(column_of(log.model, name))}" for name in log.started]
    return columns[0] if len(columns) == 1 else f"COALESCE({', '.join(columns)})"


def named(log: TaskLog, rows: models.QuerySet[Any], name: Any) -> models.QuerySet[Any]:
    """Narrow rows to those of a task, byte for byte, and so that an index is used.

    name: a text, or an expression for one.
    """
    column = log.fields["task_name"]
    connection = connections[rows.db]
    if not folds_case(log, connection):
        return rows.filter(**{column: name})
    charset, collation = _written_in(
        connection.alias, log.model._meta.db_table, log.column("task_name")
    )
    # Both are words of the database's own.
    template = f"CONVERT(%(expressions)s USING {charset}) COLLATE {collation}"
    value = models.Value(name) if isinstance(name, str) else name
    by_index = models.Func(value, template=template, output_field=models.CharField())
    exact: models.QuerySet[Any] = rows.alias(log_name=exact_name(log))
    return exact.filter(**{column: by_index, "log_name": name})


def folds_case(log: TaskLog, connection: Any) -> bool:
    """Say whether the database may take `sync` for `Sync`: MariaDB does, in a host's columns."""
    return connection.vendor == "mysql" and not log.is_own


def exact_name(log: TaskLog) -> Any:
    """Return the task's name as an expression that compares byte for byte."""
    connection = connections[log.alias]
    name = models.F(log.fields["task_name"])
    if not folds_case(log, connection):
        return name
    collation = exact_collation(connection)
    template = f"CONVERT(%(expressions)s USING utf8mb4) COLLATE {collation}"
    return models.Func(name, template=template, output_field=models.CharField())


@lru_cache(maxsize=16)
def _written_in(alias: str, table: str, column: str) -> tuple[str, str]:
    """Return the character set and the collation of a column of MariaDB or MySQL."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT character_set_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = %s AND column_name = %s",
            [table, column],
        )
        found = cursor.fetchone() or ("utf8mb4", "utf8mb4_general_ci")
    charset, collation = (str(word) for word in found)
    if not (_WORD.fullmatch(charset) and _WORD.fullmatch(collation)):
        raise ValueError(f"{table}.{column} is written in {charset} {collation}")
    return charset, collation
