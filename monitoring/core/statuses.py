"""The seven statuses of an execution, and how a person may spell them.

Source: documented behaviour 10.3.2.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache, reduce

from monitoring.core.names import nearest
from monitoring.core.wording import Text, joined
from monitoring.core.wording import Text as _


class Status(StrEnum):
    """Where one execution of a task stands; the value is the documented spelling."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    STOPPED = "Stopped"
    CANCELLED = "Cancelled"
    INVALIDATED = "Invalidated"


NOT_STARTED = frozenset({Status.PENDING, Status.QUEUED})
"""The execution waits for a worker."""

IN_PROGRESS = frozenset({Status.RUNNING, Status.INVALIDATED})
"""The execution has started and its outcome is not known yet (`Invalidated` waits for a retry)."""

FINISHED = frozenset({Status.COMPLETED, Status.STOPPED, Status.CANCELLED})

NO_EXECUTION = str(_("No execution found"))
"""Shown as the current status when the window holds no execution (documented wording)."""

_BY_FOLDED_NAME = {status.value.casefold(): status for status in Status}


def parse_status(text: str) -> Status | None:
    """Return the status that `text` spells in any case, or None if it spells none."""
    return _BY_FOLDED_NAME.get(text.strip().casefold())


def nearest_status(text: str) -> str:
    """Return the documented spelling closest to `text`, or an empty string."""
    return next(iter(nearest(text, [status.value for status in Status])), "")


# Thousands of rules expect the same few combinations.
@lru_cache(maxsize=256)
def title_case(statuses: tuple[Status, ...]) -> Text:
    """Return statuses as mails show them: `Completed, Running`."""
    return joined((_(status.value.title()) for status in statuses), ", ")


@lru_cache(maxsize=256)
def either(statuses: tuple[Status, ...]) -> Text:
    """Return statuses, at least one, as alternatives: `Completed or Running`."""
    texts = [_(status.value) for status in statuses]
    return reduce(lambda one, other: _("{one} or {other}", one=one, other=other), texts)
