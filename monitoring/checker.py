"""One check: rules in, verdicts decided, alert events and outbox written, run recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from monitoring import alerting, judging, ledger, rendering, unwatched
from monitoring.alerting import Decision, Outcome, Owed, StateRow
from monitoring.conf import get_settings
from monitoring.core.incidents import step
from monitoring.core.values import Rule, Verdict, VerdictKind
from monitoring.models import AlertEvent, MonitorRun, Notification, RunState
from monitoring.reports import Report, unreachable
from monitoring.rule_rows import Batch
from monitoring.rulesets import RuleSet

logger = logging.getLogger("monitoring.checker")

T = TypeVar("T")
TakeStates = Callable[[Sequence[Rule]], dict[str, StateRow]]

DEADLOCK_ATTEMPTS = 6


def run_check(rule_set: RuleSet, now: datetime, *, dry_run: bool = False) -> Report:
    """Check every rule of the set at one instant.

    now: aware, UTC. dry_run: decide, but write nothing.
    A check of the same set that is still running makes this one return a `skipped` report.
    """
    report = Report(checked_at=now, rule_set=rule_set.name, problems=list(rule_set.problems))
    if dry_run:
        since = judging.recording_since()
        for batch in rule_set.batches():
            report.add(_decide(batch, now, since, ledger.read_states))
        return report
    run = _begin(rule_set, now)
    if run is None:
        logger.info("another check of %s is running: skipped", rule_set.name)
        report.state = "skipped"
        return report
    report.run_id = run.pk
    try:
        _check_batches(rule_set, now, report)
    except Exception as error:
        _end(run, report, RunState.FAILED, f"{type(error).__name__}: {error}")
        raise
    _end(run, report, RunState.COMPLETE, "\n".join(report.problems))
    return report


def _check_batches(rule_set: RuleSet, now: datetime, report: Report) -> None:
    if rule_set.is_complete:
        _in_transaction(lambda: unwatched.close_events(now))
    since = judging.recording_since()
    for batch in rule_set.batches():
        outcome, rows = _in_transaction(partial(_check_batch, batch, now, since))
        report.add(outcome)
        report.notification_ids += [row.pk for row in rows]
        _log_unreachable(outcome.owed)
    if rule_set.is_complete:
        _in_transaction(lambda: unwatched.forget_states(now))


def _in_transaction(work: Callable[[], T]) -> T:
    """Do the work of one transaction, again if the database gave it up for another's.

    Two checks that share rules may lock them in different orders: MariaDB locks what it scans
    and not only what was asked for.
    """
    for attempt in range(1, DEADLOCK_ATTEMPTS):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            # Inside a caller's transaction nothing can be done again: its beginning is lost.
            if connection.in_atomic_block or not ledger.is_deadlock(error):
                raise
            logger.info("another check holds some of these rules: attempt %d", attempt + 1)
            time.sleep(0.05 * attempt)
    with transaction.atomic():
        return work()


def _check_batch(
    batch: Batch, now: datetime, recording_since: datetime | None
) -> tuple[Outcome, list[Notification]]:
    outcome = _decide(batch, now, recording_since, ledger.lock_states)
    return outcome, ledger.write(outcome, now)


def _decide(
    batch: Batch, now: datetime, recording_since: datetime | None, take_states: TakeStates
) -> Outcome:
    """Judge a batch; only the rules that are not simply fine, as before, need a decision.

    take_states: reads, and locks if it is meant to be written, the states of those.
    """
    noted = ledger.read_unsettled(batch.rules, now)
    unsettled = {key for key, state in noted.items() if not state.is_fine}
    verdicts = judging.judge_batch(batch, now, recording_since, always=unsettled)
    unsettled |= {key for key, found in verdicts.items() if found.kind is not VerdictKind.OK}
    rest = [rule for rule in batch.rules if rule.key in unsettled]
    states = take_states(rest)
    verdicts |= judging.describe(rest, verdicts)
    events = ledger.open_events(rest)
    decisions = [
        _decision(rule, verdicts[rule.key], states[rule.key], events.get(rule.key), now)
        for rule in rest
    ]
    needs_people = any(one.step.owed or one.step.tell_cannot_check for one in decisions)
    superusers = alerting.superuser_addresses() if needs_people else ()
    owed = alerting.owed_messages(decisions, now, superusers)
    return Outcome(
        settled=len(batch.rules) - len(rest),
        stale=[state.pk for key, state in noted.items() if state.pk and key not in unsettled],
        decisions=decisions,
        owed=owed,
    )


def _decision(
    rule: Rule, verdict: Verdict, state: StateRow, event: AlertEvent | None, now: datetime
) -> Decision:
    return Decision(
        rule=rule,
        verdict=verdict,
        state=state,
        event=event,
        step=step(rule, alerting.read_state(state, event), verdict, now),
    )


def _log_unreachable(owed: Sequence[Owed]) -> None:
    """Keep the full message in the error log (documented behaviour 10.7.1)."""
    for message in unreachable(owed):
        event = message.decision.event
        mail = rendering.render(message.facts, event.pk if event else None)
        logger.error(
            "no recipient for this message:\nSubject: %s\n\n%s", mail.subject, mail.text_body
        )


def _begin(rule_set: RuleSet, now: datetime) -> MonitorRun | None:
    """Record the start of a check, or return None while another of the same set runs."""
    MonitorRun.objects.filter(lease=rule_set.identity, leased_until__lt=now).update(
        lease=None, state=RunState.FAILED, error="never ended: the process was killed"
    )
    lease = timedelta(minutes=get_settings().CHECK_LEASE_MINUTES)
    try:
        with transaction.atomic():
            return MonitorRun.objects.create(
                rule_set=rule_set.name,
                lease=rule_set.identity,
                leased_until=now + lease,
                started_at=now,
            )
    except IntegrityError:
        return None


def _end(run: MonitorRun, report: Report, state: str, error: str) -> None:
    MonitorRun.objects.filter(pk=run.pk, lease=run.lease).update(
        lease=None,
        leased_until=None,
        state=state,
        finished_at=timezone.now(),
        messages=len(report.notification_ids),
        error=error,
        **report.counts,
    )
