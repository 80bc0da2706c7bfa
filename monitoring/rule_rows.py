"""Stored rules as the core's values, a thousand at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from django.db import connections
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from monitoring.core.channels import read_channel_names
from monitoring.core.fields import (
    InvalidValueError,
    read_addresses,
    read_context,
    read_duration_factor,
    read_lookback_hours,
    read_names,
    read_statuses,
    read_success_rate,
    shown,
)
from monitoring.core.keys import rule_key
from monitoring.core.statuses import Status
from monitoring.core.values import ContextFilter, Rule, WhileRunning
from monitoring.core.wording import Text as _
from monitoring.models import MonitorRule
from monitoring.models.raw_values import as_utc

T = TypeVar("T")


class RuleRow(NamedTuple):
    """One stored rule as plain values; lists are JSON text, dates and flags are text."""

    pk: int
    name: str
    task_name: str
    description: str
    expected_statuses: str
    lookback_hours: float
    notify_to: str
    channels: str
    dependent_tasks: str
    context_model: str
    context_field: str
    context_type: str
    alert_after: int
    remind_hours: float | None
    notify_on_recovery: str
    max_runtime_minutes: float | None
    max_duration_factor: float | None
    min_success_rate: float | None
    while_running: str
    snoozed_until: str | None
    created_at: str


_LISTS = ("expected_statuses", "notify_to", "channels", "dependent_tasks")
_TEXTS = (*_LISTS, "created_at", "snoozed_until", "notify_on_recovery")


def as_rows(rules: QuerySet[MonitorRule]) -> QuerySet[MonitorRule, tuple[Any, ...]]:
    """Select what `RuleRow` holds.

    As text, a list that is not JSON spoils only its own row, and nothing is decoded or converted
    for a rule that has not changed since the last check.
    """
    plain = {f"{name}_plain": Cast(name, TextField()) for name in _TEXTS}
    columns = [f"{name}_plain" if f"{name}_plain" in plain else name for name in RuleRow._fields]
    return rules.annotate(**plain).values_list(*columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Rules that are checked in one transaction."""

    rules: Sequence[Rule]
    unusable: dict[str, str] = field(default_factory=dict)
    """Why a rule cannot be judged, by key: its row holds what no rule may hold."""
    fine: int = 0
    """How many others are fine, as they were: see `sieve`."""
    stale: Sequence[int] = ()
    """States of those that should be told again when they were last checked."""

    def halves(self) -> list[Batch]:
        """Return it in two, or nothing if it cannot be divided."""
        if len(self.rules) > 1:
            middle = len(self.rules) // 2
            first, second = self.rules[:middle], self.rules[middle:]
            return [replace(self, rules=first), replace(self, rules=second, fine=0, stale=())]
        if len(self.stale) > 1 and not self.rules:
            middle = len(self.stale) // 2
            older, newer = self.stale[:middle], self.stale[middle:]
            return [replace(self, stale=older), replace(self, stale=newer, fine=0)]
        return []


def read_rows(rows: Iterable[tuple[Any, ...]]) -> Batch:
    """Read rows of `as_rows`; a row that was written past the model's checks is told apart."""
    rules: list[Rule] = []
    unusable: dict[str, str] = {}
    for values in rows:
        known = _remembered.get(values[0])
        if known is None or known[0] != values:
            known = _remember(values)
        _, rule, complaint = known
        if complaint:
            unusable[rule.key] = complaint
        rules.append(rule)
    return Batch(rules=rules, unusable=unusable)


MOST_REMEMBERED = 20_000
"""Rules kept as they were read, about a kilobyte each."""

# Reading a rule costs more than checking it, and few rules change from one check to the next. By
# primary key, because comparing a row with what it was takes less than hashing all of its texts.
_remembered: dict[int, tuple[tuple[Any, ...], Rule, str]] = {}


def forget() -> None:
    """Read every rule anew at the next check, as a new process does."""
    _remembered.clear()
    list_of.cache_clear()
    _addresses.cache_clear()
    _channels.cache_clear()


def _remember(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], Rule, str]:
    if len(_remembered) >= MOST_REMEMBERED:
        _remembered.clear()
    known = _remembered[values[0]] = (values, *_read_row(values))
    return known


