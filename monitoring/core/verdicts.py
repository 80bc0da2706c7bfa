"""What a check says of one rule: the decision table of the product.

| latest execution in the window                               | verdict           |
|--------------------------------------------------------------|-------------------|
| none                                                         | `no_execution`    |
| `Running`, longer than `max_runtime_minutes`                 | `overrunning`     |
| status among the expected ones                               | `ok`              |
| any other status                                             | `status_mismatch` |
| ok, but slower than `max_duration_factor` allows             | `slow`            |
| ok, but fewer of the window than `min_success_rate`          | `low_success_rate`|
| the log cannot answer, or has not recorded for a window yet  | `unknown`         |
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from monitoring.core.measures import measure
from monitoring.core.statuses import FINISHED, NO_EXECUTION, NOT_STARTED, Status, either
from monitoring.core.values import (
    Evidence,
    Execution,
    Rule,
    Verdict,
    VerdictKind,
    WhileRunning,
)
from monitoring.core.wording import Text
from monitoring.core.wording import Text as _

MAX_CLOCK_SKEW = timedelta(seconds=300)
"""Starts later than this after `now` come from a wrong clock; sources leave them out."""


def is_plainly_ok(rule: Rule, latest: Execution | None, now: datetime) -> bool:
    """Say that `judge` finds ok by the latest execution alone: it has finished as expected.

    False means only that `judge` has to be asked. Nearly all rules are plainly ok at nearly every
    check, and this is what keeps ten thousand of them cheap.
    """
    return latest is not None and not rule.measures and ended_as_expected(rule, latest, now)


def ended_as_expected(rule: Rule, execution: Execution, now: datetime) -> bool:
    """Say that an execution of the window has finished with a status that the rule expects."""
    return (
        execution.status in rule.expected_statuses
        and execution.status in FINISHED
        and execution.started_at >= rule.window_start(now)
    )


def judge(rule: Rule, evidence: Evidence, now: datetime) -> Verdict:
    """Say what one check finds for one rule.

    now: aware, UTC. rule.lookback_hours: hours, may be fractional.
    Raises ValueError if now is naive.
    Source: documented behaviour 10.4.1 (started_at >= now - lookback).
    """
    if now.tzinfo is None:
        raise ValueError("judge() needs an aware `now`, got a naive one")
    if evidence.unusable:
        return _unknown(evidence.unusable)
    window_start = rule.window_start(now)
    candidate = _candidate(rule, evidence, window_start)
    found = _by_status(rule, evidence, candidate, window_start, now)
    return measure(rule, evidence, found, candidate, now) if rule.measures else found


def _by_status(
    rule: Rule,
    evidence: Evidence,
    candidate: Execution | None,
    window_start: datetime,
    now: datetime,
) -> Verdict:
    """Say what the documented rows of the table find."""
    if (overrun := _overrunning(rule, candidate, evidence, now)) is not None:
        return overrun
    waits = _is_unsettled(candidate) and _waits_for_a_finish(rule)
    if waits:
        candidate = _within(evidence.latest_finished, window_start)
    if candidate is not None and candidate.status in rule.expected_statuses:
        return Verdict(
            kind=VerdictKind.OK, current_status=candidate.status.value, execution=candidate
        )
    if (queued := _accepted_waiting(rule, evidence, window_start)) is not None:
        kind = VerdictKind.IN_PROGRESS if _waits_for_a_finish(rule) else VerdictKind.OK
        return Verdict(kind=kind, current_status=queued.value, waiting=evidence.waiting)
    if candidate is not None:
        return _mismatch(rule, candidate, evidence)
    if waits:
        return Verdict(
            kind=VerdictKind.IN_PROGRESS,
            current_status=Status.RUNNING.value,
            reason=_("still in progress; nothing has finished in the window yet"),
            execution=evidence.latest,
        )
    return _nothing_found(rule, evidence, window_start, now)


def _within(execution: Execution | None, window_start: datetime) -> Execution | None:
    return execution if execution is not None and execution.started_at >= window_start else None


def _candidate(rule: Rule, evidence: Evidence, window_start: datetime) -> Execution | None:
    """Return the execution to judge: the latest of the window, or one that still runs.

    A running execution counts whatever its start if the rule limits the runtime: else a task
    that hangs for longer than the window would turn from "overrunning" into "did not execute".
    """
    inside = _within(evidence.latest, window_start)
    if inside is None and rule.max_runtime_minutes is not None:
        return evidence.latest_running
    return inside


def _overrunning(
    rule: Rule, candidate: Execution | None, evidence: Evidence, now: datetime
) -> Verdict | None:
    if rule.max_runtime_minutes is None or candidate is None:
        return None
    if candidate.status is not Status.RUNNING:
        return None
    # In seconds, because a timedelta cannot hold every number of minutes that a column can.
    if not (now - candidate.started_at).total_seconds() > rule.max_runtime_minutes * 60:
        return None
    return Verdict(
        kind=VerdictKind.OVERRUNNING,
        current_status=Status.RUNNING.value,
        reason=_("running for longer than {minutes} min", minutes=f"{rule.max_runtime_minutes:g}"),
        execution=candidate,
        waiting=evidence.waiting,
    )


def _waits_for_a_finish(rule: Rule) -> bool:
    """Only a finished execution settles a rule that waits, unless the rule expects none."""
    return rule.while_running is WhileRunning.WAIT and any(
        status in FINISHED for status in rule.expected_statuses
    )


def _is_unsettled(candidate: Execution | None) -> bool:
    """Say whether an outcome is still to come.

    A started execution is `Pending` or `Queued` again while its next attempt waits for a worker.
    """
    return candidate is not None and candidate.status not in FINISHED


def _accepted_waiting(rule: Rule, evidence: Evidence, window_start: datetime) -> Status | None:
    for status in rule.expected_statuses:
        if status in NOT_STARTED:
            submitted = evidence.waiting.newest.get(status)
            if submitted is not None and submitted >= window_start:
                return status
    return None


def _mismatch(rule: Rule, execution: Execution, evidence: Evidence) -> Verdict:
    return Verdict(
        kind=VerdictKind.STATUS_MISMATCH,
        current_status=execution.status.value,
        reason=_instead(execution.status, rule.expected_statuses),
        execution=execution,
        waiting=evidence.waiting,
    )


# There are few of them, and a backtest finds one at each of thousands of checks.
@lru_cache(maxsize=256)
def _instead(found: Status, expected: tuple[Status, ...]) -> Text:
    return _("{status} instead of {expected}", status=_(found.value), expected=either(expected))


def _nothing_found(
    rule: Rule, evidence: Evidence, window_start: datetime, now: datetime
) -> Verdict:
    """Tell "did not run" from "we have not looked for long enough to know"."""
    if rule.watched_since is not None:
        log_since = evidence.log_since or now
        since = max(rule.watched_since, log_since)
        if since > window_start:
            covered = max((now - since).total_seconds() / 3600, 0.0)
            hours = {"covered": f"{round(covered, 2):g}", "hours": f"{rule.lookback_hours:g}"}
            if log_since >= rule.watched_since:
                reason = _("log covers {covered} of {hours} h", **hours)
            else:
                reason = _("rule has watched for {covered} of {hours} h", **hours)
            return _unknown(reason, young_log=True)
    latest = evidence.latest
    runs = latest is not None and latest.status is Status.RUNNING
    return Verdict(
        kind=VerdictKind.NO_EXECUTION,
        current_status=NO_EXECUTION,
        reason=_("no execution in the last {hours} h", hours=f"{rule.lookback_hours:g}"),
        still_running=latest if runs else None,
        last_known=latest,
        waiting=evidence.waiting,
    )


def _unknown(reason: str, *, young_log: bool = False) -> Verdict:
    return Verdict(
        kind=VerdictKind.UNKNOWN, current_status="Unknown", reason=reason, young_log=young_log
    )
