"""Which argument of a task is recorded as its context id."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence


def context_id_of(
    args: Sequence[object], kwargs: Mapping[str, object], argument: str | None
) -> str:
    """Return the primary key a task was called with, or an empty string.

    argument: the keyword argument configured for the task; its value is taken as it is.
    Without one, the first positional argument counts if it is an integer or a UUID: other texts
    may be secrets or personal data and are never recorded by default.
    """
    if argument is not None:
        value = kwargs.get(argument)
        return "" if value is None else as_text(value)
    first = args[0] if args else None
    if isinstance(first, bool):
        return ""
    if isinstance(first, int | uuid.UUID):
        return as_text(first)
    return first if isinstance(first, str) and _is_uuid(first) else ""


def as_text(value: object) -> str:
    """Return a value as text, or an empty string if it has none.

    Python refuses to spell integers of thousands of digits, and foreign objects may do anything;
    neither may cost the execution its record.
    """
    try:
        return str(value)
    except Exception:
        return ""


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
