"""What a rule measures beside the status: how long an execution takes, and how many end well.

Both can only turn an ok into a failure: whatever the documented rows of the table call failing,
stays what they call it. A duration is held against the 95th percentile (nearest rank) of the
completed executions of the same task, and the same context, that started before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from monitoring.core.durations import PERCENT, duration, percentile
from monitoring.core.statuses import FINISHED, Status, either
from monitoring.core.values import Evidence, Execution, Rule, Verdict, VerdictKind
from monitoring.core.wording import Text, joined
from monitoring.core.wording import Text as _

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
_ROUNDING = 1e-6
"""What 99.9 percent of a number may be off as a float."""


class Remark(NamedTuple):
    """What stands in the place of something measured."""

    text: Text

    def in_words(self) -> Text:
        return self.text


class Pace(NamedTuple):
    """How long an execution took, or has been running for, and what is usual."""

    took: timedelta
    is_running: bool
    samples: int
    usual: timedelta | None
    """95 percent took at most that long; None: too few have completed to say."""
    factor: float
    """How many times that the rule allows."""

    @property
    def is_slow(self) -> bool:
        if self.usual is None:
            return False
        # In seconds, because a timedelta cannot hold every product.
        limit = max(self.factor * self.usual.total_seconds(), LEAST_LIMIT.total_seconds())
        return self.took.total_seconds() > limit

    def in_words(self) -> Text:
        if self.usual is None:
            return _not_yet(_("duration"), self.samples, FEWEST_SAMPLES)
        pattern = _("it has been running for {took}") if self.is_running else _("it took {took}")
        took = _(pattern, took=duration(self.took))
        usual = _(
            # xgettext:no-python-format
            "95 % of the last {count} completed runs took at most {usual}",
            count=self.samples,
            usual=duration(self.usual),
        )
        allowed = _("the rule allows {factor} times that", factor=f"{self.factor:g}")
        return joined((took, usual, allowed), "; ")


def pace(
    execution: Execution, successes: Sequence[Execution], factor: float, now: datetime
) -> Pace | Remark | None:
    """Return how long an execution takes beside the completed ones that started before it.

    successes: completed, the newest start first. None: its duration says nothing, because it
    neither runs nor has completed.
    """
    if execution.status not in {Status.RUNNING, Status.COMPLETED}:
        return None
    is_running = execution.status is Status.RUNNING
    end = now if is_running else execution.finished_at
    if end is None:
        return Remark(_("duration not judged: the log does not say when it finished"))
    start = execution.started_at
    before = [
        one.finished_at - one.started_at
        for one in successes
        if one.started_at < start and one.finished_at is not None
    ]
    samples = before[:SAMPLES]
    is_enough = len(samples) >= FEWEST_SAMPLES
    # Less than nothing by the clocks of two machines is nothing.
    return Pace(
        took=max(end - start, timedelta(0)),
        is_running=is_running,
        samples=len(samples),
        usual=max(percentile(samples), timedelta(0)) if is_enough else None,
        factor=factor,
    )


def is_within(took: float, samples: Sequence[float], factor: float) -> bool:
    """Say that `pace` finds a duration not slow, without sorting what it is held against.

    took, samples: in seconds, not negative; as many samples as `pace` would take.
    """
    if took <= LEAST_LIMIT.total_seconds() or len(samples) < FEWEST_SAMPLES:
        return True
    # The percentile is at least as long as any duration that so many samples reach.
    wanted = len(samples) + 1 + -PERCENT * len(samples) // 100
    for sample in samples:
        if factor * sample >= took:
            wanted -= 1
            if not wanted:
                return True
    return False


def is_low(good: int, finished: int, wanted: float) -> bool:
    """Say that a share is known and less than a rule wants. wanted: in percent."""
    return finished >= FEWEST_FINISHED and wanted * finished - 100 * good > _ROUNDING


class SuccessRate(NamedTuple):
    """How many of a window's finished executions ended as expected."""

    good: int
    finished: int
    wanted: float
    """In percent."""
    expected: tuple[Status, ...]
    """Those of the expected statuses that end an execution."""
    since: datetime

    @property
    def is_known(self) -> bool:
        return self.finished >= FEWEST_FINISHED

    @property
    def is_low(self) -> bool:
        return is_low(self.good, self.finished, self.wanted)

    def in_words(self) -> Text:
        if not self.is_known:
            return _not_yet(_("success rate"), self.finished, FEWEST_FINISHED)
        return _(
            "{good} of {finished} runs since {since} were {expected} ({share} %), "
            "the rule wants {wanted} %",
            good=self.good,
            finished=self.finished,
            since=f"{self.since:%Y-%m-%d %H:%M} UTC",
            expected=either(self.expected),
            # Rounded down, or 899 of 1000 would be called the 90 percent that they are not.
            share=f"{self.good * 1000 // self.finished / 10:g}",
            wanted=f"{self.wanted:g}",
        )


def success_rate(rule: Rule, evidence: Evidence, now: datetime) -> SuccessRate | None:
    """Return the share of a rule that wants one; a rule that expects no end has no successes."""
    expected = tuple(status for status in rule.expected_statuses if status in FINISHED)
    if rule.min_success_rate is None or not expected:
        return None
    finished = {status: evidence.finished.get(status, 0) for status in FINISHED}
    return SuccessRate(
        good=sum(finished[status] for status in set(expected)),
        finished=sum(finished.values()),
        wanted=rule.min_success_rate,
        expected=expected,
        since=rule.window_start(now),
    )


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
    rate = success_rate(rule, evidence, now)
    beside = found._replace(also_measured=(rate,)) if rate else found
    if found.kind not in {VerdictKind.OK, VerdictKind.IN_PROGRESS}:
        return beside
    measured: list[Pace | Remark | SuccessRate] = []
    if rule.max_duration_factor is not None:
        for execution in _timed(found, candidate):
            its_pace = pace(execution, evidence.successes, rule.max_duration_factor, now)
            if isinstance(its_pace, Pace) and its_pace.is_slow:
                return _slow(execution, its_pace, evidence, beside)
            measured = [its_pace] if its_pace else measured
    if found.kind is VerdictKind.IN_PROGRESS:
        return beside._replace(measured=tuple(measured))
    if rate is not None:
        if rate.is_low:
            return _too_few(found, rate, evidence)
        measured.append(rate)
    return found._replace(measured=tuple(measured)) if measured else found


def _timed(found: Verdict, candidate: Execution | None) -> list[Execution]:
    """Return the executions whose duration counts: one that runs now, and the one judged ok."""
    running = candidate if candidate and candidate.status is Status.RUNNING else None
    return [one for one in (running, found.execution) if one is not None]


def _slow(execution: Execution, its_pace: Pace, evidence: Evidence, beside: Verdict) -> Verdict:
    return Verdict(
        kind=VerdictKind.SLOW,
        current_status=execution.status.value,
        reason=_("slower than usual"),
        measured=(its_pace,),
        also_measured=beside.also_measured,
        execution=execution,
        waiting=evidence.waiting,
    )


def _too_few(found: Verdict, rate: SuccessRate, evidence: Evidence) -> Verdict:
    return Verdict(
        kind=VerdictKind.LOW_SUCCESS_RATE,
        current_status=found.current_status,
        reason=_("too few ended as expected"),
        measured=(rate,),
        execution=found.execution,
        waiting=evidence.waiting,
    )
