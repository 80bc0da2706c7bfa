"""How causes name moments, lengths of time and what others have called something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitoring.core.texts import one_line, storable
from monitoring.core.values import Execution
from monitoring.core.wording import Text
from monitoring.core.wording import Text as _

MAX_QUOTE = 500
"""Characters of an error that a cause quotes."""
_MAX_NAME = 100

Why = tuple[Text, str] | None
"""Headline and evidence of a cause; None: it does not fit."""


def moment(at: datetime | None) -> str:
    """Return a moment as mails show it, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "?"


def lasting(took: timedelta) -> str:
    """Return a length of time in its two largest units, none smaller than a second."""
    minutes, second = divmod(max(int(took.total_seconds()), 0), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return _("{days} d {hours} h", days=days, hours=hour) if hour else _("{days} d", days=days)
    if hours:
        return f"{hours} h {minute} min" if minute else f"{hours} h"
    if minutes:
        return f"{minutes} min {second} s" if second and minutes < 10 else f"{minutes} min"
    return f"{second} s"


def named(name: str) -> str:
    """Return a foreign name, fit for a line."""
    return storable(one_line(name), _MAX_NAME)


def quoted(text: str) -> str:
    """Return foreign words, fit for a line."""
    return storable(one_line(text), MAX_QUOTE)


def on_worker(text: str, found: Execution) -> str:
    """Return evidence on an execution with the worker that it ran on."""
    if not found.worker:
        return text
    return _("{evidence} (on {worker})", evidence=text, worker=named(found.worker))
