"""Evidence from our own task log, `BackgroundTask`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, QuerySet
from django.db.models.functions import Left

from monitoring import contexts
from monitoring.core.messages import MAX_ERROR_LENGTH
from monitoring.core.statuses import IN_PROGRESS, NOT_STARTED, Status
from monitoring.core.values import ContextFilter, Evidence, Execution, Rule, Waiting, WhileRunning
from monitoring.core.verdicts import MAX_CLOCK_SKEW
from monitoring.models import BackgroundTask, TaskStatus
from monitoring.tasklogs.seek import newest_pks

_NEWEST_FIRST = ("-started_at", "-pk")
_UNSETTLED = [status.value for status in IN_PROGRESS]


def gather(rules: Sequence[Rule], now: datetime) -> dict[str, Evidence]:
    """Return what the log says about each rule, by rule key.

    The number of queries depends on which kinds of rules there are, never on how many.
    """
    since = log_since()
    plain = [rule for rule in rules if rule.context is None]
    found = _plain_executions(plain, now)
    waiting = read_waiting(
        rule.task_name for rule in plain if NOT_STARTED.intersection(rule.expected_statuses)
    )
    evidence = {
        rule.key: replace(
            found.for_task(rule.task_name),
            waiting=waiting.get(rule.task_name, Waiting()),
            log_since=since,
        )
        for rule in plain
    }
    filtered = [rule for rule in rules if rule.context is not None]
    for key, one in _filtered_evidence(filtered, now).items():
        evidence[key] = replace(one, log_since=since)
    return evidence


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
    for name, status, count, oldest, newest in rows:
        before = waiting.get(name, Waiting())
        latest = {Status(status): newest} if newest else {}
        waiting[name] = Waiting(
            count=before.count + count,
            since=min((at for at in (before.since, oldest) if at), default=None),
            newest={**before.newest, **latest},
        )
    return waiting


def count_future_starts(task_names: Iterable[str], now: datetime) -> dict[str, int]:
    """Return how many executions claim to start in the future, by task name, in one query."""
    rows = (
        BackgroundTask.objects.filter(
            task_name__in=sorted(set(task_names)), started_at__gt=now + MAX_CLOCK_SKEW
        )
        .order_by()
        .values_list("task_name")
        .annotate(Count("pk"))
    )
    return dict(rows)


@dataclass
class _Found:
    """Newest executions by task name, or by whatever else tells rules apart."""

    latest: dict[Any, Execution] = field(default_factory=dict)
    finished: dict[Any, Execution] = field(default_factory=dict)
    running: dict[Any, Execution] = field(default_factory=dict)

    def for_task(self, key: Any) -> Evidence:
        return Evidence(
            latest=self.latest.get(key),
            latest_finished=self.finished.get(key),
            latest_running=self.running.get(key),
        )


def _plain_executions(rules: Sequence[Rule], now: datetime) -> _Found:
    started = BackgroundTask.objects.filter(started_at__lte=now + MAX_CLOCK_SKEW)
    wanted = {
        "latest": (started, rules),
        "finished": (
            started.exclude(status__in=_UNSETTLED),
            [rule for rule in rules if rule.while_running is WhileRunning.WAIT],
        ),
        "running": (
            started.filter(status=TaskStatus.RUNNING),
            [rule for rule in rules if rule.max_runtime_minutes is not None],
        ),
    }
    pks = {
        kind: newest_pks(rows, (rule.task_name for rule in asking), *_NEWEST_FIRST)
        for kind, (rows, asking) in wanted.items()
    }
    rows = BackgroundTask.objects.filter(pk__in=set().union(*pks.values()))
    executions = {execution.pk: execution for _, execution in _executions(rows)}
    return _Found(
        **{
            kind: {executions[pk].task_name: executions[pk] for pk in found if pk in executions}
            for kind, found in pks.items()
        }
    )


_FIELDS = ("pk", "task_name", "status", "started_at", "finished_at", "task_id", "worker")


def _executions(rows: QuerySet[BackgroundTask]) -> Iterator[tuple[str, Execution]]:
    """Yield (context id, execution) of each row."""
    # A traceback can be long and a batch is a thousand rules, so only its beginning is read.
    shortened = rows.annotate(error=Left("errors", MAX_ERROR_LENGTH))
    for context_id, *values in shortened.values_list("context_id", *_FIELDS, "error").iterator():
        named = dict(zip((*_FIELDS, "error"), values, strict=True))
        yield context_id, Execution(**{**named, "status": Status(named["status"])})


def _filtered_evidence(rules: Sequence[Rule], now: datetime) -> dict[str, Evidence]:
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
            evidence[rule.key] = found.for_task((rule.task_name, _context(rule).type))
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
        if execution.status not in IN_PROGRESS:
            found.finished.setdefault(key, execution)
        if execution.status is Status.RUNNING:
            found.running.setdefault(key, execution)
    return found


def _context(rule: Rule) -> ContextFilter:
    if rule.context is None:
        raise ValueError(f"{rule.label} has no context filter")
    return rule.context
