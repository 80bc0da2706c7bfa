"""What rules would have done over the history that the task log holds."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitoring import judging
from monitoring.core.backtest import Backtest, backtest, check_times
from monitoring.core.values import Rule
from monitoring.tasklogs.history import past

DEFAULT_DAYS = 60
DEFAULT_EVERY = timedelta(minutes=5)
MOST_EXECUTIONS = 200_000
"""Executions that are read at most, the newest; what is older counts as not covered."""


def over_days(
    rule: Rule, now: datetime, days: float = DEFAULT_DAYS, every: timedelta = DEFAULT_EVERY
) -> Backtest:
    """Replay the checks of a rule over its task's executions.

    now: aware, UTC; the end of the time. every: between two checks.
    Raises ContextError if the rule's context cannot be applied, TaskLogError if the settings name
    no usable log.
    """
    start = now - timedelta(days=days)
    first = start - timedelta(hours=rule.lookback_hours)
    executions = past(rule, first, now, MOST_EXECUTIONS)
    since = judging.recording_since()
    if len(executions) == MOST_EXECUTIONS:
        since = executions[0].started_at
    return backtest(rule, executions, list(check_times(start, now, every)), since)
