"""What is odd about rules, told from what beat, the task log and the outbox hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Max, Q, QuerySet
from django_celery_beat.models import PeriodicTask

from monitoring import schedules
from monitoring.conf import get_settings
from monitoring.core import linting
from monitoring.core.discovery import RUNS
from monitoring.core.fields import InvalidValueError
from monitoring.core.findings import Finding, World
from monitoring.core.statuses import Status
from monitoring.core.values import Rule
from monitoring.models import AlertEvent, MonitorRule, Notification, NotificationState
from monitoring.periodic_tasks import TASK_NAME
from monitoring.registry import task_names
from monitoring.rule_rows import read_instance
from monitoring.system_checks.rules import label_of, watched
from monitoring.system_checks.task_log import results_kept
from monitoring.tasklogs.history import timings
from monitoring.tasklogs.names import seen_names
from monitoring.tasklogs.source import task_log
from monitoring.tasklogs.starts import started_among

__all__ = ["Finding", "Sight", "label_of", "lint", "lint_all", "lint_rows"]


class Sight(NamedTuple):
    """What whoever asks may know of."""

    schedules: bool = True
    log: bool = True
    events: bool = True
    messages: bool = True


EVERYTHING = Sight()
_ASKED_BY_NAME = 500
"""Of more tasks, the schedules and the rules of all are read."""


def lint_all(
    now: datetime, names: Iterable[str] = (), task_names: Iterable[str] = ()
) -> list[Finding]:
    """Return what is odd about the rules in force and the entries of scheduled JSON arguments.

    names, task_names: only rules of these names and of these tasks, if any are given. A constant
    number of queries, and one for every 200 tasks that the log is asked about.
    """
    everyone = watched(MonitorRule.objects.all())
    wanted, of_tasks = set(names), set(task_names)
    if not wanted and not of_tasks:
        return lint(everyone, [], now)
    chosen = [rule for rule in everyone if rule.name in wanted or rule.task_name in of_tasks]
    picked = {id(rule) for rule in chosen}
    return lint(chosen, [rule for rule in everyone if id(rule) not in picked], now)


def lint_rows(
    rows: Iterable[MonitorRule], now: datetime, sight: Sight = EVERYTHING
) -> list[Finding]:
    """Return what is odd about rules as they are being written, beside all others.

    Disabled ones and those that no rule may be say nothing.
    """
    rules = []
    written = set()
    for row in rows:
        written.add(row.name)
        if row.pk is not None:
            written.add(row.pk)
        if row.enabled:
            try:
                rules.append(read_instance(row, watched_since=row.created_at))
            except InvalidValueError:
                continue
    others = watched(_that_matter_to(rules)) if rules else []
    beside = [one for one in others if one.name not in written and one.rule_id not in written]
    return lint(rules, beside, now, sight)


def _that_matter_to(rules: Sequence[Rule]) -> QuerySet[MonitorRule]:
    """Return the stored rules that can say something odd about some rules together with them.

    Those of the same tasks and of their dependent tasks, and every link a cycle could go through.
    """
    dependents = {name for rule in rules for name in rule.dependent_tasks}
    tasks = {rule.task_name for rule in rules} | dependents
    if len(tasks) > _ASKED_BY_NAME:
        return MonitorRule.objects.all()
    matters = Q(task_name__in=sorted(tasks))
    if dependents:
        matters |= ~Q(dependent_tasks=[])
    return MonitorRule.objects.filter(matters)


def lint(
    rules: Sequence[Rule], others: Sequence[Rule], now: datetime, sight: Sight = EVERYTHING
) -> list[Finding]:
    """Return what is odd about some rules beside others. now: aware."""
    return linting.lint(rules, others, look(rules, now, sight)) if rules else []


def look(rules: Sequence[Rule], now: datetime, sight: Sight) -> World:
    """Return what is known of what some rules watch and whom they tell."""
    tasks = {rule.task_name for rule in rules}
    by_task: dict[str, list[schedules.Schedule]] = {}
    every: frozenset[str] = frozenset()
    if sight.schedules:
        asked = {*tasks, TASK_NAME} if len(tasks) <= _ASKED_BY_NAME else None
        for entry in schedules.entries(now, asked):
            by_task.setdefault(entry.task, []).append(entry.schedule)
        off = PeriodicTask.objects.filter(enabled=False).values_list("task", flat=True).distinct()
        on = PeriodicTask.objects.filter(enabled=True).values_list("task", flat=True).distinct()
        every = frozenset(on)
        switched_off = frozenset(off) - every
    else:
        switched_off = frozenset()
    gaps = {name: schedules.coming_gap(by_task[name], now) for name in tasks & set(by_task)}
    ends = _ends(tasks) if sight.log else {}
    is_pruned = task_log().is_own or get_settings().PRUNE_TASK_LOG
    return World(
        now=now,
        gaps={name: gap for name, gap in gaps.items() if gap is not None},
        check_interval=schedules.usual_gap(by_task.get(TASK_NAME, []), now),
        switched_off=switched_off,
        scheduled=every,
        in_code=frozenset(task_names()),
        # Who does not see all places cannot tell that a task is nowhere.
        seen=_seen(rules, ends) if sight.log and sight.schedules else None,
        ends=ends,
        days_kept=get_settings().RETENTION_DAYS["executions"] if is_pruned else None,
        results_kept=results_kept(),
        bounced=_bounced(rules) if sight.messages else frozenset(),
        open_since=_open_since() if sight.events else {},
        snoozed_since=_snoozed_since(now),
    )


def _seen(rules: Sequence[Rule], ends: Mapping[str, Sequence[Status]]) -> frozenset[str]:
    """Return the tasks of the log, without those that rules name and that never started."""
    seen = frozenset(seen_names())
    named = {name for rule in rules for name in (rule.task_name, *rule.dependent_tasks)}
    doubtful = {name for name in named & seen if not ends.get(name)}
    return seen - (doubtful - started_among(doubtful))


def _ends(tasks: Iterable[str]) -> dict[str, list[Status]]:
    return {name: [run.status for run in runs] for name, runs in timings(tasks, RUNS).items()}


def _bounced(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the addresses, in lower case, whose last message was refused for good."""
    addresses = {address.casefold() for rule in rules for address in rule.notify_to}
    failed = _newest(NotificationState.FAILED)
    suspects = {address for address in failed if address.casefold() in addresses}
    sent = _newest(NotificationState.SENT, suspects) if suspects else {}
    return frozenset(
        address.casefold() for address in suspects if failed[address] > sent.get(address, 0)
    )


def _newest(state: NotificationState, recipients: Iterable[str] | None = None) -> dict[str, int]:
    rows = Notification.objects.filter(state=state)
    if recipients is not None:
        rows = rows.filter(recipient__in=sorted(recipients))
    return dict(rows.order_by().values_list("recipient").annotate(newest=Max("pk")))


def _open_since() -> dict[str, datetime]:
    rows = AlertEvent.objects.open().values_list("open_key", "opened_at")
    return {key: at for key, at in rows if key}


def _snoozed_since(now: datetime) -> dict[int, datetime]:
    rows = MonitorRule.objects.filter(snoozed_until__gt=now)
    return dict(rows.values_list("pk", "updated_at"))
