"""One check: rules in, verdicts decided, alert events and outbox written, run recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from monitoring import alerting, ledger, rendering
from monitoring.alerting import Decision, Owed
from monitoring.conf import get_settings
from monitoring.core.incidents import step
from monitoring.core.values import Evidence, Rule, Verdict, Waiting
from monitoring.core.verdicts import judge
from monitoring.models import MonitorRun, Notification, RunState
from monitoring.reports import Report, unreachable
from monitoring.rulesets import Batch, RuleSet
from monitoring.tasklogs import background_task as task_log

logger = logging.getLogger("monitoring.checker")

T = TypeVar("T")

DEADLOCK_ATTEMPTS = 6


def run_check(rule_set: RuleSet, now: datetime, *, dry_run: bool = False) -> Report:
    """Check every rule of the set at one instant.

    now: aware, UTC. dry_run: decide, but write nothing.
    A check of the same set that is still running makes this one return a `skipped` report.
    """
    report = Report(checked_at=now, rule_set=rule_set.name, problems=list(rule_set.problems))
    if dry_run:
        for batch in rule_set.batches():
            report.add(*_decide(batch, now, ledger.read_states(batch.rules)))
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
        _in_transaction(lambda: ledger.close_unwatched(now))
    for batch in rule_set.batches():
        decisions, owed, rows = _in_transaction(partial(_check_batch, batch, now))
        report.add(decisions, owed)
        report.notification_ids += [row.pk for row in rows]
        _log_unreachable(owed)
    if rule_set.is_complete:
        _in_transaction(lambda: ledger.forget_unwatched(now))


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
    batch: Batch, now: datetime
) -> tuple[list[Decision], list[Owed], list[Notification]]:
    states = ledger.lock_states(batch.rules)
    decisions, owed = _decide(batch, now, states)
    return decisions, owed, ledger.write(decisions, owed, now)


def _decide(
    batch: Batch, now: datetime, states: dict[str, Any]
) -> tuple[list[Decision], list[Owed]]:
    events = ledger.open_events(batch.rules)
    verdicts = _verdicts(batch, now)
    decisions = [
        Decision(
            rule=rule,
            verdict=verdicts[rule.key],
            state=states[rule.key],
            event=events.get(rule.key),
            step=step(
                rule,
                alerting.read_state(states[rule.key], events.get(rule.key)),
                verdicts[rule.key],
                now,
            ),
        )
        for rule in batch.rules
    ]
    needs_people = any(one.step.owed or one.step.tell_cannot_check for one in decisions)
    superusers = alerting.superuser_addresses() if needs_people else ()
    return decisions, alerting.owed_messages(decisions, now, superusers)


def _verdicts(batch: Batch, now: datetime) -> dict[str, Verdict]:
    usable = [rule for rule in batch.rules if rule.key not in batch.unusable]
    evidence = task_log.gather(usable, now)
    watching_since = _watching_since()
    verdicts: dict[str, Verdict] = {}
    for rule in batch.rules:
        if rule.key in batch.unusable:
            found = Evidence(unusable=batch.unusable[rule.key])
        else:
            found = evidence[rule.key]
            since = min((at for at in (found.log_since, watching_since) if at), default=None)
            found = replace(found, log_since=since)
        verdicts[rule.key] = _judge(rule, found, now)
    _add_waiting(batch.rules, verdicts)
    _warn_of_skew(usable, now)
    return verdicts


def _judge(rule: Rule, evidence: Evidence, now: datetime) -> Verdict:
    try:
        return judge(rule, evidence, now)
    except Exception as error:  # one bad rule must not stop the others
        logger.exception("rule %r cannot be judged", rule.label)
        reason = f"{type(error).__name__}: {error}"
        return judge(rule, Evidence(unusable=reason), now)


def _watching_since() -> datetime | None:
    """Return when the first check ran: an empty log is telling from then on."""
    return MonitorRun.objects.order_by("pk").values_list("started_at", flat=True).first()


def _add_waiting(rules: Sequence[Rule], verdicts: dict[str, Verdict]) -> None:
    """Say of failing tasks what waits in their queue; others are not worth the query."""
    failing = {rule.task_name for rule in rules if verdicts[rule.key].is_failing}
    waiting = task_log.read_waiting(failing)
    for rule in rules:
        if verdicts[rule.key].is_failing and rule.task_name in waiting:
            waits = waiting.get(rule.task_name, Waiting())
            verdicts[rule.key] = replace(verdicts[rule.key], waiting=waits)


def _warn_of_skew(rules: Sequence[Rule], now: datetime) -> None:
    future = task_log.count_future_starts((rule.task_name for rule in rules), now)
    for task_name, count in sorted(future.items()):
        logger.warning(
            "%s: %d execution(s) start in the future and were ignored; compare the clocks of the "
            "workers with the clock of the monitor",
            task_name,
            count,
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
