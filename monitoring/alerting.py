"""From decisions to the messages they owe, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils import translation

from monitoring import causes, dependents
from monitoring.core.causes import Cause
from monitoring.core.incidents import Action, MessageKind, OpenEvent, State, Step
from monitoring.core.keys import rule_key
from monitoring.core.messages import facts
from monitoring.core.recipients import resolve_recipients
from monitoring.core.statuses import FINISHED
from monitoring.core.values import Rule, Verdict, VerdictKind
from monitoring.core.wording import Remembered, Words, said
from monitoring.dependents import Dependent, Health
from monitoring.models import AlertEvent, Notification, NotificationState
from monitoring.rendering import mail_language


class StateRow(NamedTuple):
    """What is remembered of a rule, as plain values of its `RuleState`."""

    key: str
    pk: int | None = None
    verdict: str = ""
    failing_checks: int = 0
    unknown_checks: int = 0

    @property
    def is_fine(self) -> bool:
        """The last verdict was ok, so nothing is counted and nothing is open."""
        return self.verdict == "ok" and not self.failing_checks and not self.unknown_checks


def identity_of(rule: Rule) -> dict[str, Any]:
    """Return the columns of a `RuleState` that say what it is the state of.

    A rule with a context that cannot be read has none, but its key knows.
    """
    is_plain = rule.rule_id is None or rule.key == rule_key(rule.rule_id, rule.task_name, None)
    return {
        "key": rule.key,
        "rule_id": rule.rule_id,
        "has_context": not is_plain,
        "task_name": rule.task_name,
    }


@dataclass(kw_only=True, slots=True)
class Decision:
    """What one check decided for one rule."""

    rule: Rule
    verdict: Verdict
    step: Step
    state: StateRow
    event: AlertEvent | None
    cause: Cause | None = None
    """Why it probably fails; None: there is no evidence of any cause, or nobody is told."""
    told_cause: str = ""
    """The same in the language of mails."""
    not_checked_from: datetime | None = None
    """Checks that judge it were missing from here until now; every message about it says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """One message to one rule's recipients."""

    decision: Decision
    kind: MessageKind
    facts: dict[str, Any]
    recipients: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one check found for one batch of rules."""

    settled: int
    """How many rules were fine and still are."""
    stale: Sequence[int]
    """States of those that should be told again when they were last checked."""
    decisions: Sequence[Decision]
    owed: Sequence[Owed]


def read_state(state: StateRow, event: AlertEvent | None) -> State:
    """Return what is remembered of a rule as the core's value."""
    return State(
        verdict=VerdictKind(state.verdict) if state.verdict else None,
        failing_checks=state.failing_checks,
        unknown_checks=state.unknown_checks,
        open_event=None
        if event is None
        else OpenEvent(
            verdict=VerdictKind(event.verdict),
            failing_checks=event.failing_checks,
            last_message_at=event.last_message_at,
            alert_owed=event.alert_owed,
            opened_at=event.opened_at,
            is_acknowledged=event.acknowledged_at is not None,
            acknowledged_until=event.acknowledged_until,
        ),
    )


def explain(decisions: Sequence[Decision], now: datetime, *, beat_asks: bool = False) -> None:
    """Write into each decision why its rule probably fails, if people are to be told of it.

    Or if its event is young and has no cause yet: what explains it may come later than the alert.
    beat_asks: beat has sent the check, and therefore lives.
    """
    asked = [one for one in decisions if _is_to_be_told(one) or _lacks_cause(one, now)]
    find_causes(asked, now, beat_asks=beat_asks)


def _is_to_be_told(decision: Decision) -> bool:
    return decision.step.owed in _ABOUT_FAILURE


def _lacks_cause(decision: Decision, now: datetime) -> bool:
    event, execution = decision.event, decision.verdict.execution
    if event is None or event.cause or not decision.verdict.is_failing:
        return False
    if execution and execution.status in FINISHED and execution.started_at == event.started_at:
        return False  # it has ended, and says no more than it did
    return timedelta(0) <= now - event.opened_at < LOOKS_AGAIN


def find_causes(decisions: Sequence[Decision], now: datetime, *, beat_asks: bool = False) -> None:
    """Write into each decision why its rule probably fails, whoever is told of it."""
    found = causes.find([(one.rule, one.verdict) for one in decisions], now, beat_asks=beat_asks)
    with mail_language():
        for one in decisions:
            if cause := found.get(one.rule.key):
                one.cause, one.told_cause = cause, said(cause.text, translation)


