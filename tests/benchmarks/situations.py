"""What a check may find, set up in a filled database before it is measured."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from django.core.management.color import no_style
from django.db import connection

from monitoring import rule_rows
from monitoring.checker import run_check
from monitoring.core.arguments import Arguments
from monitoring.models import AlertEvent, MonitorRule, MonitorRun, Notification, RuleState
from monitoring.reports import Report
from monitoring.rulesets import select
from tests.benchmarks.data import CONTEXTS, newest_of_each
from tests.factories import NOW
from tests.gap.models import IngestorSession

TYPES = 7


def check(*, dry_run: bool = False) -> Report:
    """Check all rules, as the periodic task does before it delivers."""
    return run_check(select(Arguments(all_rules=True)), NOW, dry_run=dry_run)


def everything_was_fine() -> None:
    """No rule fails, as the last check has found a moment ago."""
    let_fail(one_in=0)
    forget_events()
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


def just_failed() -> None:
    """What fails has failed since the last check, which found everything fine."""
    forget_events()
    RuleState.objects.update(verdict="ok", failing_checks=0, unknown_checks=0, last_checked_at=NOW)


def failed_once_before() -> None:
    """Rules alert at the second failing check, and this is the second."""
    just_failed()
    failing = MonitorRule.objects.filter(name__endswith="0")
    keys = [rule_rows.key_of(rule) for rule in failing]
    for start in range(0, len(keys), 1000):
        rows = RuleState.objects.filter(key__in=keys[start : start + 1000])
        rows.update(verdict="status_mismatch", failing_checks=1)


def let_fail(*, one_in: int) -> None:
    """Stop the latest execution of every task, of every tenth, or of none (1, 10, 0)."""
    latest = newest_of_each(MonitorRule.objects.count())
    latest.exclude(status="Completed").update(status="Completed")
    if one_in == 1:
        latest.update(status="Stopped")
    elif one_in:
        failing = MonitorRule.objects.filter(name__endswith="0").values_list("task_name", flat=True)
        names = list(failing)
        for start in range(0, len(names), 1000):
            latest.filter(task_name__in=names[start : start + 1000]).update(status="Stopped")


def forget_events() -> None:
    """Empty both tables: deleting a million rows one by one would take minutes."""
    tables = [Notification._meta.db_table, AlertEvent._meta.db_table]
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))


def with_contexts_and_thresholds() -> None:
    """A tenth of the rules watch one type of context; all have a threshold and a longest run."""
    IngestorSession.objects.bulk_create(
        (
            IngestorSession(pk=number + 1, ingestor_type=f"type-{number % TYPES}")
            for number in range(CONTEXTS)
        ),
        ignore_conflicts=True,
    )
    MonitorRule.objects.update(alert_after=2, max_runtime_minutes=60)
    wanted = set(MonitorRule.objects.filter(name__endswith="5").values_list("task_name", flat=True))
    names = defaultdict(list)
    rows = newest_of_each(MonitorRule.objects.count()).values_list("task_name", "context_id")
    for name, context_id in rows:
        if name in wanted:
            names[(int(context_id) - 1) % TYPES].append(name)
    for number, some in names.items():
        MonitorRule.objects.filter(task_name__in=some).update(
            context_model="gap.IngestorSession", context_type=f"type-{number}"
        )
    RuleState.objects.all().delete()


def without_contexts_and_thresholds() -> None:
    MonitorRule.objects.update(
        alert_after=1, max_runtime_minutes=None, context_model="", context_type=""
    )
    RuleState.objects.all().delete()
