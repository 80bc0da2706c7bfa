"""Writing down what a check decided: states, alert events and the outbox.

Everything here runs inside the transaction of one batch, in a constant number of queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from monitoring.alerting import Decision, Outcome, Owed, identity_of
from monitoring.bulk import insert, replace
from monitoring.core.channels import channel_of
from monitoring.core.incidents import Action, MessageKind, Step
from monitoring.core.values import Rule
from monitoring.models import (
    AlertEvent,
    MonitorRun,
    Notification,
    NotificationState,
    RuleState,
)
from monitoring.models.notification import FARTHEST

_EVENT_UPDATES = (
    "open_key",
    "verdict",
    "current_status",
    "task_id",
    "started_at",
    "finished_at",
    "expected_statuses",
    "lookback_hours",
    "dependent_tasks",
    "rule_settings",
    "last_checked_at",
    "failing_checks",
    "last_message_at",
    "alert_owed",
    "upstream",
    "rule_name",
    "cause",
    "resolved_at",
    "resolution",
)
HOLD_LONGER = timedelta(minutes=2)
"""Gives the next check the time to gather what one that was killed has left."""
_STATE_UPDATES = (
    "rule",
    "has_context",
    "task_name",
    "verdict",
    "failing_checks",
    "unknown_checks",
    "last_checked_at",
)
_SETTINGS = (
    "notify_to",
    "channels",
    "description",
    "alert_after",
    "remind_hours",
    "notify_on_recovery",
    "max_runtime_minutes",
    "max_duration_factor",
    "min_success_rate",
    "while_running",
)
"""What else an event keeps of its rule, so that history still says why when the rule is gone."""
_values_of_settings = attrgetter(*_SETTINGS)


class Written(NamedTuple):
    """What stands in the database after a batch was written."""

    messages: list[int]
    """Primary keys of the outbox rows."""
    events: dict[str, int]
    """Primary keys of the alert events by rule key."""


def write(outcome: Outcome, now: datetime, run: MonitorRun) -> Written:
    """Write states, events and outbox rows in a constant number of queries.

    Messages are not due before the check ends, which lets them go: see `gathering`. If it is
    killed they go by themselves, a little after others may take its lease.
    """
    unreached = {message.decision.rule.key for message in outcome.owed if not message.recipients}
    _write_states(outcome, unreached, now)
    events = _write_events(outcome.decisions, unreached, now)
    same = {"run_id": run.pk, "created_at": run.started_at, "next_attempt_at": _held_until(run)}
    rows = [
        {
            **same,
            **_message(message, events),
            "recipient": recipient,
            "channel": channel_of(recipient),
        }
        for message in outcome.owed
        for recipient in message.recipients
    ]
    return Written(insert(Notification, rows), events)


def _write_states(outcome: Outcome, unreached: set[str], now: datetime) -> None:
    if outcome.stale:
        RuleState.objects.filter(pk__in=outcome.stale).update(last_checked_at=now)
    changed = [
        {
            "id": decision.state.pk,
            **identity_of(decision.rule),
            "verdict": decision.verdict.kind.value,
            "failing_checks": decision.step.failing_checks,
            "unknown_checks": _unknown_checks(decision.step, decision.rule.key in unreached),
            "last_checked_at": now,
        }
        for decision in outcome.decisions
    ]
    replace(RuleState, changed, _STATE_UPDATES)


def _unknown_checks(step: Step, is_unreached: bool) -> int:
    """Return the count to keep: one too few while there is nobody to tell, so that it is tried."""
    return (
        step.unknown_checks - 1 if step.tell_cannot_check and is_unreached else step.unknown_checks
    )


def _write_events(
    decisions: Sequence[Decision], unreached: set[str], now: datetime
) -> dict[str, int]:
    """Write opened, updated and resolved events; return their primary keys by rule key."""
    opened: list[dict[str, Any]] = []
    updated: list[AlertEvent] = []
    for decision in decisions:
        if decision.step.action is Action.NONE:
            continue
        found = _found(decision, decision.rule.key in unreached, now)
        event = decision.event
        if event is None:
            opened.append(_opened(decision.rule, now) | found)
            continue
        for name, value in found.items():
            setattr(event, name, value)
        updated.append(event)
    keys = insert(AlertEvent, opened)
    replace(AlertEvent, [vars(event) for event in updated], _EVENT_UPDATES)
    return {event.key: event.pk for event in updated} | _keys_of(opened, keys)


def _keys_of(opened: Sequence[Mapping[str, Any]], keys: Sequence[int]) -> dict[str, int]:
    names = [event["key"] for event in opened]
    if len(keys) == len(names):
        return dict(zip(names, keys, strict=True))
    # MySQL does not tell the keys of rows it has just inserted.
    events = AlertEvent.objects.filter(open_key__in=names)
    return dict(events.values_list("key", "pk"))


def _opened(rule: Rule, now: datetime) -> dict[str, Any]:
    return {
        "rule_id": rule.rule_id,
        "periodic_task": rule.periodic_task,
        "key": rule.key,
        "open_key": rule.key,
        "task_name": rule.task_name,
        "opened_at": now,
    }


def _found(decision: Decision, is_unreached: bool, now: datetime) -> dict[str, Any]:
    """Return what a check writes into an event, whether it opens, goes on or ends."""
    rule, verdict, step = decision.rule, decision.verdict, decision.step
    values: dict[str, Any] = {"last_checked_at": now}
    if step.owed is not None:
        values["last_message_at"] = now
    if step.action is Action.RESOLVE:
        return values | {
            "open_key": None,
            "resolved_at": now,
            "resolution": AlertEvent.Resolution.RECOVERED.value,
            "alert_owed": False,
        }
    if step.owed is not None or decision.told_cause:
        values["cause"] = decision.told_cause or _cause_before(decision)
    if step.upstream is not None:
        values["upstream_id"] = step.upstream.event_id
    if step.owed is MessageKind.ALERT:
        values["alert_owed"] = is_unreached or step.suppressed_by in {"snooze", "upstream"}
    execution = verdict.execution
    return values | {
        "rule_name": rule.name,
        "verdict": verdict.kind.value,
        "current_status": verdict.current_status,
        "failing_checks": step.failing_checks,
        "expected_statuses": _listed(tuple(status.value for status in rule.expected_statuses)),
        "lookback_hours": rule.lookback_hours,
        "dependent_tasks": _listed(rule.dependent_tasks),
        "rule_settings": _settings(*_values_of_settings(rule)),
        "context_model": rule.context.model if rule.context else "",
        "context_type": rule.context.type if rule.context else "",
        "task_id": execution.task_id if execution else "",
        "started_at": execution.started_at if execution else None,
        "finished_at": execution.finished_at if execution else None,
    }


# One object for all rules that say the same becomes JSON once: see `bulk`.
@lru_cache(maxsize=1024)
def _listed(texts: tuple[str, ...]) -> list[str]:
    return list(texts)


@lru_cache(maxsize=1024, typed=True)
def _settings(*values: Any) -> dict[str, Any]:
    return dict(zip(_SETTINGS, values, strict=True))


def _cause_before(decision: Decision) -> str:
    """Return what was found while it could be found, unless the rule fails in another way now."""
    event = decision.event
    is_same = event is not None and event.verdict == decision.verdict.kind.value
    return event.cause if event is not None and is_same else ""


def _message(message: Owed, events: Mapping[str, int]) -> dict[str, Any]:
    step = message.decision.step
    about_event = not step.tell_cannot_check
    state = NotificationState.SUPPRESSED if step.suppressed_by else NotificationState.PENDING
    return {
        "alert_event_id": events[message.decision.rule.key] if about_event else None,
        "kind": message.kind.value,
        "subject": message.facts["subject"],
        "facts": message.facts,
        "state": state.value,
        "suppressed_by": step.suppressed_by,
    }


def _held_until(run: MonitorRun) -> datetime:
    """Return when a message goes by itself; never so far ahead that no clock could mean it."""
    lease_ends = run.leased_until or run.started_at
    return min(lease_ends + HOLD_LONGER, run.started_at + FARTHEST)
