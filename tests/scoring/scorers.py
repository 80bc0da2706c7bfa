"""What makes rules of a history: the documented guideline, at both of its ends, and two of ours."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from statistics import median

from monitoring import schedules
from monitoring.core.backtest import check_times
from monitoring.core.discovery import RUNS, Task, Watched, propose
from monitoring.core.rhythm import Run
from monitoring.core.statuses import Status
from monitoring.core.suggestion import Suggestion, suggest
from monitoring.core.values import Rule, WhileRunning
from tests.scoring.scoring import EVERY, Past

HOUR = timedelta(hours=1)


def rule_of(past: Past, hours: float, alert_after: int = 1) -> Rule:
    """Return a rule; all that scorers differ in is the window."""
    return Rule(
        key="scored",
        task_name=past.schedule.name,
        expected_statuses=(Status.COMPLETED,),
        lookback_hours=hours,
        alert_after=alert_after,
        while_running=WhileRunning.WAIT,
        rule_id=1,
    )


def guideline_least(past: Past) -> Rule:
    """Take the smaller window of the documented table: 1 h, 2 h, 24 h, 168 h."""
    return rule_of(past, _interval(past) / HOUR)


def guideline_most(past: Past) -> Rule:
    """Take the larger window of the documented table: 2 h, 3 h, 25 h, 170 h."""
    interval = _interval(past)
    return rule_of(past, (interval + (2 * HOUR if interval >= 168 * HOUR else HOUR)) / HOUR)


def suggestion(past: Past) -> Rule | None:
    """Take what is suggested by what the task did; keep the rule where nothing is suggested."""
    checks = list(check_times(past.start, past.now, EVERY))
    found = suggest(rule_of(past, 1), past.executions, checks, past.start)
    if not isinstance(found, Suggestion):
        return None
    return rule_of(past, found.lookback_hours, found.alert_after)


def discovery(past: Past) -> Rule | None:
    """Accept whatever discovery proposes for the task, a new rule as well as one that drifted."""
    stands = past.rule
    task = Task(
        name=past.schedule.name,
        entries=((past.schedule.name, "as beat has it"),),
        gap=schedules.coming_gap([past.schedule.in_force(past.now)], past.now),
        rules=() if stands is None else (Watched(1, stands.task_name, stands.lookback_hours),),
    )
    newest = [
        Run(one.started_at, one.status, sent, one.finished_at)
        for one, sent in zip(past.executions[-RUNS:], past.sent[-RUNS:], strict=True)
    ][::-1]
    proposals = propose(task, newest, EVERY, past.now)
    return rule_of(past, proposals[0].lookback_hours) if proposals else None


def _interval(past: Past) -> timedelta:
    """Return how often the task runs, as a person would say it: to the minute."""
    starts = [one.started_at for one in past.executions]
    middle = median(later - earlier for earlier, later in pairwise(starts))
    return max(round(middle / timedelta(minutes=5)), 1) * timedelta(minutes=5)
