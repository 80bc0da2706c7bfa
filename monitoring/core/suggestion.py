"""The smallest window, and threshold, that would have raised no false alarm over a history.

A run may come late. What is a false alarm depends on how long one is willing to wait for the news:
a run that comes within the chosen delay after it was usually due was merely late, one that comes
later should be told of. Likewise, a run that takes a little longer than usual is no news, nor is a
share of successes that no more failures than usual have spoilt, because the window holds too few
runs. The usual time between two runs is the upper quartile of the gaps between starts, or a longer
gap that repeats from week to week, such as a night or a weekend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from monitoring.core.backtest import Backtest, backtest, days
from monitoring.core.limits import FACTOR_STEP, MOST_FACTOR, Factor, least_factor
from monitoring.core.measures import Pace, SuccessRate
from monitoring.core.past import Past
from monitoring.core.replay import Incident
from monitoring.core.statuses import FINISHED
from monitoring.core.tolerance import Tolerance
from monitoring.core.values import Execution, Rule
from monitoring.core.wording import Text
from monitoring.core.wording import Text as _

FEWEST_GAPS = 6
"""Fewer gaps between runs than this do not show how late a run may come."""
SHORTEST_HISTORY = timedelta(days=14)
"""Less than this has not seen two weekends."""
MOST_BEYOND = 5
"""Gaps longer than the delay allows, out of fifty times as many, that leave it a rhythm."""


class Reason(StrEnum):
    """Why no window is suggested."""

    NOT_FINISHING = "not_finishing"
    """The rule expects no finished execution, so that none can come late."""
    TOO_YOUNG = "too_young"
    TOO_FEW = "too_few"
    NO_RHYTHM = "no_rhythm"
    NO_USUAL_DURATION = "no_usual_duration"
    FAILS_ANYWAY = "fails_anyway"
    """More of its runs usually fail than the rule's success rate allows."""
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
    max_duration_factor: float | None
    """The smallest limit on durations that would have raised none; None: none can be told."""
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
    slower: int
    """How many took longer than any limit on durations allows that is suggested."""
    runs: int
    """How many runs the window holds, because the rule wants a success rate; 0: it does not."""
    backtest: Backtest
    """What a rule with this window and threshold would have done."""


def suggest(
    rule: Rule,
    executions: Sequence[Execution],
    checks: Sequence[datetime],
    log_since: datetime | None,
    delay: timedelta | None = None,
    earlier: Sequence[Execution] = (),
    *,
    limits: bool = True,
) -> Suggestion | Refusal:
    """Return the smallest window, and threshold, that would have raised no false alarm.

    Everything but delay as `backtest` takes it; the window and threshold that the rule has do not
    matter. checks: at least one, all as far apart. delay: how much later than usual a run may come
    without being told of; None: what the documented guidance adds to the interval. earlier: what
    completed before the executions, where the rule limits durations.

    It would have raised none whenever the checks had come; with a window that is one `window_step`
    shorter, checks at an unlucky time would have, or what usually fails could have been too great
    a share for the rule's success rate. The threshold is above 1 only if executions are judged
    while they run. With it a limit on durations is suggested that raises none; limits: False: only
    where the rule has one, because to find it takes longer than all the rest.
    Raises ValueError if delay is not above 0.
    """
    if delay is not None and delay <= timedelta(0):
        raise ValueError("the delay must be above 0")
    if not FINISHED & set(rule.expected_statuses):
        text = _("the rule expects no finished execution")
        return Refusal(reason=Reason.NOT_FINISHING, text=text)
    past = Past.of(executions)
    history = Tolerance(rule, past, checks, delay)
    if (refusal := _refusal(history, log_since)) is not None:
        return refusal
    alert_after = history.threshold()
    window, longest = history.window(alert_after)
    hours = round(window / timedelta(hours=1), 2)
    has_limit = rule.max_duration_factor is not None
    factor = _steady(least_factor(past, earlier)) if limits or has_limit else None
    # The window may reach further back than the executions at hand.
    since = max(log_since or past.starts[0], past.starts[0])
    fitted = replace(rule, lookback_hours=hours, alert_after=alert_after)
    replay = partial(backtest, executions=past.after(earlier), checks=checks, log_since=since)
    found, limit = _fit(fitted, factor, history, replay)
    if (refusal := _false_alarms_left(fitted, found, history)) is not None:
        return refusal
    return Suggestion(
        lookback_hours=hours,
        alert_after=alert_after,
        max_duration_factor=limit,
        usual=history.usual,
        delay=history.delay,
        latest=max(longest - history.usual, timedelta(0)),
        longest=history.limit,
        told_after=window + alert_after * history.every - history.usual,
        gaps=len(history.gaps),
        beyond=history.beyond,
        slower=factor.slower if factor else 0,
        runs=history.runs or 0,
        backtest=found,
    )


