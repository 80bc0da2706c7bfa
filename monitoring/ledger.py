"""Writing down what a check decided: states, alert events and the outbox.

Everything here runs inside the transaction of one batch, in a constant number of queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from monitoring.alerting import Decision, Outcome, Owed
from monitoring.bulk import insert, replace
from monitoring.core.incidents import Action, MessageKind, Step
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
    "resolved_at",
    "resolution",
)
HOLD_LONGER = timedelta(minutes=2)
"""Gives the next check the time to gather what one that was killed has left."""
_STATE_UPDATES = ("task_name", "verdict", "failing_checks", "unknown_checks", "last_checked_at")
_SETTINGS = (
    "notify_to",
    "description",
    "alert_after",
    "remind_hours",
    "notify_on_recovery",
    "max_runtime_minutes",
    "while_running",
)
"""What else an event keeps of its rule, so that history still says why when the rule is gone."""


def write(outcome: Outcome, now: datetime, run: MonitorRun) -> list[Notification]:
    """Write states, events and outbox rows in a constant number of queries; return the rows.

    Messages are not due before the check ends, which lets them go: see `gathering`. If it is
    killed they go by themselves, a little after others may take its lease.
    """
    unreached = {message.decision.rule.key for message in outcome.owed if not message.recipients}
    _write_states(outcome, unreached, now)
    events = _write_events(outcome.decisions, unreached, now)
    rows = [
        _notification(message, recipient, events, run)
        for message in outcome.owed
        for recipient in message.recipients
    ]
    insert(Notification, rows)
    return rows


def _write_states(outcome: Outcome, unreached: set[str], now: datetime) -> None:
    if outcome.stale:
        RuleState.objects.filter(pk__in=outcome.stale).update(last_checked_at=now)
    changed = [
        RuleState(
            pk=decision.state.pk,
            key=decision.rule.key,
            task_name=decision.rule.task_name,
            verdict=decision.verdict.kind.value,
            failing_checks=decision.step.failing_checks,
            unknown_checks=_unknown_checks(decision.step, decision.rule.key in unreached),
            last_checked_at=now,
        )
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
) -> dict[str, AlertEvent]:
    """Write opened, updated and resolved events; return all of them by key."""
    opened: list[AlertEvent] = []
    updated: list[AlertEvent] = []
    for decision in decisions:
        if decision.step.action is Action.NONE:
            continue
        event = decision.event
        if event is None:
            event = AlertEvent(
                rule_id=decision.rule.rule_id,
                periodic_task=decision.rule.periodic_task,
                key=decision.rule.key,
                open_key=decision.rule.key,
                task_name=decision.rule.task_name,
                opened_at=now,
            )
            opened.append(event)
        else:
            updated.append(event)
        decision.event = event
        _apply(decision, event, decision.rule.key in unreached, now)
    insert(AlertEvent, opened)
    replace(AlertEvent, updated, _EVENT_UPDATES)
    return _with_keys(opened, updated)


def _with_keys(
    opened: Sequence[AlertEvent], updated: Sequence[AlertEvent]
) -> dict[str, AlertEvent]:
    if any(event.pk is None for event in opened):
        # MySQL does not tell the keys of rows it has just inserted.
        by_key = AlertEvent.objects.filter(open_key__in=[event.open_key for event in opened])
        opened = list(by_key)
    return {event.key: event for event in (*opened, *updated)}


def _apply(decision: Decision, event: AlertEvent, is_unreached: bool, now: datetime) -> None:
    rule, verdict, step = decision.rule, decision.verdict, decision.step
    event.last_checked_at = now
    if step.owed is not None:
        event.last_message_at = now
    if step.action is Action.RESOLVE:
        event.open_key, event.resolved_at = None, now
        event.resolution = AlertEvent.Resolution.RECOVERED
        event.alert_owed = False
        return
    event.rule_name = rule.name
    event.upstream_id = step.upstream.event_id if step.upstream else event.upstream_id
    execution = verdict.execution
    event.verdict, event.current_status = verdict.kind.value, verdict.current_status
    event.failing_checks = step.failing_checks
    event.expected_statuses = [status.value for status in rule.expected_statuses]
    event.lookback_hours = rule.lookback_hours
    event.dependent_tasks = list(rule.dependent_tasks)
    event.rule_settings = {name: getattr(rule, name) for name in _SETTINGS}
    event.context_model = rule.context.model if rule.context else ""
    event.context_type = rule.context.type if rule.context else ""
    event.task_id = execution.task_id if execution else ""
    event.started_at = execution.started_at if execution else None
    event.finished_at = execution.finished_at if execution else None
    if step.owed is MessageKind.ALERT:
        event.alert_owed = is_unreached or step.suppressed_by in {"snooze", "upstream"}


def _notification(
    message: Owed, recipient: str, events: dict[str, AlertEvent], run: MonitorRun
) -> Notification:
    step = message.decision.step
    about_event = not step.tell_cannot_check
    return Notification(
        alert_event=events[message.decision.rule.key] if about_event else None,
        kind=message.kind.value,
        recipient=recipient,
        subject=message.facts["subject"],
        facts=message.facts,
        state=NotificationState.SUPPRESSED if step.suppressed_by else NotificationState.PENDING,
        suppressed_by=step.suppressed_by,
        run=run,
        created_at=run.started_at,
        next_attempt_at=_held_until(run),
    )


def _held_until(run: MonitorRun) -> datetime:
    """Return when a message goes by itself; never so far ahead that no clock could mean it."""
    lease_ends = run.leased_until or run.started_at
    return min(lease_ends + HOLD_LONGER, run.started_at + FARTHEST)