def _read_row(values: tuple[Any, ...]) -> tuple[Rule, str]:
    """Return a rule, and why it cannot be judged or an empty string."""
    row = RuleRow(*values)
    try:
        return to_rule(row), ""
    except InvalidValueError as error:
        rule = Rule(
            key=key_of(row),
            rule_id=row.pk,
            name=row.name,
            task_name=row.task_name,
            description=row.description,
            expected_statuses=(Status.COMPLETED,),
            notify_to=_addresses(row.notify_to),
            channels=_channels(row.channels),
            snoozed_until=_at(row.snoozed_until),
        )
        return rule, _("the rule is not valid: {error}", error=error)


def read_instance(rule: MonitorRule, *, watched_since: datetime) -> Rule:
    """Return a rule that may not be stored yet as the core's value.

    Raises InvalidValueError if it holds what no rule may.
    """
    values = {name: getattr(rule, name) for name in RuleRow._fields}
    texts = {name: json.dumps(values[name]) for name in _LISTS}
    snoozed = rule.snoozed_until.isoformat() if rule.snoozed_until else None
    flags = {"notify_on_recovery": "1" if rule.notify_on_recovery else "0"}
    dates = {"created_at": watched_since.isoformat(), "snoozed_until": snoozed}
    return to_rule(RuleRow(**(values | texts | flags | dates)))


def to_rule(row: RuleRow) -> Rule:
    """Return a stored rule as the core's value.

    Raises InvalidValueError if the row holds what no rule may.
    """
    return Rule(
        key=key_of(row),
        rule_id=row.pk,
        name=row.name,
        task_name=row.task_name,
        description=row.description,
        expected_statuses=_read(row, "expected_statuses", read_statuses),
        lookback_hours=_read(row, "lookback_hours", read_lookback_hours),
        notify_to=_addresses(row.notify_to),
        channels=_channels(row.channels),
        dependent_tasks=_read(row, "dependent_tasks", read_names),
        context=read_context(row.context_model, row.context_type, row.context_field),
        alert_after=row.alert_after,
        remind_hours=row.remind_hours,
        # PostgreSQL writes "true", the others "1".
        notify_on_recovery=row.notify_on_recovery in {"1", "true"},
        max_runtime_minutes=row.max_runtime_minutes,
        max_duration_factor=_read_if_any(row, "max_duration_factor", read_duration_factor),
        min_success_rate=_read_if_any(row, "min_success_rate", read_success_rate),
        while_running=WhileRunning(row.while_running),
        snoozed_until=_at(row.snoozed_until),
        watched_since=_at(row.created_at),
    )


def _read(row: RuleRow, column: str, read: Callable[[Any], T]) -> T:
    value = getattr(row, column)
    try:
        return list_of(value, read) if column in _LISTS else read(value)
    except InvalidValueError as error:
        raise InvalidValueError(f"{column} {error}") from None


def _read_if_any(row: RuleRow, column: str, read: Callable[[Any], T]) -> T | None:
    return None if getattr(row, column) is None else _read(row, column, read)


# Most rules share a few lists, also in memory.
@lru_cache(maxsize=1024)
def list_of(text: str, read: Callable[[Any], T]) -> T:
    """Return a list that is stored as JSON, as the core reads it. Raises InvalidValueError."""
    return read(_decoded(text))


@lru_cache(maxsize=1024)
def _addresses(text: str) -> tuple[str, ...]:
    try:
        return read_addresses(_decoded(text))[0]
    except InvalidValueError:
        return ()


@lru_cache(maxsize=1024)
def _channels(text: str) -> tuple[str, ...]:
    """Return the names; like a wrong address, a wrong list is no reason not to judge the rule."""
    try:
        return read_channel_names(_decoded(text))
    except InvalidValueError:
        return ()


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        raise InvalidValueError(f"is not JSON: {shown(text)}") from None


def _at(text: str | None) -> datetime | None:
    return as_utc(text, connections[MonitorRule.objects.db].timezone) if text else None


def key_of(row: MonitorRule | RuleRow) -> str:
    """Return the identity of what a stored rule watches now."""
    return key_of_values(
        row.pk, row.task_name, row.context_model, row.context_field, row.context_type
    )


def key_of_values(pk: int, task_name: str, model: str, field: str, type_: str) -> str:
    """Return the same from the columns: model, field and type are those of its context."""
    context = ContextFilter(model=model, field=field, type=type_) if model else None
    return rule_key(pk, task_name, context)
