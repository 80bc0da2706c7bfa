"""What a check reads of the task log, whichever it is: evidence for many rules in few queries."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from monitoring import contexts
from monitoring.core.measures import SAMPLES_READ
from monitoring.core.statuses import FINISHED, NOT_STARTED, Status
from monitoring.core.values import ContextFilter, Evidence, Execution, Rule, Waiting, WhileRunning
from monitoring.core.verdicts import MAX_CLOCK_SKEW
from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.measuring import (
    completed_of_any_kind,
    count_finished,
    measure,
    measured,
)
from monitoring.tasklogs.reading import Latest, executions, newest_of, oldest, waiting_of
from monitoring.tasklogs.source import task_log

logger = logging.getLogger("monitoring.tasklogs")


def alias() -> str:
    """Return the alias of the database that the log is read from."""
    return task_log().alias


def read_latest(rules: Sequence[Rule], now: datetime) -> Latest:
    """Return the latest execution of each task that a rule without a context filter watches.

    One query, however many there are. Raises TaskLogError if the settings name no usable log.
    """
    log = task_log()
    names = {rule.task_name for rule in rules if rule.context is None}
    latest = newest_of(log, log.started_rows(), names)
    limit = now + MAX_CLOCK_SKEW
    ahead = [name for name, one in latest.executions.items() if one.started_at > limit]
    for name in sorted(ahead):
        logger.warning(
            "%s: executions that start in the future were ignored; compare the clocks of the "
            "workers with the clock of the monitor",
            name,
        )
        del latest.executions[name]
    if not ahead:
        return latest
    again = newest_of(log, log.started_rows(now), ahead)
    return Latest(
        executions=latest.executions | again.executions,
        unreadable=latest.unreadable | again.unreadable,
    )


def gather(
    rules: Sequence[Rule], now: datetime, recording_since: datetime | None, latest: Latest
) -> dict[str, Evidence]:
    """Return what the log says about each rule, by rule key.

    The number of queries depends on which kinds of rules there are, never on how many. Of the
    executions only what a verdict needs is read; `describe` reads the rest for those that matter.
    recording_since: from when on the log holds whatever ran; None: it never held anything.
    latest: from `read_latest`.
    """
    plain = [rule for rule in rules if rule.context is None]
    found = _plain_executions(plain, now, latest)
    waiting = read_waiting(
        rule.task_name for rule in plain if NOT_STARTED.intersection(rule.expected_statuses)
    )
    evidence = {
        rule.key: found.evidence(rule.task_name, recording_since, waiting.get(rule.task_name))
        for rule in plain
    }
    if any(rule.measures for rule in plain):
        evidence |= measure(task_log(), plain, evidence, now)
    filtered = [rule for rule in rules if rule.context is not None]
    return evidence | _filtered_evidence(filtered, now, recording_since)


def log_since() -> datetime | None:
    """Return when the oldest execution of the log was submitted or started."""
    return oldest(task_log())


def read_waiting(task_names: Iterable[str]) -> dict[str, Waiting]:
    """Return what waits in the queue, by task name, in one query."""
    return waiting_of(task_log(), task_names)


def describe(found: Iterable[Execution]) -> dict[Any, Execution]:
    """Return executions with everything that a message says of them, by primary key."""
    pks = {execution.pk for execution in found}
    if not pks:
        return {}
    log = task_log()
    return {one.pk: one for _, one in executions(log, log.rows().filter(pk__in=pks), {})}


@dataclass
class _Found:
    """Newest executions by task name, or by whatever else tells rules apart."""

    latest: dict[Any, Execution] = field(default_factory=dict)
    finished: dict[Any, Execution] = field(default_factory=dict)
    running: dict[Any, Execution] = field(default_factory=dict)
    successes: dict[Any, list[Execution]] = field(default_factory=dict)
    """What completed, the newest start first, where a duration is measured."""
    all: dict[Any, list[Execution]] = field(default_factory=dict)
    """What began in the windows, where successes are counted."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why a row of a task cannot be read, by task name."""

    def evidence(
        self, key: Any, log_since: datetime | None, waiting: Waiting | None = None
    ) -> Evidence:
        name = key if isinstance(key, str) else key[0]
        return Evidence(
            latest=self.latest.get(key),
            latest_finished=self.finished.get(key),
            latest_running=self.running.get(key),
            waiting=waiting or Waiting(),
            log_since=log_since,
            unusable=self.unreadable.get(name, ""),
        )

    def measured(self, key: Any, told: Evidence, rule: Rule, now: datetime) -> Evidence:
        successes = self.successes.get(key, ()) if rule.max_duration_factor is not None else ()
        finished = count_finished(rule, self.all.get(key, ()), now)
        return measured(told, successes[:SAMPLES_READ], finished)


