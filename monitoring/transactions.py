"""Transactions that are done again when the database, and not the work, is at fault."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

logger = logging.getLogger("monitoring.transactions")

T = TypeVar("T")

ATTEMPTS = 6
_FIRST_WAIT = 0.05
"""Seconds; each wait is one longer by this."""

_POSTGRESQL = frozenset({"40P01", "40001", "55P03"})
"""Deadlock, serialization failure, lock not available."""
_MYSQL = frozenset({1205, 1213})
"""Lock wait timeout, deadlock."""
_SQLITE = ("database is locked", "database table is locked")


def in_transaction(work: Callable[[], T], before_retry: Callable[[], None] | None = None) -> T:
    """Do the work of one transaction, again if another won or the connection was lost.

    before_retry: called before it is done again. A connection can be lost while the database
    commits: the work must find out for itself then whether it was done.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            with transaction.atomic():
                return work()
        except (OperationalError, InterfaceError) as error:
            # Inside a caller's transaction nothing can be done again: its beginning is lost.
            if connection.in_atomic_block or not (_another_won(error) or _is_lost()):
                raise
            logger.info("a transaction is done again, attempt %d: %s", attempt + 1, error)
            connection.close_if_unusable_or_obsolete()
            time.sleep(_FIRST_WAIT * attempt)
            if before_retry is not None:
                before_retry()
    with transaction.atomic():
        return work()


def _another_won(error: OperationalError | InterfaceError) -> bool:
    """Say whether the database gave this transaction up so that another could go on."""
    if connection.vendor == "sqlite":
        return str(error).startswith(_SQLITE)
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _POSTGRESQL or (error.args[:1] != () and error.args[0] in _MYSQL)


def _is_lost() -> bool:
    return connection.connection is None or not connection.is_usable()
