"""Whether the monitor itself is well: facts in, what is wrong with it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_OWED = timedelta(minutes=30)
"""A message that is owed for longer means that delivery does not work."""
_TOLERANCE = timedelta(minutes=5)
DEFAULT_INTERVAL = timedelta(minutes=5)
PROBLEMS = ("checks", "schedule", "beat", "outbox")
"""Names of everything that can be wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegularCheck:
    """One check that has to come again and again."""

    name: str
    """What it checks: `all rules`, `JSON arguments of Hourly check`."""
    interval: timedelta | None = None
    """Longest wait between two of them; None: nothing asks for it regularly."""
    last: datetime | None = None
    """Start of the newest complete one."""
    awaited_since: datetime | None = None
    """When it was put on the schedule, if it has not come since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What can be seen of the monitor."""

    now: datetime
    rules: int
    """Enabled rules, and entries of scheduled JSON arguments."""
    checks: Sequence[RegularCheck] = ()
    """Each is judged by itself: no other check stands for it."""
    last_check: datetime | None = None
    """Start of the newest complete check of all rules, or of what is checked instead."""
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
    """For programs: one of `PROBLEMS`."""
    text: str
    """For people."""


def problems(facts: Facts) -> list[Problem]:
    """Return what is wrong; empty: nothing is.

    A check is late after twice its interval and five minutes; where nothing is scheduled
    regularly, five minutes count as the interval.
    """
    late = [check for check in facts.checks if _is_late(check, facts.now)]
    found = [Problem(name="checks", text=_since_when(check, facts)) for check in late]
    found += _why_late(late, facts)
    if facts.oldest_owed is not None and facts.now - facts.oldest_owed > LONGEST_OWED:
        plural = "message is" if facts.owed == 1 else "messages are"
        text = f"{facts.owed} {plural} still owed, the oldest for {_ago(facts.oldest_owed, facts)}"
        found.append(Problem(name="outbox", text=text))
    return found


def _is_late(check: RegularCheck, now: datetime) -> bool:
    known = [at for at in (check.last, check.awaited_since) if at is not None]
    return not known or now - max(known) > limit(check)


def limit(check: RegularCheck) -> timedelta:
    """Return how long after one check the next is not late."""
    return 2 * (check.interval or DEFAULT_INTERVAL) + _TOLERANCE


def _since_when(check: RegularCheck, facts: Facts) -> str:
    if check.last is None:
        return f"no check of {check.name} has ever been completed"
    return f"the last complete check of {check.name} began {_ago(check.last, facts)} ago"


def _why_late(late: Sequence[RegularCheck], facts: Facts) -> list[Problem]:
    """Return the reason that can be seen from here."""
    found = [
        Problem(name="schedule", text=f"no periodic task regularly asks for a check of {one.name}")
        for one in late
        if one.interval is None
    ]
    limits = [limit(one) for one in late if one.interval is not None]
    if not limits:
        return found
    if facts.last_beat is None:
        found.append(Problem(name="beat", text="beat has never sent anything"))
    elif facts.now - facts.last_beat > min(limits):
        text = f"beat has sent nothing for {_ago(facts.last_beat, facts)}"
        found.append(Problem(name="beat", text=text))
    return found


def _ago(at: datetime, facts: Facts) -> str:
    minutes = int((facts.now - at).total_seconds() // 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours else f"{minute} min"
