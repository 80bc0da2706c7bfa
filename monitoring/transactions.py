"""Transactions that are done again when the database, and not the work, is at fault."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import Error, InterfaceError, OperationalError, connection, transaction

logger = logging.getLogger("monitoring.transactions")

T = TypeVar("T")

ATTEMPTS = 6
_FIRST_WAIT = 0.05
"""Seconds; each wait is one longer by this."""

_POSTGRESQL = frozenset({"40P01", "40001", "55P03"})
"""Deadlock, serialization failure, lock not available."""
_MYSQL = frozenset({1205, 1213})
"""Lock wait timeout, deadlock."""
_MYSQL_SERVER = _MYSQL | {1021, 1114, 1290, 1836, 1969, 3024}
"""Disk full, table full, read-only twice, statement timeout twice."""
_SQLITE = ("database is locked", "database table is locked")


def in_transaction(work: Callable[[], T], before_retry: Callable[[], None] | None = None) -> T:
    """Do the work of one transaction, again if another won or the connection was lost.

    before_retry: called before it is done again after its connection was lost. That can happen
    while the database commits: the work must find out for itself then whether it was done.
    """
    for attempt in range(1, ATTEMPTS):
        _heal()
        raw: Any = None
        try:
            with transaction.atomic():
                raw = connection.connection
                return work()
        except Error as error:
            # Inside a caller's transaction nothing can be done again: its beginning is lost.
            another_won = _another_won(error)
            if connection.in_atomic_block or not (another_won or _is_lost(raw)):
                raise
            logger.info("a transaction is done again, attempt %d: %s", attempt + 1, error)
            if not _is_alive():
                connection.close()
            time.sleep(_FIRST_WAIT * attempt)
            if before_retry is not None and not another_won:
                before_retry()
    with transaction.atomic():
        return work()


def is_about_the_statement(error: Exception) -> bool:
    """Say whether it is what was written that the database refuses, and not everything.

    mysqlclient calls whatever it has no class for an OperationalError, a trigger's refusal too.
    """
    if isinstance(error, InterfaceError):
        return False
    if not isinstance(error, OperationalError):
        return True
    return connection.vendor == "mysql" and _number(error) not in _MYSQL_SERVER and _is_alive()


def _heal() -> None:
    """Drop a connection that died while a transaction ended: Django keeps it half open.

    It would take every later transaction for one that somebody else has begun.
    """
    if connection.in_atomic_block or connection.connection is None:
        return
    if connection.get_autocommit() != connection.settings_dict["AUTOCOMMIT"]:
        connection.close()


def _another_won(error: Error) -> bool:
    """Say whether the database gave this transaction up so that another could go on."""
    if connection.vendor == "sqlite":
        return str(error).startswith(_SQLITE)
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _POSTGRESQL or _number(error) in _MYSQL


def _number(error: Exception) -> object:
    return error.args[0] if error.args else None


def _is_lost(raw: Any) -> bool:
    """Say whether the connection that a transaction began on is gone; Django may have a new one."""
    return connection.connection is not raw or not _is_alive()


def _is_alive() -> bool:
    return connection.connection is not None and connection.is_usable()
