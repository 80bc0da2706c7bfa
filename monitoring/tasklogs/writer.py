"""Writing signals to our task log without ever disturbing the task they come from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)

from monitoring.core.lifecycle import Record
from monitoring.models import BackgroundTask
from monitoring.tasklogs.upsert import upsert

logger = logging.getLogger("monitoring.recorder")


class _Health:
    """Whether the last write of this process failed: the log says so once, not once per task."""

    broken = False


def write(record: Record, *, close: bool = False) -> None:
    """Write one signal once the caller's transaction is committed, or at once outside of one.

    close: give the connection back afterwards, for callers outside of a task's life.
    """
    alias = router.db_for_write(BackgroundTask)
    try:
        transaction.on_commit(
            lambda: attempt(lambda: upsert(record, alias), alias, close=close),
            using=alias,
            robust=True,
        )
    except Exception as error:  # no transaction can be asked after: the database is away
        _note(error)


def attempt(work: Callable[[], object], alias: str, *, close: bool) -> None:
    """Write something; that it fails is logged once, and once that it works again.

    close: give the connection back afterwards, for callers outside of a task's life.
    """
    connection = connections[alias]
    try:
        try:
            work()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            # The server may have dropped an idle connection; a fresh one gets one more try.
            connection.close()
            work()
        if _Health.broken:
            logger.info("executions are recorded again")
            _Health.broken = False
    except Exception as error:
        _note(error)
    finally:
        if close and not connection.in_atomic_block:
            _close(connection)


def _note(error: Exception) -> None:
    if not _Health.broken:
        kind = "database" if isinstance(error, DatabaseError) else "recorder"
        logger.error("executions are not recorded (%s error)", kind, exc_info=error)
    _Health.broken = True


def _close(connection: Any) -> None:
    try:
        connection.close_if_unusable_or_obsolete()
    except Exception:
        logger.debug("closing the recorder's connection failed", exc_info=True)