def _plain_executions(rules: Sequence[Rule], now: datetime, latest: Latest) -> _Found:
    """Find other executions than the latest for the rules whose verdict turns on them."""
    found = _Found(latest=latest.executions, unreadable=latest.unreadable)
    log = task_log()
    in_progress = {
        rule.task_name
        for rule in rules
        if rule.while_running is WhileRunning.WAIT
        and rule.task_name in found.latest
        and found.latest[rule.task_name].status not in FINISHED
    }
    # Only where somebody asks: writing a statement takes as long as judging a hundred rules.
    if in_progress:
        finished = log.started_rows(now).filter(log.has_status(FINISHED))
        found.finished = newest_of(log, finished, in_progress).executions
    outside = {
        rule.task_name
        for rule in rules
        if rule.max_runtime_minutes is not None
        and (
            rule.task_name not in found.latest
            or found.latest[rule.task_name].started_at < rule.window_start(now)
        )
    }
    if outside:
        running = log.started_rows(now).filter(log.has_status({Status.RUNNING}))
        found.running = newest_of(log, running, outside).executions
    return found


def _filtered_evidence(
    rules: Sequence[Rule], now: datetime, since: datetime | None
) -> dict[str, Evidence]:
    """Return the evidence of rules with a context filter.

    The filter picks the latest execution *of that type*: another type's newer run neither hides
    it nor raises a false alarm.
    """
    if not rules:
        return {}
    log = task_log()
    if not log.context_fields:
        reason = f'{log.label} has no context id: name its field in TASK_LOG_FIELDS["context_id"]'
        return {rule.key: Evidence(unusable=reason) for rule in rules}
    evidence: dict[str, Evidence] = {}
    groups: dict[tuple[Any, str], list[Rule]] = {}
    resolve = cache(contexts.resolve)  # most rules of a batch name the same few
    for rule in rules:
        try:
            groups.setdefault(resolve(_context(rule)), []).append(rule)
        except contexts.ContextError as error:
            evidence[rule.key] = Evidence(unusable=error.text)
    unreadable: dict[str, str] = {}
    usable = [rule for group in groups.values() for rule in group]
    rows = _context_rows(log, usable, now, unreadable)
    completed = completed_of_any_kind(log, usable, now)
    for (model, path), group in groups.items():
        try:
            found = _by_type(model, path, group, rows, completed)
        except contexts.ContextError as error:
            evidence.update((rule.key, Evidence(unusable=error.text)) for rule in group)
            continue
        found.unreadable = unreadable
        for rule in group:
            key = rule.task_name, _context(rule).type
            told = found.evidence(key, since)
            evidence[rule.key] = found.measured(key, told, rule, now) if rule.measures else told
    return evidence


def _context_rows(
    log: TaskLog, rules: Sequence[Rule], now: datetime, unreadable: dict[str, str]
) -> list[tuple[str, Execution]]:
    """Return (context id, execution), the newest first: all of the windows, and what runs."""
    if not rules:
        return []
    candidates = log.started_rows(now).filter(log.of_tasks({rule.task_name for rule in rules}))
    if log.is_own:
        candidates = candidates.exclude(context_id="")
    window_start = min(rule.window_start(now) for rule in rules)
    # Two reads, because one with OR could use neither index.
    inside = candidates.filter(log_start__gte=window_start)
    running = candidates.filter(log.has_status({Status.RUNNING}), log_start__lt=window_start)
    found = [
        pair
        for part in (inside, running)
        for pair in executions(log, part, unreadable, in_full=False)
    ]
    return sorted(found, key=lambda pair: (pair[1].started_at, pair[1].pk), reverse=True)


def _by_type(
    model: Any,
    path: str,
    rules: Sequence[Rule],
    rows: Sequence[tuple[str, Execution]],
    completed: Sequence[tuple[str, Execution]],
) -> _Found:
    names = {rule.task_name for rule in rules}
    ours = [(context_id, one) for context_id, one in rows if one.task_name in names]
    past = [(context_id, one) for context_id, one in completed if one.task_name in names]
    types = contexts.types_of(model, path, {context_id for context_id, _ in (*ours, *past)})
    found = _Found()
    found.successes = _grouped(past, types)
    if any(rule.min_success_rate is not None for rule in rules):
        found.all = _grouped(ours, types)
    for context_id, execution in ours:
        if context_id not in types:
            continue
        key = (execution.task_name, types[context_id])
        found.latest.setdefault(key, execution)
        if execution.status in FINISHED:
            found.finished.setdefault(key, execution)
        if execution.status is Status.RUNNING:
            found.running.setdefault(key, execution)
    return found


def _grouped(
    rows: Iterable[tuple[str, Execution]], types: Mapping[str, str]
) -> dict[Any, list[Execution]]:
    """Return executions in their order, by task name and context type."""
    grouped: dict[Any, list[Execution]] = {}
    for context_id, one in rows:
        if context_id in types:
            grouped.setdefault((one.task_name, types[context_id]), []).append(one)
    return grouped


def _context(rule: Rule) -> ContextFilter:
    if rule.context is None:
        raise ValueError(f"{rule.label} has no context filter")
    return rule.context
