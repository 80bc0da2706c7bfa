"""The smallest window, and threshold, that would have raised no false alarm over a history.

A run may come late. What is a false alarm depends on how long one is willing to wait for the news:
a run that comes within the chosen delay after it was usually due was merely late, one that comes
later should be told of. The usual time between two runs is the upper quartile of the gaps between
starts, or a longer gap that repeats from week to week, such as a night or a weekend.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from monitoring.core.backtest import Backtest, backtest, days
from monitoring.core.replay import Incident
from monitoring.core.rhythm import room, usual_gap
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution, Rule, VerdictKind, WhileRunning
from monitoring.core.wording import Text
from monitoring.core.wording import Text as _

FEWEST_GAPS = 6
"""Fewer gaps between runs than this do not show how late a run may come."""
SHORTEST_HISTORY = timedelta(days=14)
"""Less than this has not seen two weekends."""
MOST_BEYOND = 5
"""Gaps longer than the delay allows, out of fifty times as many, that leave it a rhythm."""

_STEPS = (
    (timedelta(hours=1), timedelta(minutes=3)),
    (timedelta(hours=6), timedelta(minutes=15)),
    (timedelta(hours=23), timedelta(minutes=30)),
)
_LARGEST_STEP = timedelta(hours=1)


class Reason(StrEnum):
    """Why no window is suggested."""

    NOT_FINISHING = "not_finishing"
    """The rule expects no finished execution, so that none can come late."""
    TOO_YOUNG = "too_young"
    TOO_FEW = "too_few"
    NO_RHYTHM = "no_rhythm"
    IN_PROGRESS = "in_progress"
    """Executions are judged while they run, and no threshold lets them come to their end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Nothing can be suggested: the reason by name, and for people."""

    reason: Reason
    text: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """What would have raised no false alarm, and what it rests on."""

    lookback_hours: float
    alert_after: int
    usual: timedelta
    """How long it usually takes from one run to the next, nights and weekends included."""
    delay: timedelta
    """How much later than that a run may come without being told of."""
    latest: timedelta
    """The latest that a run came of those within the delay, after it was usually due."""
    longest: timedelta
    """Longer gaps are told of: the usual one and the delay."""
    told_after: timedelta
    """How long after it was usually due a missing run is told of, at the latest."""
    gaps: int
    beyond: int
    """How many of them were longer than that."""
    backtest: Backtest
    """What a rule with this window and threshold would have done."""


def suggest(
    rule: Rule,
    executions: Sequence[Execution],
    checks: Sequence[datetime],
    log_since: datetime | None,
    delay: timedelta | None = None,
) -> Suggestion | Refusal:
    """Return the smallest window, and threshold, that would have raised no false alarm.

    Everything but delay as `backtest` takes it; the window and threshold that the rule has do not
    matter. checks: at least one, all as far apart. delay: how much later than usual a run may come
    without being told of; None: what the documented guidance adds to the interval.

    It would have raised none whenever the checks had come; with a window that is one `window_step`
    shorter, checks at an unlucky time would have. The threshold is above 1 only if executions are
    judged while they run.
    Raises ValueError if delay is not above 0.
    """
    if delay is not None and delay <= timedelta(0):
        raise ValueError("the delay must be above 0")
    if not FINISHED & set(rule.expected_statuses):
        text = _("the rule expects no finished execution")
        return Refusal(reason=Reason.NOT_FINISHING, text=text)
    history = _History(rule, executions, checks, delay)
    if (refusal := history.refusal(log_since)) is not None:
        return refusal
    alert_after = history.threshold()
    window, longest = history.window(alert_after)
    hours = round(window / timedelta(hours=1), 2)
    fitted = replace(rule, lookback_hours=hours, alert_after=alert_after)
    # The window may reach further back than the executions at hand.
    since = max(log_since or executions[0].started_at, executions[0].started_at)
    found = backtest(fitted, executions, checks, since)
    if any(map(history.is_false_alarm, found.incidents)):
        text = _("executions are judged while they run, and follow each other too closely")
        return Refusal(reason=Reason.IN_PROGRESS, text=text)
    return Suggestion(
        lookback_hours=hours,
        alert_after=alert_after,
        usual=history.usual,
        delay=history.delay,
        latest=max(longest - history.usual, timedelta(0)),
        longest=history.limit,
        told_after=window + alert_after * history.every - history.usual,
        gaps=len(history.gaps),
        beyond=history.beyond,
        backtest=found,
    )


def false_alarms(
    found: Backtest,
    rule: Rule,
    executions: Sequence[Execution],
    checks: Sequence[datetime],
    delay: timedelta | None = None,
) -> list[Incident]:
    """Return the events of a backtest that told of a run which came within the delay.

    rule, executions, checks: those of the backtest. delay: as in `suggest`.
    """
    history = _History(rule, executions, checks, delay)
    return [one for one in found.incidents if history.is_false_alarm(one)]


def window_step(window: timedelta) -> timedelta:
    """Return to which round length a suggested window is rounded up."""
    return next((step for most, step in _STEPS if window <= most), _LARGEST_STEP)


class _History:
    """Runs and checks, and what they say about windows and thresholds."""

    def __init__(
        self,
        rule: Rule,
        executions: Sequence[Execution],
        checks: Sequence[datetime],
        delay: timedelta | None,
    ) -> None:
        self.rule, self.checks = rule, checks
        self.every = checks[1] - checks[0] if len(checks) > 1 else timedelta.max
        starts = [one.started_at for one in executions]
        part = slice(bisect_left(starts, checks[0]), bisect_right(starts, checks[-1]))
        self.executions, self.starts = executions[part], starts[part]
        self.gaps = [later - earlier for earlier, later in pairwise(self.starts)]
        self.usual = usual_gap(self.starts, delay) if self.gaps else timedelta(0)
        self.delay = room(self.usual) if delay is None else delay
        self.limit = self.usual + self.delay
        self.beyond = sum(gap > self.limit for gap in self.gaps)
        self.held = self._held()
        """For how long each is found failing only because it has not ended; empty: none is."""
        self.longest_held = max(
            (
                held
                for held, one in zip(self.held, self.executions, strict=False)
                if held <= self.delay and self._ended_well(one)
            ),
            default=timedelta(0),
        )

    def refusal(self, log_since: datetime | None) -> Refusal | None:
        """Return why nothing can be suggested, or None if the history will do."""
        end = self.checks[-1]
        covered = end - max(log_since or end, self.checks[0])
        counted = {"gaps": len(self.gaps), "beyond": self.beyond}
        if covered <= timedelta(0):
            text = _("the log holds nothing of this time")
            return Refusal(reason=Reason.TOO_YOUNG, text=text)
        if covered < SHORTEST_HISTORY:
            lengths = {"covered": days(covered), "least": days(SHORTEST_HISTORY)}
            text = _("the log covers {covered}; it takes {least} to tell", **lengths)
            return Refusal(reason=Reason.TOO_YOUNG, text=text)
        if len(self.gaps) < FEWEST_GAPS:
            counts = {"runs": len(self.starts), "least": FEWEST_GAPS + 1}
            text = _("runs in the history: {runs}; it takes {least} to tell", **counts)
            return Refusal(reason=Reason.TOO_FEW, text=text)
        if self.beyond > max(MOST_BEYOND, len(self.gaps) // 50):
            text = _("no steady rhythm: {beyond} of {gaps} gaps are unusually long", **counted)
            return Refusal(reason=Reason.NO_RHYTHM, text=text)
        slow = sum(held > self.delay for held in self.held)
        if slow > max(MOST_BEYOND, len(self.starts) // 50):
            text = _("{slow} runs took too long to be told from those that hang", slow=slow)
            return Refusal(reason=Reason.IN_PROGRESS, text=text)
        return None

    def threshold(self) -> int:
        """Return the smallest that lets executions end which are judged while they run."""
        return 1 + -(-self.longest_held // self.every)

    def window(self, alert_after: int) -> tuple[timedelta, timedelta]:
        """Return the smallest with this threshold, rounded up, and the longest tolerated gap."""
        needed = longest = timedelta(0)
        most_on_top = self.longest_held - (alert_after - 1) * self.every
        for number in sorted(range(len(self.gaps)), key=self.gaps.__getitem__, reverse=True):
            if longest and self.gaps[number] + most_on_top <= needed:
                break
            if self.is_tolerated(number):
                longest = max(longest, self.gaps[number])
                needed = max(needed, self._needed(number, alert_after))
        step = window_step(needed)
        return max(-(-needed // step), 1) * step, longest

    def is_tolerated(self, number: int) -> bool:
        """Say whether the run after this one was not late enough to be told of.

        What follows or comes before a run that went wrong is part of that.
        """
        if not 0 <= number < len(self.gaps) or self.gaps[number] > self.limit:
            return False
        if self._judges_from_start and self.held[number + 1] > self.delay:
            return False
        return all(map(self._ended_well, self.executions[number : number + 2]))

    def is_false_alarm(self, incident: Incident) -> bool:
        """Say whether an event told only of a run that came, or ended, within the delay."""
        if incident.verdict is VerdictKind.NO_EXECUTION:
            return self.is_tolerated(bisect_right(self.starts, incident.opened_at) - 1)
        if incident.execution is None or incident.current_status != Status.RUNNING:
            return False
        number = bisect_left(self.starts, incident.execution.started_at)
        return self.is_tolerated(number - 1) and self.held[number] <= self.delay

    @property
    def _judges_from_start(self) -> bool:
        judges = self.rule.while_running is WhileRunning.JUDGE
        return judges and Status.RUNNING not in self.rule.expected_statuses

    def _ended_well(self, one: Execution) -> bool:
        return one.status in FINISHED and one.status in self.rule.expected_statuses

    def _held(self) -> list[timedelta]:
        limit, nothing = self.rule.max_runtime_minutes, timedelta(0)
        if self._judges_from_start:
            spared = nothing
        elif limit is not None:
            spared = timedelta(minutes=limit)
        else:
            return []
        ends = (one.finished_at or one.started_at for one in self.executions)
        # The next execution hides it.
        until = map(min, ends, [*self.starts[1:], self.checks[-1]])
        return [
            max(end - start - spared, nothing)
            for end, start in zip(until, self.starts, strict=True)
        ]

    def _needed(self, number: int, alert_after: int) -> timedelta:
        """Return the shortest window in which too few checks miss a run, whenever they come."""
        gap = self.gaps[number]
        if not self._judges_from_start:
            return gap
        # The checks that miss the next run, and those that then find it running, are a row.
        return gap + self.held[number + 1] - (alert_after - 1) * self.every
