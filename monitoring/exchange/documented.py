"""Documented JSON arguments of `monitor_task_status` turned into rules, and rules into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps

from monitoring.contexts import default_field
from monitoring.core.arguments import parse_arguments
from monitoring.core.values import ContextFilter, Rule, WhileRunning
from monitoring.exchange.rows import FileError, Row, plain
from monitoring.models import MonitorRule


def is_documented(value: object) -> bool:
    """Say whether a parsed file holds documented arguments rather than exported rules.

    They are a dictionary of dictionaries, or an array that holds one; a rule has a name.
    """
    if isinstance(value, Mapping):
        return not isinstance(value.get("name"), str)
    return isinstance(value, list) and any(_is_configuration(item) for item in value)


def _is_configuration(item: object) -> bool:
    if not isinstance(item, Mapping) or isinstance(item.get("name"), str):
        return False
    return any(isinstance(entry, Mapping) for entry in item.values())


def to_rows(value: object) -> list[Row]:
    """Return one rule for each entry of documented arguments: it does what the entry does.

    Raises FileError with every problem of the arguments.
    """
    arguments = parse_arguments(value if isinstance(value, list) else [value], {})
    if arguments.problems:
        raise FileError(*(str(problem) for problem in arguments.problems))
    return [_row(entry) for entry in arguments.entries]


def _row(entry: Rule) -> Row:
    context = entry.context
    return {
        "name": _name(entry.task_name, context),
        "task_name": entry.task_name,
        "enabled": True,
        "expected_statuses": [status.value for status in entry.expected_statuses],
        "lookback_hours": entry.lookback_hours,
        "notify_to": list(entry.notify_to),
        "channels": [],
        "dependent_tasks": list(entry.dependent_tasks),
        "context_model": context.model if context else "",
        "context_field": "",
        "context_type": context.type if context else "",
        # A message at every failing check and none on recovery, as documented.
        "alert_after": 1,
        "remind_hours": 0,
        "notify_on_recovery": False,
        "max_runtime_minutes": None,
        "max_duration_factor": None,
        "min_success_rate": None,
        "while_running": WhileRunning.JUDGE.value,
    }


def _name(task_name: str, context: ContextFilter | None) -> str:
    return f"{task_name} [{context.type}]" if context else task_name


@dataclass(kw_only=True, slots=True)
class Export:
    """Rules as documented arguments."""

    configuration: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Task name to entry."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Rule name to why it cannot be written so."""
    without_description: list[str] = field(default_factory=list)
    """Names of the rules whose description is lost: the arguments have no place for it."""

    @property
    def arguments(self) -> list[dict[str, dict[str, Any]]]:
        return [self.configuration]


def to_arguments(rules: Iterable[MonitorRule], now: datetime) -> Export:
    """Write rules as documented arguments, and say which cannot be and why.

    now: aware; a snooze that is over does no harm.
    """
    export = Export()
    writable: dict[str, list[MonitorRule]] = {}
    for rule in sorted(rules, key=lambda rule: rule.name):
        reasons = list(_obstacles(rule, now))
        if reasons:
            export.refused[rule.name] = reasons
        else:
            writable.setdefault(rule.task_name, []).append(rule)
    for task_name, found in writable.items():
        if len(found) > 1:
            why = f'{len(found)} rules watch "{task_name}", and there is one entry for each task'
            export.refused |= {rule.name: [why] for rule in found}
            continue
        export.configuration[task_name] = _entry(found[0])
        if found[0].description:
            export.without_description.append(found[0].name)
    return export


def _entry(rule: MonitorRule) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "expected_statuses": rule.expected_statuses,
        "notify_to": rule.notify_to,
        "dependent_tasks": rule.dependent_tasks,
        "lookback_hours": plain(rule.lookback_hours),
    }
    if rule.context_model:
        entry |= {"context_model": rule.context_model, "context_type": rule.context_type}
    return entry


def _obstacles(rule: MonitorRule, now: datetime) -> Iterable[str]:
    """Return what a rule does that an entry of the arguments cannot."""
    differences = {
        "it is disabled": not rule.enabled,
        f"it is snoozed until {plain(rule.snoozed_until)}": (
            rule.snoozed_until is not None and now < rule.snoozed_until
        ),
        f"alert_after is {rule.alert_after}, not 1": rule.alert_after != 1,
        f"remind_hours is {_or_empty(rule.remind_hours)}, not 0": rule.remind_hours != 0,
        "notify_on_recovery is on": rule.notify_on_recovery,
        f"it tells the channels {', '.join(map(str, rule.channels))}": bool(rule.channels),
        "max_runtime_minutes is set": rule.max_runtime_minutes is not None,
        "max_duration_factor is set": rule.max_duration_factor is not None,
        "min_success_rate is set": rule.min_success_rate is not None,
        "while_running is wait, not judge": rule.while_running != WhileRunning.JUDGE,
        f'context_field is "{rule.context_field}", not the default': _has_other_field(rule),
    }
    yield from (why for why, differs in differences.items() if differs)
    # A row that was written past the model's checks may hold anything.
    for problem in parse_arguments([{rule.task_name: _entry(rule)}], {}).problems:
        yield f"the rule is not valid: {problem.message}"


def _or_empty(value: float | None) -> object:
    return "empty" if value is None else plain(value)


def _has_other_field(rule: MonitorRule) -> bool:
    if not rule.context_field:
        return False
    parts = rule.context_model.split(".")
    try:
        model = apps.get_model(parts[0], parts[-1])
    except (LookupError, ValueError):
        return True
    return rule.context_field != default_field(model)
