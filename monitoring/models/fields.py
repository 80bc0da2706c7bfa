"""A text column that tells `Sync` from `sync` on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _CharField = models.CharField[Any, Any]
else:  # not subscriptable at run time
    _CharField = models.CharField


class ExactCharField(_CharField):
    """A CharField that compares byte for byte.

    PostgreSQL and SQLite do so by themselves; MariaDB and MySQL ignore case and trailing spaces
    unless the column has a binary collation. Source: task names are case-sensitive, documented
    behaviour 10.10.5.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            parameters["collation"] = exact_collation(connection)
        return parameters


def exact_collation(connection: BaseDatabaseWrapper) -> str:
    """Return the binary collation without trailing-space padding of a MariaDB or MySQL server."""
    is_mariadb: bool = getattr(connection, "mysql_is_mariadb", False)
    return "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
