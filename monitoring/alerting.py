"""From decisions to the messages they owe, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldError

from monitoring.core.fields import is_address
from monitoring.core.incidents import MessageKind, OpenEvent, State, Step
from monitoring.core.messages import facts
from monitoring.core.recipients import resolve_recipients
from monitoring.core.values import Rule, Verdict, VerdictKind
from monitoring.models import AlertEvent, Notification, NotificationState


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


@dataclass(kw_only=True, slots=True)
class Decision:
    """What one check decided for one rule."""

    rule: Rule
    verdict: Verdict
    step: Step
    state: StateRow
    event: AlertEvent | None


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
            is_acknowledged=event.acknowledged_at is not None,
        ),
    )


def superuser_addresses() -> tuple[str, ...]:
    """Return the addresses of active superusers (documented behaviour 10.7.1)."""
    users = get_user_model()
    email = users.get_email_field_name()
    try:
        rows = users._default_manager.filter(is_superuser=True, is_active=True).order_by("pk")
        return tuple(
            address for address in rows.values_list(email, flat=True) if is_address(address)
        )
    except FieldError:  # a user model without superusers
        return ()


def owed_messages(
    decisions: Sequence[Decision], now: datetime, superusers: Sequence[str]
) -> list[Owed]:
    """Return the messages that the decisions owe, with whom they go to."""
    recovered = [
        decision.event.pk
        for decision in decisions
        if decision.event is not None and decision.step.owed is MessageKind.RECOVERY
    ]
    told = _who_was_told(recovered)
    owed: list[Owed] = []
    for decision in decisions:
        kind = MessageKind.ALERT if decision.step.tell_cannot_check else decision.step.owed
        if kind is None:
            continue
        recipients = resolve_recipients(decision.rule.notify_to, superusers)
        if kind is MessageKind.RECOVERY and decision.event is not None:
            recipients = tuple(told.get(decision.event.pk, ()))
        owed.append(
            Owed(
                decision=decision,
                kind=kind,
                facts=_facts(decision, kind, now),
                recipients=recipients,
            )
        )
    return owed


def _facts(decision: Decision, kind: MessageKind, now: datetime) -> dict[str, Any]:
    event = decision.event
    return facts(
        decision.rule,
        decision.verdict,
        kind,
        now,
        opened_at=event.opened_at if event else now,
        failing_checks=decision.step.failing_checks,
    )


def _who_was_told(event_ids: Sequence[int]) -> dict[int, list[str]]:
    told: dict[int, list[str]] = {}
    if event_ids:
        rows = (
            Notification.objects.filter(alert_event__in=event_ids, kind=MessageKind.ALERT.value)
            .exclude(state__in=(NotificationState.SUPPRESSED, NotificationState.FAILED))
            .order_by("recipient")
            .values_list("alert_event", "recipient")
            .distinct()
        )
        for event_id, recipient in rows:
            told.setdefault(event_id, []).append(recipient)
    return told
