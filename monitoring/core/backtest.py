"""What a rule would have done: the same verdicts and steps, over executions that are history.

An execution is seen as it stood at each check: running until its finish. What waited in the queue,
snoozes, acknowledgements and upstreams are not replayed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.core.measures import FEWEST_FINISHED, FEWEST_SAMPLES
from monitoring.core.replay import Incident, Replay
from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution, Rule, VerdictKind
from monitoring.core.wording import Text, joined, ngettext
from monitoring.core.wording import Text as _


@dataclass(frozen=True, kw_only=True, slots=True)
class Backtest:
    """What a rule would have done from `start` to `end`."""

    start: datetime
    end: datetime
    covered_from: datetime | None
    """From here on the log could answer; None: it holds nothing of this time."""
    checks: int
    unknown_checks: int
    """Checks that could not judge, because the log was young."""
    incidents: Sequence[Incident]
    changes: Sequence[tuple[datetime, VerdictKind]]
    """When the verdict became another, the first one included."""
    too_few_completed: int | None = None
    """Completed runs, where these were too few to hold any duration against; None: enough."""
    too_few_finished: int | None = None
    """The most that a window held, where that was too few for a success rate; None: enough."""

    @property
    def messages(self) -> int:
        return sum(incident.messages for incident in self.incidents)

    @property
    def late_runs(self) -> int:
        return sum(incident.was_a_late_run for incident in self.incidents)

    @property
    def still_open(self) -> int:
        """How many of them nothing has resolved yet, so that nobody knows how they end."""
        return sum(incident.resolved_at is None for incident in self.incidents)

    @property
    def failures(self) -> int:
        """How many of them are over, and were no late run."""
        return len(self.incidents) - self.late_runs - self.still_open

    @property
    def is_known(self) -> bool:
        """Whether any check could judge: if none could, that nothing happened says nothing."""
        return self.covered_from is not None and self.unknown_checks < self.checks

    @property
    def covered(self) -> timedelta:
        """How much of the time the log could answer for."""
        return self.end - self.covered_from if self.covered_from else timedelta(0)


def check_times(start: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
    """Yield when checks would have run. Raises ValueError if `every` is not above 0."""
    if every <= timedelta(0):
        raise ValueError("checks must have some time between them")
    at = start
    while at <= end:
        yield at
        at += every


def backtest(
    rule: Rule,
    executions: Sequence[Execution],
    checks: Sequence[datetime],
    log_since: datetime | None,
) -> Backtest:
    """Replay checks of a rule over past executions.

    executions: of the rule's task and context, by start, those from one window before the first
    check on included; with a duration factor, also the last before these that completed. checks:
    aware, UTC, in order, at least one. log_since: since when the log holds whatever ran; None: it
    holds nothing.
    """
    replay = Replay(rule, executions, log_since)
    number = 0
    while (number := replay.pass_plainly_fine(checks, number)) < len(checks):
        now = checks[number]
        number += 1
        same_until = replay.check(now, checks[number] if number < len(checks) else now)
        if same_until is not None:
            next_number = bisect_right(checks, same_until, number)
            replay.pass_over(next_number - number)
            number = next_number
    start, end = checks[0], checks[-1]
    covered_from = None if log_since is None or log_since >= end else max(log_since, start)
    return Backtest(
        start=start,
        end=end,
        covered_from=covered_from,
        checks=len(checks),
        unknown_checks=replay.unknown,
        incidents=replay.incidents,
        changes=replay.changes,
        too_few_completed=_too_few_completed(rule, executions),
        too_few_finished=_too_few_finished(rule, executions),
    )


def _too_few_completed(rule: Rule, executions: Iterable[Execution]) -> int | None:
    if rule.max_duration_factor is None:
        return None
    completed = before_the_last = 0
    for one in executions:
        before_the_last = completed
        if before_the_last >= FEWEST_SAMPLES:
            return None
        completed += one.status is Status.COMPLETED and one.finished_at is not None
    return before_the_last


def _too_few_finished(rule: Rule, executions: Iterable[Execution]) -> int | None:
    if rule.min_success_rate is None:
        return None
    window, most = timedelta(hours=rule.lookback_hours), 0
    inside: deque[datetime] = deque()
    for one in executions:
        if one.status not in FINISHED:
            continue
        inside.append(one.started_at)
        while inside[0] < one.started_at - window:
            inside.popleft()
        most = max(most, len(inside))
        if most >= FEWEST_FINISHED:
            return None
    return most


def in_words(found: Backtest) -> Text:
    """Return what a rule would have done, and how far the log could tell.

    Never "no event" where there was no data.
    """
    length = days(found.end - found.start)
    if found.covered_from is None:
        return _("cannot be told: the log holds nothing of the last {time}", time=length)
    if not found.is_known:
        return _(
            "cannot be told: the log covers {covered} of the last {time}, less than the rule "
            "looks back",
            covered=days(found.covered),
            time=length,
        )
    count = events(len(found.incidents))
    said: list[str] = [_("would have opened {events} in {time}", events=count, time=length)]
    if found.incidents:
        failures, late, still_open = found.failures, found.late_runs, found.still_open
        kinds = [
            (failures, ngettext("{count} failure", "{count} failures", failures)),
            (late, ngettext("{count} late run", "{count} late runs", late)),
            (still_open, ngettext("{count} still open", "{count} still open", still_open)),
        ]
        said += [": ", joined((text for number, text in kinds if number), ", ")]
    said += ["; ", messages(found.messages)]
    # A hundredth that is missing would be rounded away: "60 days of these" 60.
    if found.covered < (found.end - found.start) * 0.99:
        said += ["; ", _("the log covers {time} of these", time=days(found.covered))]
    if found.too_few_completed is not None:
        unjudged = _(
            "the limit on duration was not judged: {count} of {fewest} completed runs",
            count=found.too_few_completed,
            fewest=FEWEST_SAMPLES,
        )
        said += ["; ", unjudged]
    if found.too_few_finished is not None:
        unjudged = _(
            "the success rate was not judged: no window held more than {count} of {fewest} "
            "finished runs",
            count=found.too_few_finished,
            fewest=FEWEST_FINISHED,
        )
        said += ["; ", unjudged]
    return joined(said, "")


def events(count: int) -> Text:
    return ngettext("{count} event", "{count} events", count) if count else _("no events")


def messages(count: int) -> Text:
    return ngettext("{count} message", "{count} messages", count) if count else _("no messages")


def days(length: timedelta) -> Text:
    """Return a length of time in whole days, hours or minutes, at least two of each."""
    if length >= timedelta(days=2):
        return ngettext("{count} day", "{count} days", round(length / timedelta(days=1)))
    if length >= timedelta(hours=2):
        return _("{hours} h", hours=round(length / timedelta(hours=1)))
    return _("{minutes} min", minutes=round(length / timedelta(minutes=1)))
