"""Whether the monitor itself is well: facts in, what is wrong with it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_OWED = timedelta(minutes=30)
"""A message that is owed for longer means that delivery does not work."""
_TOLERANCE = timedelta(minutes=5)
DEFAULT_INTERVAL = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What can be seen of the monitor."""

    now: datetime
    rules: int
    """Enabled rules, and entries of scheduled JSON arguments."""
    interval: timedelta | None = None
    """Longest wait between two scheduled checks; None: none is scheduled regularly."""
    last_check: datetime | None = None
    """Start of the newest complete check."""
    last_beat: datetime | None = None
    """When beat sent anything last."""
    oldest_owed: datetime | None = None
    """When the oldest message that is still owed was decided."""
    owed: int = 0
    last_recorded: datetime | None = None
    """When the recorder wrote last; None: it never did, or somebody else keeps the log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong."""

    name: str
    """For programs: `checks`, `beat`, `outbox`."""
    text: str
    """For people."""


def problems(facts: Facts) -> list[Problem]:
    """Return what is wrong; empty: nothing is.

    A check is late after twice its interval and five minutes; where nothing is scheduled
    regularly, five minutes count as the interval.
    """
    found = []
    if facts.rules:
        found += _late_checks(facts)
    if facts.oldest_owed is not None and facts.now - facts.oldest_owed > LONGEST_OWED:
        plural = "message is" if facts.owed == 1 else "messages are"
        text = f"{facts.owed} {plural} still owed, the oldest for {_ago(facts.oldest_owed, facts)}"
        found.append(Problem(name="outbox", text=text))
    return found


def _late_checks(facts: Facts) -> list[Problem]:
    limit = 2 * (facts.interval or DEFAULT_INTERVAL) + _TOLERANCE
    if facts.last_check is not None and facts.now - facts.last_check <= limit:
        return []
    if facts.last_check is None:
        text = "no check has ever been completed"
    else:
        text = f"the last complete check began {_ago(facts.last_check, facts)} ago"
    found = [Problem(name="checks", text=text)]
    if facts.interval is None:
        found.append(Problem(name="schedule", text="no periodic task runs checks regularly"))
    elif facts.last_beat is None:
        found.append(Problem(name="beat", text="beat has never sent anything"))
    elif facts.now - facts.last_beat > limit:
        text = f"beat has sent nothing for {_ago(facts.last_beat, facts)}"
        found.append(Problem(name="beat", text=text))
    return found


def _ago(at: datetime, facts: Facts) -> str:
    minutes = int((facts.now - at).total_seconds() // 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours else f"{minute} min"
