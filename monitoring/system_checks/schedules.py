"""Checks of the periodic tasks that run the monitor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.checks import CheckMessage
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from monitoring.contexts import short_label
from monitoring.core.names import did_you_mean
from monitoring.core.values import Rule
from monitoring.models import MonitorRule
from monitoring.periodic_tasks import Scheduled, misread_arguments, scheduled
from monitoring.registry import task_names
from monitoring.system_checks.messages import database_check, error, named, warning
from monitoring.tasklogs.host_model import TaskLogError
from monitoring.tasklogs.starts import refused_among, started_among

Groups = dict[tuple[str, ...], list[str]]
"""Names of periodic tasks -> labels of what all of them check."""


@database_check
def check_periodic_tasks() -> Iterator[CheckMessage]:
    """Refuse arguments of monitoring periodic tasks that beat would turn into something else."""
    for name, complaint in misread_arguments():
        yield error(
            "monitoring.E002",
            f'periodic task "{name}": {complaint}',
            "Correct its Arguments in the admin, under Periodic tasks.",
        )


@database_check
def check_arguments() -> Iterator[CheckMessage]:
    """Warn of documented arguments with mistakes: each check ends with an error about them."""
    for task in scheduled(timezone.now()):
        problems = [str(problem) for problem in task.arguments.problems]
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            yield warning(
                "monitoring.W113",
                f'periodic task "{task.name}": {problems[0]}{more}',
                "Correct its Arguments in the admin, under Periodic tasks: the form names each "
                "mistake.",
            )


@database_check
def check_refused_tasks() -> Iterator[CheckMessage]:
    """Warn of enabled periodic tasks whose task no worker knows, going by what was refused."""
    rows = PeriodicTask.objects.filter(enabled=True).order_by("name")
    sent = list(rows.values_list("name", "task"))
    try:
        refused = refused_among(task for _name, task in sent)
    except TaskLogError:  # which E003 is about
        return
    if not refused:
        return
    in_code = task_names()
    refused -= started_among(refused) | set(in_code)
    for name, task in sent:
        if task in refused:
            yield warning(
                "monitoring.W114",
                f'periodic task "{name}" sends "{task}", which a worker refused and none has ever '
                f"run{did_you_mean(task, in_code)}",
                "Correct its Task in the admin, under Periodic tasks, or let the workers import "
                "the task.",
            )


@database_check
def check_unscheduled_rules() -> Iterator[CheckMessage]:
    """Warn of enabled rules that no enabled periodic task checks."""
    tasks = scheduled(timezone.now())
    if any(task.arguments.all_rules for task in tasks):
        return
    checked_by = _Selections(tasks)
    missed = [
        f'rule "{name}"'
        for name, task_name in _enabled_rules()
        if not checked_by.tasks(name, task_name)
    ]
    if missed:
        yield warning(
            "monitoring.W107",
            f"no enabled periodic task checks {named(missed)} ({len(missed)} in all)",
            'Run "manage.py monitor install-schedules", or enable a periodic task that runs '
            "monitor_task_status, with Arguments [] for all rules.",
        )


@database_check
def check_double_schedules() -> Iterator[CheckMessage]:
    """Warn of enabled periodic tasks that check the same."""
    tasks = scheduled(timezone.now())
    complete = [task.name for task in tasks if task.arguments.all_rules]
    once = "a rule that is checked twice reaches alert_after sooner and is reminded of more often."
    if len(complete) > 1:
        yield warning(
            "monitoring.W109",
            f"periodic tasks {_quoted(complete)} check all rules, each of them",
            f"Disable all but one: {once}",
        )
    for names, rules in _same_rules(tasks, complete[:1]).items():
        yield warning(
            "monitoring.W109",
            f"periodic tasks {_quoted(names)} check the same: {named(rules)}",
            f"Leave each rule to one of them: {once}",
        )
    for names, entries in _same_entries(tasks).items():
        yield warning(
            "monitoring.W109",
            f"the JSON arguments of periodic tasks {_quoted(names)} list the same: "
            f"{named(entries)}",
            "Take it out of all but one: each of them opens an alert event of its own, so that "
            "every mail is sent once for each.",
        )


class _Selections:
    """Which periodic tasks name a rule, or its task, in their keyword arguments."""

    def __init__(self, tasks: Sequence[Scheduled]) -> None:
        self._by_name: dict[str, list[str]] = {}
        self._by_task: dict[str, list[str]] = {}
        for task in tasks:
            for name in task.arguments.rule_names or ():
                self._by_name.setdefault(name, []).append(task.name)
            for name in task.arguments.task_names or ():
                self._by_task.setdefault(name, []).append(task.name)

    def tasks(self, rule_name: str, task_name: str) -> list[str]:
        found = [*self._by_name.get(rule_name, ()), *self._by_task.get(task_name, ())]
        return sorted(set(found))


def _same_rules(tasks: Sequence[Scheduled], complete: Sequence[str]) -> Groups:
    """complete: at most one periodic task that checks all rules."""
    if not any(task.arguments.rule_names or task.arguments.task_names for task in tasks):
        return {}
    checked_by = _Selections(tasks)
    groups: Groups = {}
    for name, task_name in _enabled_rules():
        names = (*complete, *checked_by.tasks(name, task_name))
        if len(names) > 1:
            groups.setdefault(names, []).append(f'rule "{name}"')
    return groups


def _same_entries(tasks: Sequence[Scheduled]) -> Groups:
    listed: dict[str, list[str]] = {}
    for task in tasks:
        for entry in task.arguments.entries:
            listed.setdefault(_target(entry), []).append(task.name)
    groups: Groups = {}
    for target, names in listed.items():
        if len(names) > 1:
            groups.setdefault(tuple(names), []).append(target)
    return groups


def _target(entry: Rule) -> str:
    if entry.context is None:
        return f'"{entry.task_name}"'
    model = short_label(entry.context.model).lower()
    return f'"{entry.task_name}" ({model}: {entry.context.type})'


def _enabled_rules() -> Iterator[tuple[str, str]]:
    rows = MonitorRule.objects.filter(enabled=True).order_by("name")
    yield from rows.values_list("name", "task_name")


def _quoted(names: Sequence[str]) -> str:
    return named([f'"{name}"' for name in names])
