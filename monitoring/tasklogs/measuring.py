"""What a check reads for rules that measure durations and successes, beside their executions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from monitoring.core.measures import SAMPLES_READ
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Evidence, Execution, Rule
from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.samples import Window, finished_in, last_completed

FOR_EACH_KIND = 500
"""Completed executions of a task that are searched for those of a context type: what they are of
stands in another table. Of a rare type fewer samples are found than there are."""
MOST_SEARCHED = 100_000
"""The same in one batch: each task has its share."""


def measure(
    log: TaskLog, rules: Sequence[Rule], evidence: Mapping[str, Evidence], now: datetime
) -> dict[str, Evidence]:
    """Return the evidence of those rules that measure something, with what they measure.

    rules: without context filters. One query for each of the two measures that is asked for.
    """
    timed = {rule.task_name for rule in rules if rule.max_duration_factor is not None}
    completed = last_completed(log, timed, SAMPLES_READ, now)
    counted = [rule for rule in rules if rule.min_success_rate is not None]
    counts = finished_in(log, [_window(rule, now) for rule in counted], now)
    finished = {rule.key: found for rule, found in zip(counted, counts, strict=True)}
    return {
        rule.key: measured(
            evidence[rule.key],
            [one for _, one in completed.get(rule.task_name, ())]
            if rule.max_duration_factor is not None
            else (),
            finished.get(rule.key, {}),
        )
        for rule in rules
        if rule.measures
    }


def _window(rule: Rule, now: datetime) -> Window:
    return Window(rule.task_name, rule.window_start(now))


def measured(
    evidence: Evidence, successes: Sequence[Execution], finished: Mapping[Status, int]
) -> Evidence:
    """Return evidence with what was measured.

    The executions that are judged get their finish from there: the one fast query leaves it out.
    """
    return evidence._replace(
        latest=_with_finish(evidence.latest, successes),
        latest_finished=_with_finish(evidence.latest_finished, successes),
        successes=successes,
        finished=finished,
    )


def _with_finish(judged: Execution | None, successes: Sequence[Execution]) -> Execution | None:
    if judged is None or judged.status is not Status.COMPLETED or judged.finished_at is not None:
        return judged
    known = next((one for one in successes if one.pk == judged.pk), None)
    return judged if known is None else judged._replace(finished_at=known.finished_at)


def completed_of_any_kind(
    log: TaskLog, rules: Iterable[Rule], now: datetime
) -> list[tuple[str, Execution]]:
    """Return (context id, execution) of the last that completed of tasks with context filters."""
    kinds = Counter(rule.task_name for rule in rules if rule.max_duration_factor is not None)
    if not kinds:
        return []
    most = min(FOR_EACH_KIND * max(kinds.values()), MOST_SEARCHED // len(kinds))
    found = last_completed(log, kinds, max(most, SAMPLES_READ), now, with_context=True)
    return [pair for pairs in found.values() for pair in pairs]


def completed_of(log: TaskLog, rule: Rule, now: datetime) -> list[tuple[str, Execution]]:
    """Return (context id, execution) of the last that completed of a rule's task."""
    if rule.context is not None:
        return completed_of_any_kind(log, [rule], now)
    return last_completed(log, [rule.task_name], SAMPLES_READ, now).get(rule.task_name, [])


def count_finished(rule: Rule, executions: Iterable[Execution], now: datetime) -> Counter[Status]:
    """Return how many of a rule's executions have finished within its window, by status."""
    start = rule.window_start(now)
    return Counter(
        one.status for one in executions if one.status in FINISHED and one.started_at >= start
    )
