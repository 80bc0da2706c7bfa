"""What an alert event goes through from one check to the next.

`step` looks a situation up in `TRANSITIONS`, top to bottom, and the first row that fits decides.
Snooze, acknowledgement and an upstream that fails already are applied afterwards: they silence a
message, never the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from monitoring.core.inhibition import Upstream
from monitoring.core.values import Rule, Verdict, VerdictKind

UNKNOWN_CHECKS_BEFORE_MAIL = 3
"""Checks in a row that could not judge a rule before its owners are told, once."""


LONGEST_HOLD = timedelta(minutes=60)
"""How long an alert may wait behind that of a task it depends on."""


class Action(StrEnum):
    """What becomes of the alert event."""

    NONE = "none"
    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


class MessageKind(StrEnum):
    ALERT = "alert"
    REMINDER = "reminder"
    RECOVERY = "recovery"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenEvent:
    """An alert event that is open before the check."""

    verdict: VerdictKind
    failing_checks: int
    last_message_at: datetime | None = None
    """When the last message was owed, sent or suppressed."""
    alert_owed: bool = False
    """Its alert has reached nobody yet: no recipient was found, or it was held."""
    opened_at: datetime | None = None
    """None: in this check."""
    is_acknowledged: bool = False
    acknowledged_until: datetime | None = None
    """When the acknowledgement ends; None: when the event does."""

    def is_silenced(self, now: datetime) -> bool:
        """Somebody takes care of it, and has not promised to be done by now."""
        until = self.acknowledged_until
        return self.is_acknowledged and (until is None or now < until)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What is remembered of a rule between two checks."""

    verdict: VerdictKind | None = None
    """The last verdict that judged the rule; None: never checked."""
    failing_checks: int = 0
    """Failing verdicts in a row; a check that cannot judge does not interrupt the row."""
    unknown_checks: int = 0
    """Checks in a row that could not judge, a young log not counted."""
    open_event: OpenEvent | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one verdict does to a rule's state."""

    action: Action
    owed: MessageKind | None
    reason: str
    """Name of the row of `TRANSITIONS` that decided."""
    failing_checks: int
    unknown_checks: int
    suppressed_by: str = ""
    """`snooze`, `acknowledgement` or `upstream` when the owed message is recorded but not sent."""
    upstream: Upstream | None = None
    """What held, or still holds, the alert."""
    tell_cannot_check: bool = False
    """The rule could not be judged often enough in a row to tell its owners."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    rule: Rule
    state: State
    verdict: Verdict
    now: datetime
    upstream: Upstream | None = None
    """A task that this one depends on, which fails and has told so."""

    @property
    def event(self) -> OpenEvent | None:
        return self.state.open_event

    @property
    def failing_checks(self) -> int:
        return self.state.failing_checks + 1 if self.verdict.is_failing else 0

    @property
    def is_held(self) -> bool:
        """Its first alert waits behind that of the upstream."""
        if self.upstream is None or not (self.event is None or self.event.alert_owed):
            return False
        since = self.event.opened_at if self.event else None
        return since is None or not _is_over(since, LONGEST_HOLD, self.now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """One row of the table."""

    name: str
    is_open: bool
    fits: Callable[[Situation], bool]
    action: Action
    owed: MessageKind | None = None


def _is_ok(at: Situation) -> bool:
    return at.verdict.kind is VerdictKind.OK


def _is_undecided(at: Situation) -> bool:
    return not at.verdict.is_failing and not _is_ok(at)


def _is_below_threshold(at: Situation) -> bool:
    return at.verdict.is_failing and at.failing_checks < at.rule.alert_after


def _is_failing(at: Situation) -> bool:
    return at.verdict.is_failing


def _verdict_changed(at: Situation) -> bool:
    return at.verdict.is_failing and at.event is not None and at.verdict.kind != at.event.verdict


def _alert_can_go_out_now(at: Situation) -> bool:
    return (
        at.verdict.is_failing
        and at.event is not None
        and at.event.alert_owed
        and not at.rule.is_snoozed(at.now)
        and not at.is_held
    )


def _alert_is_held(at: Situation) -> bool:
    return at.verdict.is_failing and at.event is not None and at.event.alert_owed


def _reminder_is_due(at: Situation) -> bool:
    if not at.verdict.is_failing or at.event is None or at.rule.remind_hours is None:
        return False
    return _is_over(at.event.last_message_at, timedelta(hours=at.rule.remind_hours), at.now)


def _is_over(since: datetime | None, length: timedelta, now: datetime) -> bool:
    """Say whether a time has passed since then.

    One that lies ahead is long ago: it was written before the clock was put right.
    """
    return since is None or not timedelta(0) <= now - since < length


def _acknowledgement_has_ended(at: Situation) -> bool:
    """Say that it fails for longer than somebody promised, and nobody was told of that yet."""
    if not at.verdict.is_failing or at.event is None or at.event.is_silenced(at.now):
        return False
    until, last = at.event.acknowledged_until, at.event.last_message_at
    if not at.event.is_acknowledged or until is None:
        return False
    return last is None or last < until or last > at.now


def _recovers_loudly(at: Situation) -> bool:
    return _is_ok(at) and at.rule.notify_on_recovery


TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        name="cannot judge, nothing open", is_open=False, fits=_is_undecided, action=Action.NONE
    ),
    Transition(name="fine", is_open=False, fits=_is_ok, action=Action.NONE),
    Transition(
        name="failing below the threshold",
        is_open=False,
        fits=_is_below_threshold,
        action=Action.NONE,
    ),
    Transition(
        name="failing at the threshold",
        is_open=False,
        fits=_is_failing,
        action=Action.OPEN,
        owed=MessageKind.ALERT,
    ),
    Transition(
        name="cannot judge, event stays", is_open=True, fits=_is_undecided, action=Action.NONE
    ),
    Transition(
        name="recovered",
        is_open=True,
        fits=_recovers_loudly,
        action=Action.RESOLVE,
        owed=MessageKind.RECOVERY,
    ),
    Transition(name="recovered quietly", is_open=True, fits=_is_ok, action=Action.RESOLVE),
    Transition(
        name="verdict changed",
        is_open=True,
        fits=_verdict_changed,
        action=Action.UPDATE,
        owed=MessageKind.ALERT,
    ),
    Transition(
        name="alert still owed",
        is_open=True,
        fits=_alert_can_go_out_now,
        action=Action.UPDATE,
        owed=MessageKind.ALERT,
    ),
    Transition(name="alert held", is_open=True, fits=_alert_is_held, action=Action.UPDATE),
    Transition(
        name="reminder due",
        is_open=True,
        fits=_reminder_is_due,
        action=Action.UPDATE,
        owed=MessageKind.REMINDER,
    ),
    Transition(
        name="acknowledgement ended",
        is_open=True,
        fits=_acknowledgement_has_ended,
        action=Action.UPDATE,
        owed=MessageKind.REMINDER,
    ),
    Transition(name="still failing", is_open=True, fits=_is_failing, action=Action.UPDATE),
)


def step(
    rule: Rule,
    state: State,
    verdict: Verdict,
    now: datetime,
    upstream: Upstream | None = None,
) -> Step:
    """Say what one verdict does to the rule's event and which message is owed.

    now: aware, UTC. rule.remind_hours and snooze are taken as of `now`. upstream: a failing task
    that this one depends on and that has alerted; None: there is none, or alerts are not held.
    """
    at = Situation(rule=rule, state=state, verdict=verdict, now=now, upstream=upstream)
    is_open = state.open_event is not None
    row = next(row for row in TRANSITIONS if row.is_open == is_open and row.fits(at))
    undecided = _is_undecided(at)
    unknown_checks = _unknown_checks(at)
    return Step(
        action=row.action,
        owed=row.owed,
        reason=row.name,
        failing_checks=state.failing_checks if undecided else at.failing_checks,
        unknown_checks=unknown_checks,
        suppressed_by=_silenced_by(row.owed, at),
        upstream=upstream if at.verdict.is_failing and at.is_held else None,
        tell_cannot_check=rule.is_stored and unknown_checks == UNKNOWN_CHECKS_BEFORE_MAIL,
    )


def _unknown_checks(at: Situation) -> int:
    """Return the checks in a row that could not judge the rule.

    A snooze holds the count below the mail, so that the first check after it tells.
    """
    if at.verdict.kind is not VerdictKind.UNKNOWN or at.verdict.young_log:
        return 0
    before = at.state.unknown_checks
    if before == UNKNOWN_CHECKS_BEFORE_MAIL - 1 and at.rule.is_snoozed(at.now):
        return before
    return before + 1


def _silenced_by(owed: MessageKind | None, at: Situation) -> str:
    if owed is None:
        return ""
    if at.rule.is_snoozed(at.now):
        return "snooze"
    if owed is MessageKind.RECOVERY:
        return ""
    if at.event is not None and at.event.is_silenced(at.now):
        return "acknowledgement"
    return "upstream" if at.is_held else ""