def false_alarms(
    found: Backtest,
    rule: Rule,
    executions: Sequence[Execution],
    checks: Sequence[datetime],
    delay: timedelta | None = None,
) -> list[Incident]:
    """Return the events of a backtest that told only of what is ordinary, as a run a little late.

    rule, executions, checks: those of the backtest. delay: as in `suggest`.
    """
    history = Tolerance(rule, Past.of(executions), checks, delay)
    return [one for one in found.incidents if history.is_false_alarm(one)]


def _refusal(history: Tolerance, log_since: datetime | None) -> Refusal | None:
    """Return why nothing can be suggested, or None if the history will do."""
    end = history.checks[-1]
    covered = end - max(log_since or end, history.checks[0])
    counted = {"gaps": len(history.gaps), "beyond": history.beyond}
    if covered <= timedelta(0):
        text = _("the log holds nothing of this time")
        return Refusal(reason=Reason.TOO_YOUNG, text=text)
    if covered < SHORTEST_HISTORY:
        lengths = {"covered": days(covered), "least": days(SHORTEST_HISTORY)}
        text = _("the log covers {covered}; it takes {least} to tell", **lengths)
        return Refusal(reason=Reason.TOO_YOUNG, text=text)
    if len(history.gaps) < FEWEST_GAPS:
        counts = {"runs": len(history.starts), "least": FEWEST_GAPS + 1}
        text = _("runs in the history: {runs}; it takes {least} to tell", **counts)
        return Refusal(reason=Reason.TOO_FEW, text=text)
    if history.beyond > max(MOST_BEYOND, len(history.gaps) // 50):
        text = _("no steady rhythm: {beyond} of {gaps} gaps are unusually long", **counted)
        return Refusal(reason=Reason.NO_RHYTHM, text=text)
    if (refusal := _refused_share(history)) is not None:
        return refusal
    slow = sum(map(history.delay.__lt__, history.held))
    if slow > max(MOST_BEYOND, len(history.starts) // 50):
        text = _("{slow} runs took too long to be told from those that hang", slow=slow)
        return Refusal(reason=Reason.IN_PROGRESS, text=text)
    return None


def _refused_share(history: Tolerance) -> Refusal | None:
    """Return why no window bears the success rate that the rule wants, or None."""
    if history.runs is None:
        shares = {
            "share": f"{100 * (1 - history.failures):.3g}",
            "wanted": f"{history.rule.min_success_rate:g}",
        }
        text = _(
            # xgettext:no-python-format
            "usually {share} % of its runs end as expected, the rule wants {wanted} %",
            **shares,
        )
        return Refusal(reason=Reason.FAILS_ANYWAY, text=text)
    if history.stretch is None:
        counts = {"runs": len(history.starts), "least": history.runs + 1}
        text = _(
            "only {runs} runs in the history: its success rate takes {least} in a row", **counts
        )
        return Refusal(reason=Reason.TOO_FEW, text=text)
    return None


def _steady(factor: Factor | None) -> Factor | None:
    is_rhythm = factor is not None and factor.slower <= max(MOST_BEYOND, factor.judged // 50)
    return factor if is_rhythm else None


def _fit(
    rule: Rule, factor: Factor | None, history: Tolerance, replay: Callable[[Rule], Backtest]
) -> tuple[Backtest, float | None]:
    """Return the replay of a rule with the least limit on durations, and this; None: its own.

    Executions that overlap may be judged by other ones than `least_factor` took.
    """
    limit = factor.least if factor else None
    if rule.max_duration_factor is None or limit is None:
        return replay(rule), limit
    while True:
        found = replay(replace(rule, max_duration_factor=limit))
        slow = (one for one in found.incidents if isinstance(one.measured, Pace))
        if limit >= MOST_FACTOR or not any(map(history.is_false_alarm, slow)):
            return found, limit
        limit += FACTOR_STEP


def _false_alarms_left(rule: Rule, found: Backtest, history: Tolerance) -> Refusal | None:
    """Return why no window helps, if there are false alarms all the same."""
    left = [one.measured for one in found.incidents if history.is_false_alarm(one)]
    if not left:
        return None
    if any(isinstance(one, Pace) for one in left):
        factor = f"{rule.max_duration_factor:g}"
        text = _("runs differ too much for a limit of {factor} times what is usual", factor=factor)
        return Refusal(reason=Reason.NO_USUAL_DURATION, text=text)
    if any(isinstance(one, SuccessRate) for one in left):
        text = _("a single failure is too great a share of what the window holds")
        return Refusal(reason=Reason.TOO_FEW, text=text)
    text = _("executions are judged while they run, and follow each other too closely")
    return Refusal(reason=Reason.IN_PROGRESS, text=text)
