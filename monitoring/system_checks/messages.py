"""What all system checks have in common: the form of a message, and when the database is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, router

from monitoring.models import MonitorRule

DOCS_PAGE = "docs/system-checks.md"
MOST = 5
"""Names in one message, and messages of one check; what is more is counted."""


def link(check_id: str) -> str:
    """Return where the documentation explains a check: `…#monitoring-e001`."""
    return f"{DOCS_PAGE}#{check_id.replace('.', '-').lower()}"


def error(check_id: str, message: str, hint: str) -> Error:
    return Error(message, hint=f"{hint} See {link(check_id)}.", id=check_id)


def warning(check_id: str, message: str, hint: str) -> Warning:
    return Warning(message, hint=f"{hint} See {link(check_id)}.", id=check_id)


def named(labels: Sequence[str]) -> str:
    """Return the first labels, and how many more there are."""
    more = len(labels) - MOST
    return ", ".join(labels[:MOST]) + (f" and {more} more" if more > 0 else "")


def database_check(
    find: Callable[[], Iterable[CheckMessage]],
) -> Callable[..., list[CheckMessage]]:
    """Register a check that reads the database, which is done only where that is asked for.

    It is silent before the tables are there, and while E001 has something to say.
    """

    def check(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
        if router.db_for_read(MonitorRule) not in (databases or ()):
            return []
        try:
            return _bounded(list(find()))
        except (DatabaseError, ImproperlyConfigured):
            return []

    # Not by functools.wraps: Django looks at the signature, and that would show the other one.
    check.__name__, check.__doc__ = find.__name__, find.__doc__
    return register(check, Tags.database)


def _bounded(found: list[CheckMessage]) -> list[CheckMessage]:
    left_out = found[MOST:]
    if not left_out:
        return found
    more = copy(left_out[0])
    more.msg = f"{len(left_out)} more messages like these are not shown"
    return [*found[:MOST], more]
