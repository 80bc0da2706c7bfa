"""What a rule measures beside the status: how long an execution takes, and how many end well.

Both can only turn an ok into a failure: whatever the documented rows of the table call failing,
stays what they call it. A duration is held against the 95th percentile (nearest rank) of the
completed executions of the same task, and the same context, that started before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from monitoring.core.durations import duration
from monitoring.core.statuses import FINISHED, Status, either
from monitoring.core.values import Evidence, Execution, Rule, Verdict, VerdictKind
from monitoring.core.wording import Text, joined
from monitoring.core.wording import Text as _

PERCENT = 95
SAMPLES = 50
"""Completed executions that say what is usual, at most."""
SAMPLES_READ = SAMPLES + 1
"""One more, because the one that is judged may be among them."""
FEWEST_SAMPLES = 20
"""Of fewer, the 95th percentile is no more than the longest that happened to be."""
FEWEST_FINISHED = 5
"""Of fewer finished executions, one failure is too great a share to say anything."""
LEAST_LIMIT = timedelta(seconds=1)
"""Nothing shorter is slow: a few milliseconds double by themselves."""
_NO_FINISH = _("duration not judged: the log does not say when it finished")
_ROUNDING = 1e-6
"""What 99.9 percent of a number may be off as a float."""


class Pace(NamedTuple):
    """How long an execution took, or has been running for, and what is usual."""

    took: timedelta
    is_running: bool
    samples: int
    usual: timedelta | None
    """95 percent took at most that long; None: too few have completed to say."""

    def is_slow(self, factor: float) -> bool:
        if self.usual is None:
            return False
        # In seconds, because a timedelta cannot hold every product.
        limit = max(factor * self.usual.total_seconds(), LEAST_LIMIT.total_seconds())
        return self.took.total_seconds() > limit

    def in_words(self, factor: float) -> Text:
        if self.usual is None:
            return _not_yet(_("duration"), self.samples, FEWEST_SAMPLES)
        pattern = _("it has been running for {took}") if self.is_running else _("it took {took}")
        took = _(pattern, took=duration(self.took))
        usual = _(
            "95 % of the last {count} completed runs took at most {usual}",
            count=self.samples,
            usual=duration(self.usual),
        )
        allowed = _("the rule allows {factor} times that", factor=f"{factor:g}")
        return joined((took, usual, allowed), "; ")


def pace(execution: Execution, successes: Sequence[Execution], now: datetime) -> Pace | None:
    """Return how long an execution takes beside the completed ones that started before it.

    successes: completed, the newest start first. None: its duration says nothing, because it
    neither runs nor has completed, or because no finish is known.
    """
    end = now if execution.status is Status.RUNNING else execution.finished_at
    if end is None or execution.status not in {Status.RUNNING, Status.COMPLETED}:
        return None
    before = [_took(one) for one in successes if one.started_at < execution.started_at]
    samples = before[:SAMPLES]
    return Pace(
        took=max(end - execution.started_at, timedelta(0)),
        is_running=execution.status is Status.RUNNING,
        samples=len(samples),
        usual=percentile(samples) if len(samples) >= FEWEST_SAMPLES else None,
    )


def _took(one: Execution) -> timedelta:
    """Return how long a completed execution took; the clocks of two machines may differ."""
    return max((one.finished_at or one.started_at) - one.started_at, timedelta(0))


def percentile(durations: Sequence[timedelta], percent: int = PERCENT) -> timedelta:
    """Return the shortest of some durations, at least one, that so many percent do not exceed."""
    return sorted(durations)[-(-percent * len(durations) // 100) - 1]


class SuccessRate(NamedTuple):
    """How many of a window's finished executions ended as expected."""

    good: int
    finished: int

    @property
    def is_known(self) -> bool:
        return self.finished >= FEWEST_FINISHED

    def is_below(self, percent: float) -> bool:
        return self.is_known and percent * self.finished - 100 * self.good > _ROUNDING

    def in_words(self, rule: Rule, now: datetime) -> Text:
        if not self.is_known:
            return _not_yet(_("success rate"), self.finished, FEWEST_FINISHED)
        return _(
            "{good} of {finished} runs since {since} were {expected} ({share} %), "
            "the rule wants {wanted} %",
            good=self.good,
            finished=self.finished,
            since=f"{rule.window_start(now):%Y-%m-%d %H:%M} UTC",
            expected=either(tuple(one for one in rule.expected_statuses if one in FINISHED)),
            # Rounded down, or 899 of 1000 would be called the 90 percent that they are not.
            share=f"{self.good * 1000 // self.finished / 10:g}",
            wanted=f"{rule.min_success_rate:g}",
        )


def success_rate(rule: Rule, evidence: Evidence) -> SuccessRate:
    finished = {status: evidence.finished.get(status, 0) for status in FINISHED}
    good = sum(finished[status] for status in FINISHED.intersection(rule.expected_statuses))
    return SuccessRate(good, sum(finished.values()))


def _not_yet(what: Text, count: int, fewest: int) -> Text:
    return _(
        "{what} not judged yet: {count} of {fewest} runs", what=what, count=count, fewest=fewest
    )


def measure(
    rule: Rule, evidence: Evidence, found: Verdict, candidate: Execution | None, now: datetime
) -> Verdict:
    """Return the verdict of a rule that measures something, from what its status says.

    found: the verdict by status alone. candidate: the execution that it was reached on, or that it
    waits for.
    """
    if found.kind not in {VerdictKind.OK, VerdictKind.IN_PROGRESS}:
        return found
    texts: list[Text] = []
    if rule.max_duration_factor is not None:
        for execution in _timed(found, candidate):
            its_pace = pace(execution, evidence.successes, now)
            if its_pace is None:
                texts = [_NO_FINISH] if execution.status is Status.COMPLETED else texts
                continue
            text = its_pace.in_words(rule.max_duration_factor)
            if its_pace.is_slow(rule.max_duration_factor):
                return _slow(execution, text, evidence)
            texts = [text]
    if found.kind is VerdictKind.OK and _has_success_rate(rule):
        rate = success_rate(rule, evidence)
        text = rate.in_words(rule, now)
        if rule.min_success_rate is not None and rate.is_below(rule.min_success_rate):
            return _too_few(found, text, evidence)
        texts.append(text)
    return found._replace(measured=joined(texts, "; ")) if texts else found


def _timed(found: Verdict, candidate: Execution | None) -> list[Execution]:
    """Return the executions whose duration counts: one that runs now, and the one judged ok."""
    running = candidate if candidate and candidate.status is Status.RUNNING else None
    return [one for one in (running, found.execution) if one is not None]


def _has_success_rate(rule: Rule) -> bool:
    """A rule that expects no finished status has no successes to count."""
    return rule.min_success_rate is not None and not FINISHED.isdisjoint(rule.expected_statuses)


def _slow(execution: Execution, measured: Text, evidence: Evidence) -> Verdict:
    return Verdict(
        kind=VerdictKind.SLOW,
        current_status=execution.status.value,
        reason=_("slower than usual"),
        measured=measured,
        execution=execution,
        waiting=evidence.waiting,
    )


def _too_few(found: Verdict, measured: Text, evidence: Evidence) -> Verdict:
    return Verdict(
        kind=VerdictKind.LOW_SUCCESS_RATE,
        current_status=found.current_status,
        reason=_("too few ended as expected"),
        measured=measured,
        execution=found.execution,
        waiting=evidence.waiting,
    )
