"""Rules that are worth having: what beat, the task log and the rules say together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import translate
from functools import cache
from itertools import islice

from django.db import router, transaction

from monitoring import schedules
from monitoring.conf import get_settings
from monitoring.core.discovery import RUNS, Proposal, Reason, Task, Watched, is_open, propose
from monitoring.core.fields import MAX_NAME_LENGTH
from monitoring.core.names import free_name
from monitoring.core.order import followers
from monitoring.core.rhythm import Run
from monitoring.models import MonitorRule
from monitoring.periodic_tasks import TASK_NAME, scheduled_entries
from monitoring.registry import task_names
from monitoring.tasklogs.history import TASKS_AT_ONCE, timings
from monitoring.tasklogs.names import seen_names
from monitoring.tasklogs.starts import refused_among

_NEVER = ("celery.*", "monitoring.*", TASK_NAME)


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What became of proposals."""

    added: list[MonitorRule] = field(default_factory=list)
    changed: list[MonitorRule] = field(default_factory=list)
    disabled: list[MonitorRule] = field(default_factory=list)


def discover(
    now: datetime,
    *,
    most: int | None = None,
    sees_schedules: bool = True,
    sees_log: bool = True,
) -> list[Proposal]:
    """Return what is worth adding or changing, new rules first, each by name.

    Eight queries at most, and two more for every 200 tasks whose executions are read. most: look
    no further when there are so many or more. sees_schedules, sees_log: whether whoever asks may
    know of periodic tasks, and of executions.
    """
    entries = schedules.entries(now) if sees_schedules else []
    rows = list(MonitorRule.objects.values_list(*_COLUMNS))
    tasks = _tasks(entries, rows, now, sees_log=sees_log, sees_all=sees_schedules and sees_log)
    asked = filter(is_open, tasks)
    checks = [entry.schedule for entry in entries if entry.task == TASK_NAME]
    interval = schedules.usual_gap(checks, now)
    found: list[Proposal] = []
    runs: dict[str, list[Run]] = {}
    # Not every task that is looked at is worth a proposal, but most are.
    step = TASKS_AT_ONCE if most is None else min(most + most // 4, TASKS_AT_ONCE)
    while (most is None or len(found) < most) and (some := list(islice(asked, step))):
        step = TASKS_AT_ONCE
        if sees_log:
            runs |= timings((task.name for task in some), RUNS)
            some = _marked(some, runs)
        for task in some:
            found += propose(task, runs.get(task.name, ()), interval, now)
    after = followers(runs)
    named = _named(sorted(found, key=_order), {name for _, name, *_others in rows})
    return [replace(one, followers=after.get(one.task_name, ())) for one in named]


def _marked(tasks: Sequence[Task], runs: Mapping[str, Sequence[Run]]) -> list[Task]:
    """Return tasks with a mark on those that might get a rule, but that workers refuse."""
    refused = refused_among(
        task.name
        for task in tasks
        if task.entries and not (task.rules or task.is_in_code or runs[task.name])
    )
    return [replace(task, is_refused=True) if task.name in refused else task for task in tasks]


_COLUMNS = ("pk", "name", "task_name", "lookback_hours", "context_model", "enabled")


def _tasks(
    entries: Iterable[schedules.Entry],
    rows: Iterable[tuple[int, str, str, float, str, bool]],
    now: datetime,
    *,
    sees_log: bool,
    sees_all: bool,
) -> Iterator[Task]:
    """Yield what has a schedule or a rule before what only runs, each by name.

    One after the other: the gaps of a thousand schedules take a while to find.
    """
    by_task: dict[str, list[schedules.Entry]] = {}
    for entry in entries:
        by_task.setdefault(entry.task, []).append(entry)
    rules: dict[str, list[Watched]] = {}
    silenced = set()
    for pk, name, task_name, hours, context_model, enabled in rows:
        if enabled:
            rules.setdefault(task_name, []).append(Watched(pk, name, hours, bool(context_model)))
        else:
            silenced.add(task_name)
    listed = {entry.task_name for entry in scheduled_entries(now)}
    names = {*by_task, *rules, *(seen_names() if sees_log else ())}
    in_code = frozenset(task_names())
    never = _never_proposed()
    # Many tasks share a few schedules.
    gap_of = cache(lambda *some: schedules.coming_gap(some, now))
    for name in sorted(names, key=lambda name: (not (name in by_task or name in rules), name)):
        if never(name):
            continue
        some = by_task.get(name, ())
        yield Task(
            name=name,
            entries=tuple((entry.name, entry.text) for entry in some),
            gap=gap_of(*(entry.schedule for entry in some)),
            rules=tuple(rules.get(name, ())),
            is_listed=name in listed,
            is_silenced=name in silenced,
            # Whoever does not see all cannot tell that a task is gone.
            is_in_code=not sees_all or name in in_code,
        )


def _never_proposed() -> Callable[[str], object]:
    """Return what says whether a task is Celery's own, the monitor's, or one not recorded.

    One pattern for all, because ten thousand names are asked about.
    """
    patterns = (*_NEVER, *get_settings().IGNORE_TASKS)
    return re.compile("|".join(map(translate, patterns))).match


def _order(proposal: Proposal) -> tuple[bool, str, str]:
    return not proposal.is_new, proposal.name, proposal.identity


def _named(found: Iterable[Proposal], taken: set[str]) -> list[Proposal]:
    """Give each new rule a name that no rule has and that can be stored."""
    named = []
    for proposal in found:
        name = (
            free_name(proposal.name, taken, MAX_NAME_LENGTH) if proposal.is_new else proposal.name
        )
        taken.add(name)
        named.append(replace(proposal, name=name))
    return named


def as_rule(proposal: Proposal) -> MonitorRule:
    """Return the rule that a proposal for a new one would add; it is not stored."""
    return MonitorRule(
        name=proposal.name,
        task_name=proposal.task_name,
        lookback_hours=proposal.lookback_hours,
        expected_statuses=[status.value for status in proposal.expected_statuses],
    )


def accept(proposals: Sequence[Proposal]) -> Accepted:
    """Add, change and disable rules as proposals say, all or none.

    A rule that is gone or was disabled meanwhile is passed over. Raises ValidationError if a new
    rule may not be stored.
    """
    accepted = Accepted()
    with transaction.atomic(using=router.db_for_write(MonitorRule)):
        pks = [one.rule_id for one in proposals if one.rule_id is not None]
        rows = MonitorRule.objects.select_for_update().filter(pk__in=pks, enabled=True)
        there = {row.pk: row for row in rows}
        for proposal in proposals:
            if proposal.rule_id is None:
                rule = as_rule(proposal)
                rule.full_clean()
                rule.save()
                accepted.added.append(rule)
            elif proposal.rule_id in there:
                _change(there[proposal.rule_id], proposal, accepted)
    return accepted


def _change(rule: MonitorRule, proposal: Proposal, accepted: Accepted) -> None:
    if proposal.reason is Reason.GONE:
        rule.enabled = False
        rule.save(update_fields=["enabled", "updated_at"])
        accepted.disabled.append(rule)
    else:
        rule.lookback_hours = proposal.lookback_hours
        rule.save(update_fields=["lookback_hours", "updated_at"])
        accepted.changed.append(rule)
