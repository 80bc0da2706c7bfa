"""Writing down what a check decided: states, alert events and the outbox.

Everything here runs inside the transaction of one batch, in a constant number of queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import Any

from django.db import OperationalError, connection, connections
from django.db.models import QuerySet

from monitoring.alerting import Decision, Outcome, Owed, StateRow
from monitoring.core.incidents import Action, MessageKind
from monitoring.core.values import Rule
from monitoring.models import AlertEvent, Notification, NotificationState, RuleState
from monitoring.models.name_table import name_table

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
    "resolved_at",
    "resolution",
)
NOTE_FINE_EVERY = timedelta(minutes=15)
"""How old the time of the last check may get on a rule that stays fine: that every such rule was
checked stands in the record of the check, and writing it on each would cost more than the check."""
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
_ROWS = 1000
"""Most rows of one statement: as many as a batch has rules."""
_STATE_COLUMNS = ("key", "pk", "verdict", "failing_checks", "unknown_checks")


def read_unsettled(rules: Sequence[Rule], now: datetime) -> dict[str, StateRow]:
    """Return the states of the rules that were not fine at a recent check, by key.

    The database leaves out what was fine: reading ten thousand rows to learn that nothing has
    changed takes longer than the rest of the check.
    """
    connection = connections[RuleState.objects.db]
    table, keys = name_table(connection, [rule.key for rule in rules])
    oldest = connection.ops.adapt_datetimefield_value(now - NOTE_FINE_EVERY)
    key = connection.ops.quote_name("key")  # a reserved word in MariaDB
    sql = (
        "SELECT wanted.name, state.id, state.verdict, "  # noqa: S608 - names of our own
        "state.failing_checks, state.unknown_checks "
        f"FROM {table} LEFT JOIN {RuleState._meta.db_table} state ON state.{key} = wanted.name "
        "WHERE state.id IS NULL OR state.verdict <> 'ok' OR state.failing_checks > 0 "
        "OR state.unknown_checks > 0 OR state.last_checked_at IS NULL "
        "OR state.last_checked_at < %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [keys, oldest])
        return {row[0]: _state(*row) for row in cursor.fetchall()}


def read_states(rules: Sequence[Rule]) -> dict[str, StateRow]:
    """Return what is remembered of each rule; one that was never checked has an empty state."""
    keys = [rule.key for rule in rules]
    found = _as_states(RuleState.objects.filter(key__in=keys))
    return {key: found.get(key) or StateRow(key=key) for key in keys}


def lock_states(rules: Sequence[Rule]) -> dict[str, StateRow]:
    """Return the states of rules, created where missing and locked until the batch is written.

    The locks make two checks of the same rule follow each other; they are taken in the order of
    the keys, so that two checks cannot wait for each other.
    """
    if not rules:
        return {}
    keys = sorted(rule.key for rule in rules)
    rows = RuleState.objects.select_for_update().filter(key__in=keys).order_by("key")
    states = _as_states(rows)
    missing = sorted((rule for rule in rules if rule.key not in states), key=lambda rule: rule.key)
    if missing:
        with _whole_statements():
            RuleState.objects.bulk_create(
                [RuleState(key=rule.key, task_name=rule.task_name) for rule in missing],
                ignore_conflicts=True,
            )
        states = _as_states(rows)
    return states


def _state(key: str, pk: int | None, *values: Any) -> StateRow:
    return StateRow(key) if pk is None else StateRow(key, pk, *values)


def _as_states(rows: QuerySet[RuleState]) -> dict[str, StateRow]:
    return {row[0]: StateRow(*row) for row in rows.values_list(*_STATE_COLUMNS)}


def is_deadlock(error: OperationalError) -> bool:
    """Say whether the database gave a transaction up so that another could go on."""
    is_postgresql = getattr(error.__cause__, "sqlstate", None) == "40P01"
    is_mysql = error.args[:1] == (1213,)
    return is_postgresql or is_mysql


def open_events(rules: Sequence[Rule]) -> dict[str, AlertEvent]:
    """Return the open event of each rule that has one, by key."""
    if not rules:
        return {}
    events = AlertEvent.objects.filter(open_key__in=[rule.key for rule in rules])
    return {str(event.open_key): event for event in events}


def write(outcome: Outcome, now: datetime) -> list[Notification]:
    """Write states, events and outbox rows in a constant number of queries; return the rows."""
    unreached = {message.decision.rule.key for message in outcome.owed if not message.recipients}
    with _whole_statements():
        _write_states(outcome, now)
        events = _write_events(outcome.decisions, unreached, now)
        rows = [
            _notification(message, recipient, events, now)
            for message in outcome.owed
            for recipient in message.recipients
        ]
        return Notification.objects.bulk_create(rows, batch_size=_ROWS)


@contextmanager
def _whole_statements() -> Iterator[None]:
    """Write a batch with one statement on SQLite as well.

    Django cuts statements to the 999 parameters that SQLite took before 2020.
    """
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    features: Any = connection.features
    before = features.max_query_params
    features.max_query_params = connection.connection.getlimit(SQLITE_LIMIT_VARIABLE_NUMBER)
    try:
        yield
    finally:
        features.max_query_params = before


def _write_states(outcome: Outcome, now: datetime) -> None:
    if outcome.stale:
        RuleState.objects.filter(pk__in=outcome.stale).update(last_checked_at=now)
    changed = [
        RuleState(
            pk=decision.state.pk,
            key=decision.rule.key,
            task_name=decision.rule.task_name,
            verdict=decision.verdict.kind.value,
            failing_checks=decision.step.failing_checks,
            unknown_checks=decision.step.unknown_checks,
            last_checked_at=now,
        )
        for decision in outcome.decisions
    ]
    _replace(RuleState, changed, _STATE_UPDATES)


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
                rule_name=decision.rule.name,
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
    AlertEvent.objects.bulk_create(opened, batch_size=_ROWS)
    _replace(AlertEvent, updated, _EVENT_UPDATES)
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
        event.alert_owed = is_unreached or step.suppressed_by == "snooze"


def _notification(
    message: Owed, recipient: str, events: dict[str, AlertEvent], now: datetime
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
        created_at=now,
        next_attempt_at=now,
    )


def _replace(model: type[Any], rows: Sequence[Any], fields: Iterable[str]) -> None:
    """Write existing rows of one batch back with one statement.

    An upsert on the primary key; a bulk_update of this size spends seconds on its CASE terms.
    """
    if not rows:
        return
    target = connection.features.supports_update_conflicts_with_target
    model.objects.bulk_create(
        rows,
        batch_size=_ROWS,
        update_conflicts=True,
        unique_fields=["pk"] if target else None,
        update_fields=list(fields),
    )
