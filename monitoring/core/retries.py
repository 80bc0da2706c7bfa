"""When a message that was not accepted is tried again, and when it is given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
LONGEST_OUTAGE_WAIT = timedelta(minutes=15)
"""A server that is back is noticed within this time."""
JITTER = 0.2
"""Share of the wait by which it varies, so that messages do not all return at once."""
GIVE_UP_AFTER = timedelta(hours=48)


class Fault(StrEnum):
    """Why a message was not accepted."""

    UNREACHABLE = "unreachable"
    """The server takes nothing from us, which says nothing about this message."""
    DEFERRED = "deferred"
    """The server refused this message for now, or hung up on it."""
    REFUSED = "refused"
    """The server refused this recipient for good (5xx)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """What becomes of a message after a failed attempt."""

    at: datetime | None
    """When it is tried again; None: never."""
    reason: str
    """Why it is given up; empty: it is not."""


def after_failure(
    fault: Fault, attempts: int, refused_since: datetime, now: datetime, chance: float
) -> Retry:
    """Say when a message is tried again after its latest failure.

    attempts: failures so far, this one included. refused_since: the first of the refusals in a
    row, before which the server had not seen the message. refused_since, now: aware, UTC. chance:
    0 to 1, spreads the wait. A server that cannot be reached is never given up; a message that it
    keeps refusing is, after 48 hours.
    """
    if fault is Fault.REFUSED:
        return Retry(at=None, reason="refused for good")
    if fault is Fault.DEFERRED and now - refused_since >= GIVE_UP_AFTER:
        return Retry(at=None, reason="refused for 48 hours")
    longest = LONGEST_OUTAGE_WAIT if fault is Fault.UNREACHABLE else LONGEST_WAIT
    # The exponent is bounded, because two to the power of a week of attempts is no time at all.
    wait = min(FIRST_WAIT * 2 ** min(max(attempts, 1) - 1, 10), longest)
    spread = 1 + JITTER * (2 * chance - 1)
    return Retry(at=now + wait * spread, reason="")
