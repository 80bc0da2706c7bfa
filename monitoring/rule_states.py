"""What is remembered of rules between checks: read, and locked for a check that writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.models import QuerySet

from monitoring.alerting import StateRow, identity_of
from monitoring.bulk import insert
from monitoring.core.values import Rule
from monitoring.models import AlertEvent, RuleState
from monitoring.models.name_table import name_table
from monitoring.sieve import NOTE_FINE_EVERY

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
        new = [identity_of(rule) for rule in missing]
        insert(RuleState, new, ignore_conflicts=True)
        states = _as_states(rows)
    return states


def _state(key: str, pk: int | None, *values: Any) -> StateRow:
    return StateRow(key) if pk is None else StateRow(key, pk, *values)


def _as_states(rows: QuerySet[RuleState]) -> dict[str, StateRow]:
    return {row[0]: StateRow(*row) for row in rows.values_list(*_STATE_COLUMNS)}


def checked_since(rules: Sequence[Rule], since: datetime) -> set[str]:
    """Return the keys of the rules that a check which began at `since` has written already."""
    keys = [rule.key for rule in rules]
    rows = RuleState.objects.filter(key__in=keys, last_checked_at__gte=since)
    return set(rows.values_list("key", flat=True))


def open_events(rules: Sequence[Rule]) -> dict[str, AlertEvent]:
    """Return the open event of each rule that has one, by key."""
    if not rules:
        return {}
    keys = [rule.key for rule in rules]
    events = AlertEvent.objects.filter(open_key__in=keys).select_related("upstream")
    return {str(event.open_key): event for event in events}
