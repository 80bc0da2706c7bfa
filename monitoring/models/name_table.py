"""A list of texts handed to the database as one parameter, to be read like a table.

A thousand separate parameters cost more to write, send and parse than the query they are for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import NotSupportedError, connections
from django.db.models.expressions import RawSQL

from monitoring.models.fields import exact_collation


def among(names: Sequence[str], using: str) -> RawSQL:
    """Return the right-hand side of an `__in` lookup on an exact text column."""
    table, parameter = name_table(connections[using], names)
    return RawSQL(f"SELECT wanted.name FROM {table}", (parameter,))  # noqa: S608, S611 - constants


def name_table(connection: Any, names: Sequence[str]) -> tuple[str, Any]:
    """Return a table expression named `wanted` with a column `name`, and its one parameter.

    Raises NotSupportedError on databases other than PostgreSQL, SQLite, MariaDB and MySQL.
    """
    if connection.vendor == "postgresql":
        return "jsonb_array_elements_text(%s::jsonb) AS wanted(name)", json.dumps(list(names))
    if connection.vendor == "sqlite":
        return "(SELECT value AS name FROM json_each(%s)) AS wanted", json.dumps(list(names))
    if connection.vendor == "mysql":
        column = (
            "name VARCHAR(255) CHARACTER SET utf8mb4 "
            f"COLLATE {exact_collation(connection)} PATH '$'"
        )
        return f"JSON_TABLE(%s, '$[*]' COLUMNS ({column})) AS wanted", json.dumps(list(names))
    raise NotSupportedError(
        f"the task log is on {connection.vendor}: use PostgreSQL, SQLite, MariaDB or MySQL"
    )
