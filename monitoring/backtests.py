"""What rules would have done over the history that the task log holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from monitoring import judging
from monitoring.core.backtest import Backtest, backtest, check_times
from monitoring.core.discovery import DEFAULT_INTERVAL
from monitoring.core.past import Past
from monitoring.core.suggestion import Refusal, Suggestion, suggest
from monitoring.core.values import Execution, Rule
from monitoring.periodic_tasks import check_interval
from monitoring.tasklogs.history import completed_before, first_start, past

DEFAULT_DAYS = 60
LEAST_EVERY = timedelta(minutes=1)
"""No more checks than one a minute are replayed, however often they come."""
MOST_EXECUTIONS = 200_000
"""Executions that are read at most, the newest; what is older counts as not covered."""


class Interval(NamedTuple):
    """How much time is taken to pass between two checks."""

    every: timedelta
    is_scheduled: bool
    """Beat has it so; else it is assumed."""


ASSUMED = Interval(DEFAULT_INTERVAL, is_scheduled=False)


def interval_of_checks(now: datetime, *, sees_schedules: bool = True) -> Interval:
    """Return how often checks come as they are scheduled now; two queries, or none.

    sees_schedules: whether whoever asks may know of periodic tasks. now: aware.
    """
    found = check_interval(now) if sees_schedules else None
    return ASSUMED if found is None else Interval(max(found, LEAST_EVERY), is_scheduled=True)


@dataclass(frozen=True, kw_only=True)
class History:
    """What the log holds of a rule's task, and when checks would have looked at it."""

    executions: Past
    checks: Sequence[datetime]
    log_since: datetime | None
    left_out_before: datetime | None = None
    """There are more executions than are read; those before this were left out."""
    completed_before: Sequence[Execution] = ()
    """What says how long the first executions usually take, where a rule measures that."""

    def replay(self, rule: Rule) -> Backtest:
        """Say what a rule of the same task and context would have done."""
        measures = rule.max_duration_factor is not None
        executions = self._with_those_before if measures else self.executions
        return backtest(rule, executions, self.checks, self.log_since)

    @cached_property
    def _with_those_before(self) -> Past:
        return self.executions.after(self.completed_before)

    def suggest(
        self, rule: Rule, delay: timedelta | None = None, *, limits: bool = True
    ) -> Suggestion | Refusal:
        """Suggest a window and a threshold; delay, limits: as in `core.suggestion.suggest`."""
        earlier = self.completed_before if rule.max_duration_factor is not None else ()
        return suggest(
            rule, self.executions, self.checks, self.log_since, delay, earlier, limits=limits
        )


def history_of(
    rule: Rule,
    now: datetime,
    days: float = DEFAULT_DAYS,
    every: timedelta = DEFAULT_INTERVAL,
    *,
    most: int = MOST_EXECUTIONS,
    beside: Rule | None = None,
) -> History:
    """Read what a rule would have looked at; five queries, and one for each 10,000 contexts.

    now: aware, UTC; the end of the time. every: between two checks. most: executions that are
    read, the newest. beside: another rule of the same task and context that is replayed over it.
    Raises ContextError if the rule's context cannot be applied, TaskLogError if the settings name
    no usable log.
    """
    start = now - timedelta(days=days)
    rules = [rule] if beside is None else [rule, beside]
    first = start - timedelta(hours=max(one.lookback_hours for one in rules))
    executions, is_cut = past(rule, first, now, most)
    since, left_out = _known_since(rule, judging.recording_since()), None
    if is_cut:
        left_out = since = first = executions[0].started_at if executions else now
    measures = any(one.max_duration_factor is not None for one in rules)
    return History(
        executions=executions,
        checks=list(check_times(start, now, every)),
        log_since=since,
        left_out_before=left_out,
        completed_before=completed_before(rule, first) if measures else (),
    )


def _known_since(rule: Rule, log_since: datetime | None) -> datetime | None:
    """Return from when on nothing running means that something is wrong.

    Not before the task first ran, unless the rule was there before: a task that was deployed
    yesterday has not been failing for two months.
    """
    known = [at for at in (first_start(rule.task_name), rule.watched_since) if at is not None]
    if log_since is None or not known:
        return log_since
    return max(log_since, min(known))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a rule that is being edited would have done, beside what is stored."""

    history: History
    edited: Backtest
    stored: Backtest | None
    """None: the rule is new, or nothing was changed that matters."""
    suggestion: Suggestion | Refusal
    interval: Interval


def compare(
    edited: Rule,
    stored: Rule | None,
    now: datetime,
    delay: timedelta | None = None,
    interval: Interval = ASSUMED,
    *,
    days: float = DEFAULT_DAYS,
    most: int = MOST_EXECUTIONS,
) -> Comparison:
    """Replay a rule as it is edited and as it is stored; see `history_of`.

    The history is read once, unless the task or the context was changed.
    """
    if stored is not None and _what_matters(stored) == _what_matters(edited):
        stored = None
    is_same = stored is not None and _watched(stored) == _watched(edited)
    history = before = history_of(
        edited, now, days, interval.every, most=most, beside=stored if is_same else None
    )
    if stored is not None and not is_same:
        before = history_of(stored, now, days, interval.every, most=most)
    return Comparison(
        history=history,
        edited=history.replay(edited),
        stored=before.replay(stored) if stored is not None else None,
        suggestion=history.suggest(edited, delay, limits=False),
        interval=interval,
    )


def _watched(rule: Rule) -> tuple[Any, ...]:
    return rule.task_name, rule.context


def _what_matters(rule: Rule) -> tuple[Any, ...]:
    return (
        *_watched(rule),
        set(rule.expected_statuses),
        rule.lookback_hours,
        rule.alert_after,
        rule.remind_hours,
        rule.notify_on_recovery,
        rule.max_runtime_minutes,
        rule.max_duration_factor,
        rule.min_success_rate,
        rule.while_running,
    )
