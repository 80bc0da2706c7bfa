"""Evidence from our own task log, `BackgroundTask`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connections, router
from django.db.models import Count, Max, Min, QuerySet
from django.db.models.functions import Left

from monitoring import contexts
from monitoring.core.messages import MAX_ERROR_LENGTH
from monitoring.core.statuses import FINISHED, NOT_STARTED, Status, parse_status
from monitoring.core.values import ContextFilter, Evidence, Execution, Rule, Waiting, WhileRunning
from monitoring.core.verdicts import MAX_CLOCK_SKEW
from monitoring.models import BackgroundTask, TaskStatus
from monitoring.models.raw_values import as_utc
from monitoring.tasklogs.seek import newest

logger = logging.getLogger("monitoring.tasklogs")

_NEWEST_FIRST = ("-started_at", "-pk")
_FINISHED = [status.value for status in FINISHED]


def alias() -> str:
    """Return the alias of the database that this log is read from."""
    return router.db_for_read(BackgroundTask)


def read_latest(rules: Sequence[Rule], now: datetime) -> dict[str, Execution]:
    """Return the latest execution of each task that a rule without a context filter watches.

    One query, however many there are.
    """
    return _latest((rule.task_name for rule in rules if rule.context is None), now)


def gather(
    rules: Sequence[Rule],
    now: datetime,
    recording_since: datetime | None,
    latest: dict[str, Execution],
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
    nothing = Waiting()
    evidence = {
        rule.key: found.evidence(
            rule.task_name,
            waiting.get(rule.task_name, nothing) if waiting else nothing,
            recording_since,
        )
        for rule in plain
    }
    filtered = [rule for rule in rules if rule.context is not None]
    return evidence | _filtered_evidence(filtered, now, recording_since)


def log_since() -> datetime | None:
    """Return when the oldest execution of the log was submitted or started."""
    oldest = BackgroundTask.objects.order_by("pk").values_list(
        "submitted_at", "first_started_at", "last_update"
    )
    times = [at for at in (oldest.first() or ()) if at is not None]
    return min(times, default=None)


def read_waiting(task_names: Iterable[str]) -> dict[str, Waiting]:
    """Return what waits in the queue, by task name, in one query."""
    names = sorted(set(task_names))
    if not names:
        return {}
    rows = (
        BackgroundTask.objects.filter(
            status__in=[status.value for status in NOT_STARTED], task_name__in=names
        )
        .order_by()
        .values_list("task_name", "status")
        .annotate(Count("pk"), Min("submitted_at"), Max("submitted_at"))
    )
    waiting: dict[str, Waiting] = {}
    for name, status, count, first, last in rows:
        before = waiting.get(name, Waiting())
        latest = {as_status(status): last} if last else {}
        waiting[name] = Waiting(
            count=before.count + count,
            since=min((at for at in (before.since, first) if at), default=None),
            newest={**before.newest, **latest},
        )
    return waiting


def describe(executions: Iterable[Execution]) -> dict[int | str, Execution]:
    """Return executions with everything that a message says of them, by primary key."""
    pks = {execution.pk for execution in executions}
    rows = BackgroundTask.objects.filter(pk__in=pks) if pks else BackgroundTask.objects.none()
    return {execution.pk: execution for _, execution in _executions(rows)}


@dataclass
class _Found:
    """Newest executions by task name, or by whatever else tells rules apart."""

    latest: dict[Any, Execution] = field(default_factory=dict)
    finished: dict[Any, Execution] = field(default_factory=dict)
    running: dict[Any, Execution] = field(default_factory=dict)

    def evidence(self, key: Any, waiting: Waiting, log_since: datetime | None) -> Evidence:
        return Evidence(
            latest=self.latest.get(key),
            latest_finished=self.finished.get(key),
            latest_running=self.running.get(key),
            waiting=waiting,
            log_since=log_since,
        )


def _plain_executions(rules: Sequence[Rule], now: datetime, latest: dict[str, Execution]) -> _Found:
    """Find other executions than the latest for the rules whose verdict turns on them."""
    found = _Found(latest=latest)
    started = _started(now)
    in_progress = {
        rule.task_name
        for rule in rules
        if rule.while_running is WhileRunning.WAIT
        and rule.task_name in found.latest
        and found.latest[rule.task_name].status not in FINISHED
    }
    found.finished = _newest(started.filter(status__in=_FINISHED), in_progress)
    outside = {
        rule.task_name
        for rule in rules
        if rule.max_runtime_minutes is not None
        and (
            rule.task_name not in found.latest
            or found.latest[rule.task_name].started_at < rule.window_start(now)
        )
    }
    found.running = _newest(started.filter(status=TaskStatus.RUNNING), outside)
    return found


def _latest(task_names: Iterable[str], now: datetime) -> dict[str, Execution]:
    latest = _newest(BackgroundTask.objects.filter(started_at__isnull=False), task_names)
    limit = now + MAX_CLOCK_SKEW
    ahead = [name for name, execution in latest.items() if execution.started_at > limit]
    for name in sorted(ahead):
        logger.warning(
            "%s: executions that start in the future were ignored; compare the clocks of the "
            "workers with the clock of the monitor",
            name,
        )
        del latest[name]
    return latest | _newest(_started(now), ahead)


def _started(now: datetime) -> QuerySet[BackgroundTask]:
    return BackgroundTask.objects.filter(started_at__lte=now + MAX_CLOCK_SKEW)


def _newest(rows: QuerySet[BackgroundTask], task_names: Iterable[str]) -> dict[str, Execution]:
    found = newest(rows, task_names, ("id", "task_name", "status", "started_at"), *_NEWEST_FIRST)
    zone = connections[rows.db].timezone
    return {
        name: Execution(pk, name, as_status(status), as_utc(started_at, zone))
        for pk, name, status, started_at in found
    }


@lru_cache(maxsize=64)
def as_status(text: str) -> Status:
    """Return the status that a row holds.

    MariaDB's check of the column ignores case, so it may be another spelling.
    """
    return parse_status(text) or Status(text)


_FIELDS = ("pk", "task_name", "status", "started_at", "finished_at", "task_id", "worker")


def _executions(rows: QuerySet[BackgroundTask]) -> Iterator[tuple[str, Execution]]:
    """Yield (context id, execution) of each row."""
    # A traceback can be long and a batch is a thousand rules, so only its beginning is read.
    shortened = rows.annotate(error=Left("errors", MAX_ERROR_LENGTH))
    for context_id, *values in shortened.values_list("context_id", *_FIELDS, "error").iterator():
        named = dict(zip((*_FIELDS, "error"), values, strict=True))
        yield context_id, Execution(**{**named, "status": as_status(named["status"])})


def _filtered_evidence(
    rules: Sequence[Rule], now: datetime, since: datetime | None
) -> dict[str, Evidence]:
    """Return the evidence of rules with a context filter.

    The filter picks the latest execution *of that type*: another type's newer run neither hides
    it nor raises a false alarm.
    """
    if not rules:
        return {}
    evidence: dict[str, Evidence] = {}
    groups: dict[tuple[Any, str], list[Rule]] = {}
    for rule in rules:
        try:
            groups.setdefault(contexts.resolve(_context(rule)), []).append(rule)
        except contexts.ContextError as error:
            evidence[rule.key] = Evidence(unusable=str(error))
    rows = _context_rows([rule for group in groups.values() for rule in group], now)
    for (model, path), group in groups.items():
        try:
            found = _by_type(model, path, group, rows)
        except contexts.ContextError as error:
            evidence.update((rule.key, Evidence(unusable=str(error))) for rule in group)
            continue
        for rule in group:
            key = (rule.task_name, _context(rule).type)
            evidence[rule.key] = found.evidence(key, Waiting(), since)
    return evidence


def _context_rows(rules: Sequence[Rule], now: datetime) -> list[tuple[str, Execution]]:
    """Return (context id, execution), the newest first: all of the windows, and what runs."""
    if not rules:
        return []
    candidates = BackgroundTask.objects.filter(
        task_name__in={rule.task_name for rule in rules}, started_at__lte=now + MAX_CLOCK_SKEW
    ).exclude(context_id="")
    window_start = min(rule.window_start(now) for rule in rules)
    # Two reads, because one with OR could use neither index.
    inside = candidates.filter(started_at__gte=window_start)
    running = candidates.filter(status=TaskStatus.RUNNING, started_at__lt=window_start)
    found = [*_executions(inside), *_executions(running)]
    return sorted(found, key=lambda pair: (pair[1].started_at, pair[1].pk), reverse=True)


def _by_type(
    model: Any, path: str, rules: Sequence[Rule], rows: Sequence[tuple[str, Execution]]
) -> _Found:
    names = {rule.task_name for rule in rules}
    ours = [(context_id, one) for context_id, one in rows if one.task_name in names]
    types = contexts.types_of(model, path, {context_id for context_id, _ in ours})
    found = _Found()
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


def _context(rule: Rule) -> ContextFilter:
    if rule.context is None:
        raise ValueError(f"{rule.label} has no context filter")
    return rule.context
