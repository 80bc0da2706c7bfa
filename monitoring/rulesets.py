"""From what a call asks for to rules that the core can judge."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.db.models import QuerySet

from monitoring.core.arguments import Arguments
from monitoring.core.fields import (
    InvalidValueError,
    read_addresses,
    read_context,
    read_lookback_hours,
    read_names,
    read_statuses,
)
from monitoring.core.keys import rule_key
from monitoring.core.names import did_you_mean
from monitoring.core.statuses import Status
from monitoring.core.values import ContextFilter, Rule, WhileRunning
from monitoring.models import MonitorRule

T = TypeVar("T")

BATCH_SIZE = 1000
"""Rules per transaction: bounds memory, the size of a statement and how long locks are held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Rules that are checked in one transaction."""

    rules: Sequence[Rule]
    unusable: dict[str, str] = field(default_factory=dict)
    """Why a rule cannot be judged, by key: its row holds what no rule may hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSet:
    """Everything one call asks for."""

    name: str
    """What was asked for, for people."""
    identity: str
    """The same for two calls that ask for the same."""
    is_complete: bool
    """All enabled stored rules: whoever is missing from it is watched no longer."""
    entries: Sequence[Rule]
    stored: QuerySet[MonitorRule] | None
    problems: Sequence[str]

    def batches(self) -> Iterator[Batch]:
        """Yield the rules, at most `BATCH_SIZE` at a time."""
        for start in range(0, len(self.entries), BATCH_SIZE):
            yield Batch(rules=self.entries[start : start + BATCH_SIZE])
        if self.stored is None:
            return
        last_pk = 0
        while rows := list(self.stored.filter(pk__gt=last_pk).order_by("pk")[:BATCH_SIZE]):
            last_pk = rows[-1].pk
            yield read_rows(rows)


def select(arguments: Arguments, periodic_task: str = "") -> RuleSet:
    """Find the rules that a call asks for; names that are not there become problems."""
    problems = [str(problem) for problem in arguments.problems]
    enabled = MonitorRule.objects.filter(enabled=True)
    stored: QuerySet[MonitorRule] | None = None
    name = "JSON arguments" + (f" of {periodic_task}" if periodic_task else "")
    wanted = [rule.key for rule in arguments.entries]
    if arguments.all_rules:
        stored, name = enabled, "all rules"
    for column, names in (("name", arguments.rule_names), ("task_name", arguments.task_names)):
        if not names:
            continue
        part = enabled.filter(**{f"{column}__in": names})
        problems += _missing(column, names, part)
        stored = part if stored is None else stored | part
        wanted += [f"{column}={item}" for item in names]
        name = f"rules with {column} {', '.join(names)}"
    return RuleSet(
        name=name[:255],
        identity=_digest(name, wanted),
        is_complete=arguments.all_rules,
        entries=arguments.entries,
        stored=stored,
        problems=problems,
    )


def _missing(column: str, names: Sequence[str], found: QuerySet[MonitorRule]) -> Iterator[str]:
    there = set(found.values_list(column, flat=True))
    missing = [name for name in names if name not in there]
    if not missing:
        return
    disabled = set(
        MonitorRule.objects.filter(**{f"{column}__in": missing}).values_list(column, flat=True)
    )
    known = list(MonitorRule.objects.values_list(column, flat=True).distinct()[:10_000])
    what = "rule named" if column == "name" else "rule for task"
    for name in missing:
        if name in disabled:
            yield f'the {what} "{name}" is disabled: enable it in the admin'
        else:
            yield f'there is no {what} "{name}"{did_you_mean(name, known)}'


def _digest(name: str, wanted: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([name, *sorted(wanted)]).encode()).hexdigest()[:32]


def read_rows(rows: Sequence[MonitorRule]) -> Batch:
    """Read stored rules; a row that was written past the model's checks is told apart."""
    rules: list[Rule] = []
    unusable: dict[str, str] = {}
    for row in rows:
        try:
            rule = to_rule(row)
        except InvalidValueError as error:
            rule = Rule(
                key=key_of(row),
                rule_id=row.pk,
                name=row.name,
                task_name=row.task_name,
                description=row.description,
                expected_statuses=(Status.COMPLETED,),
                notify_to=read_addresses(row.notify_to)[0],
                snoozed_until=row.snoozed_until,
            )
            unusable[rule.key] = f"the rule is not valid: {error}"
        rules.append(rule)
    return Batch(rules=rules, unusable=unusable)


def to_rule(row: MonitorRule) -> Rule:
    """Return a stored rule as the core's value.

    Raises InvalidValueError if the row holds what no rule may.
    """
    context = read_context(row.context_model, row.context_type, row.context_field)
    return Rule(
        key=key_of(row),
        rule_id=row.pk,
        name=row.name,
        task_name=row.task_name,
        description=row.description,
        expected_statuses=_read(row, "expected_statuses", read_statuses),
        lookback_hours=_read(row, "lookback_hours", read_lookback_hours),
        notify_to=read_addresses(row.notify_to)[0],
        dependent_tasks=_read(row, "dependent_tasks", read_names),
        context=context,
        alert_after=row.alert_after,
        remind_hours=row.remind_hours,
        notify_on_recovery=row.notify_on_recovery,
        max_runtime_minutes=row.max_runtime_minutes,
        while_running=WhileRunning(row.while_running),
        snoozed_until=row.snoozed_until,
        watched_since=row.created_at,
    )


def _read(row: MonitorRule, column: str, read: Callable[[object], T]) -> T:
    try:
        return read(getattr(row, column))
    except InvalidValueError as error:
        raise InvalidValueError(f"{column} {error}") from None


def key_of(row: MonitorRule) -> str:
    """Return the identity of what a stored rule watches now."""
    context = None
    if row.context_model:
        context = ContextFilter(
            model=row.context_model, field=row.context_field, type=row.context_type
        )
    return rule_key(row.pk, row.task_name, context)
