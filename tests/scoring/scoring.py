"""How good the rules are that something makes of a history: precision and recall of their events.

Whatever makes rules is a `Scorer`: what it may know at the time in, a rule out.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from monitoring.core.backtest import backtest, check_times
from monitoring.core.replay import Incident
from monitoring.core.values import Execution, Rule
from tests.scoring.year import END, START, Known, Schedule, Told

EVERY = timedelta(minutes=15)
LEARN = timedelta(days=60)
"""How much of the past a scorer is shown."""
MONTHS = [START.replace(month=month) for month in range(3, 13)]
"""When rules are made: at the beginning of each month, from the first one with a past on."""
FIRST = MONTHS[0]


@dataclass(frozen=True, kw_only=True)
class Past:
    """What is known of a task when its rule is made."""

    schedule: Schedule
    """A scorer that reads schedules may ask which is in force, and for nothing else."""
    rule: Rule | None
    """The rule that stands."""
    sent: Sequence[datetime]
    """When the message of each execution was sent."""
    executions: Sequence[Execution]
    start: datetime
    now: datetime


Scorer = Callable[[Past], Rule | None]
"""Makes a rule of what is known; None: the rule that stands is kept."""


@dataclass
class Score:
    """Events and incidents of some tasks."""

    right: int = 0
    """Events that told of an incident."""
    wrong: int = 0
    """Events about nothing: false alarms."""
    found: int = 0
    """Incidents that an event told of."""
    missed: int = 0

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        return self.found / max(self.found + self.missed, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)

    def __add__(self, other: Score) -> Score:
        return Score(
            self.right + other.right,
            self.wrong + other.wrong,
            self.found + other.found,
            self.missed + other.missed,
        )


def score(told: Told, scorer: Scorer) -> Score:
    """Count what the rules of a scorer find in the year of a task."""
    incidents = [one for _rule, events in watch(told, scorer) for one in events]
    known = [one for one in told.incidents if one.end >= FIRST]
    right = sum(any(tells(event, one) for one in known) for event in incidents)
    found = sum(any(tells(event, one) for event in incidents) for one in known)
    return Score(right, len(incidents) - right, found, len(known) - found)


def watch(told: Told, scorer: Scorer) -> Iterator[tuple[Rule, Sequence[Incident]]]:
    """Let a scorer make the rule of a task anew every month, of the sixty days before.

    Yield each rule and the events of its month. Nothing of what it is scored on is known to it.
    """
    starts = [one.started_at for one in told.executions]
    rule: Rule | None = None
    for now, end in pairwise((*MONTHS, END)):
        part = slice(bisect_left(starts, now - LEARN), bisect_right(starts, now))
        known = [one for one in told.executions[part] if _is_known(one, now)]
        past = Past(
            schedule=told.schedule,
            rule=rule,
            sent=[told.due[int(one.pk)] for one in known],
            executions=known,
            start=now - LEARN,
            now=now,
        )
        rule = scorer(past) or rule
        if rule is not None:
            yield rule, _events(rule, told.executions, starts, now, end)


def _is_known(one: Execution, now: datetime) -> bool:
    return one.finished_at is None or one.finished_at <= now


def _events(
    rule: Rule,
    executions: Sequence[Execution],
    starts: Sequence[datetime],
    start: datetime,
    end: datetime,
) -> Sequence[Incident]:
    lead = start - timedelta(hours=rule.lookback_hours)
    part = executions[bisect_left(starts, lead) : bisect_left(starts, end)]
    checks = list(check_times(start, end - EVERY, EVERY))
    return backtest(rule, part, checks, START).incidents


def tells(event: Incident, known: Known) -> bool:
    """Say whether an event was open while something was wrong, or at the check after."""
    resolved = event.resolved_at or END
    return event.opened_at <= known.end + EVERY and known.start <= resolved


def table(scores: dict[str, dict[str, Score]]) -> str:
    """Return scores by group and scorer as a table of text, which is Markdown too."""
    lines = [
        "| tasks | window | precision | recall | F1 | false alarms | missed incidents |",
        "|---|---|---|---|---|---|---|",
    ]
    for group, by_scorer in scores.items():
        for name, one in by_scorer.items():
            lines.append(
                f"| {group} | {name} | {one.precision:.0%} | {one.recall:.0%} | {one.f1:.2f} "
                f"| {one.wrong} | {one.missed} of {one.found + one.missed} |"
            )
    return "\n".join(lines)
