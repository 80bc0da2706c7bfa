"""What a check may find, set up in a filled database before it is measured."""

from __future__ import annotations

from datetime import timedelta

from monitoring import rule_rows
from monitoring.checker import run_check
from monitoring.core.arguments import Arguments
from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
)
from monitoring.reports import Report
from monitoring.rulesets import select
from tests.benchmarks.data import EXECUTIONS, RULES
from tests.factories import NOW


def check(*, dry_run: bool = False) -> Report:
    """Check all rules, as the periodic task does before it delivers."""
    return run_check(select(Arguments(all_rules=True)), NOW, dry_run=dry_run)


def everything_was_fine() -> None:
    """No rule fails, as the last check has found a moment ago."""
    _let_fail(one_in=0)
    _forget_events()
    check()
    RuleState.objects.update(last_checked_at=NOW)


def last_noted_long_ago() -> None:
    """The same, but it is time again to note on every rule that it was checked."""
    RuleState.objects.update(last_checked_at=NOW - timedelta(hours=1))


def in_a_new_process() -> None:
    """Nothing is remembered of the rules as they were read for the last check."""
    rule_rows.forget()


def never_checked() -> None:
    in_a_new_process()
    RuleState.objects.all().delete()
    MonitorRun.objects.all().delete()


def a_tenth_has_just_failed() -> None:
    """Every tenth task has failed since the last check, which found everything fine."""
    _forget_events()
    RuleState.objects.update(verdict="ok", failing_checks=0, unknown_checks=0, last_checked_at=NOW)
    _let_fail(one_in=10)


def _let_fail(*, one_in: int) -> None:
    """Stop the latest execution of every tenth task, or of none: the last of each is its latest."""
    last = BackgroundTask.objects.order_by("-pk").values_list("pk", flat=True)[0]
    latest = BackgroundTask.objects.filter(pk__gt=last - min(RULES, EXECUTIONS))
    latest.exclude(status="Completed").update(status="Completed")
    if one_in:
        failing = MonitorRule.objects.filter(name__endswith="0").values_list("task_name", flat=True)
        latest.filter(task_name__in=list(failing)).update(status="Stopped")


def _forget_events() -> None:
    Notification.objects.all().delete()
    AlertEvent.objects.all().delete()