_ABOUT_FAILURE = frozenset({MessageKind.ALERT, MessageKind.REMINDER})
LOOKS_AGAIN = timedelta(hours=1)
"""How long each check looks for the cause of an event that has none."""


def owed_messages(
    decisions: Sequence[Decision],
    now: datetime,
    superusers: Sequence[str],
) -> list[Owed]:
    """Return the messages that the decisions owe, with whom they go to."""
    recovered = [
        decision.event.pk
        for decision in decisions
        if decision.event is not None and decision.step.owed is MessageKind.RECOVERY
    ]
    told = _who_was_told(recovered)
    due = [(decision, kind) for decision in decisions if (kind := _kind_of(decision.step))]
    others = _dependents(decisions, [decision.rule for decision, _ in due], now)
    owed: list[Owed] = []
    with mail_language():
        words = Remembered(translation)
        for decision, kind in due:
            recipients = resolve_recipients(
                decision.rule.notify_to, superusers, decision.rule.channels
            )
            if kind is MessageKind.RECOVERY and decision.event is not None:
                recipients = tuple(told.get(decision.event.pk, ()))
            owed.append(
                Owed(
                    decision=decision,
                    kind=kind,
                    facts=_facts(decision, kind, now, others, words),
                    recipients=recipients,
                )
            )
    return owed


def _kind_of(step: Step) -> MessageKind | None:
    return MessageKind.ALERT if step.tell_cannot_check else step.owed


def _dependents(
    decisions: Sequence[Decision], telling: Sequence[Rule], now: datetime
) -> dict[str, Dependent]:
    """Return how the dependents of rules do: by this check where it looked, else by the last."""
    names = {name for rule in telling for name in rule.dependent_tasks}
    known = dependents.read(names)
    seen: dict[str, Dependent] = {}
    for decision in decisions:
        name = decision.rule.task_name
        if name in names:
            health = dependents.health_of(decision.verdict.kind.value)
            opened = decision.event.opened_at if decision.event else now
            is_failing = health is Health.FAILING and decision.step.action is not Action.NONE
            dependents.worst(seen, name, Dependent(health, opened if is_failing else None))
    return known | seen


def _facts(
    decision: Decision,
    kind: MessageKind,
    now: datetime,
    others: dict[str, Dependent],
    words: Words,
) -> dict[str, Any]:
    event = decision.event
    return facts(
        decision.rule,
        decision.verdict,
        kind,
        now,
        opened_at=event.opened_at if event else now,
        failing_checks=decision.step.failing_checks,
        cause=decision.told_cause,
        is_none_due=decision.cause is not None and decision.cause.is_none_due,
        held_behind=_held_behind(event),
        not_checked_from=decision.not_checked_from,
        dependent_states=dependents.as_facts(decision.rule.dependent_tasks, others),
        words=words,
    )


def _held_behind(event: AlertEvent | None) -> str:
    """Return the task whose failure has held back the alert that goes out only now."""
    if event is None or event.upstream is None or not event.alert_owed:
        return ""
    return str(event.upstream.task_name)


def _who_was_told(event_ids: Sequence[int]) -> dict[int, list[str]]:
    """Return who heard of the alerts of events, in one query, or two after a refused digest."""
    if not event_ids:
        return {}
    alerts = Notification.objects.filter(
        alert_event__in=event_ids, kind=MessageKind.ALERT.value
    ).exclude(state=NotificationState.SUPPRESSED)
    told: dict[int, set[str]] = {}
    refused: list[tuple[int, int]] = []
    columns = ("alert_event", "recipient", "state", "digest")
    for event_id, recipient, state, digest in alerts.values_list(*columns):
        if state != NotificationState.FAILED:
            told.setdefault(event_id, set()).add(recipient)
        elif digest is not None:
            refused.append((event_id, digest))
    heard = _heard_instead({digest for _, digest in refused})
    for event_id, digest in refused:
        told.setdefault(event_id, set()).update(heard.get(digest, ()))
    return {event_id: sorted(recipients) for event_id, recipients in told.items() if recipients}


def _heard_instead(digests: set[int]) -> dict[int | None, list[str]]:
    """Return who has got refused digests in the place of their recipients.

    Only what was sent: it is about no event itself, so that a recovery would not wait for it.
    """
    heard: dict[int | None, list[str]] = {}
    if digests:
        stand_ins = Notification.objects.filter(
            stands_in_for__in=digests, state=NotificationState.SENT
        )
        for digest, recipient in stand_ins.values_list("stands_in_for", "recipient"):
            heard.setdefault(digest, []).append(recipient)
    return heard
