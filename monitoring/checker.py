"""One check: rules in, verdicts decided, alert events and outbox written, run recorded."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.db import Error, connection

from monitoring import (
    gathering,
    judging,
    ledger,
    rendering,
    rule_states,
    runs,
    unwatched,
)
from monitoring.alerting import Outcome, Owed
from monitoring.deciding import Deciding
from monitoring.models import RunState
from monitoring.reports import Report, unreachable
from monitoring.rule_rows import Batch
from monitoring.rulesets import RuleSet
from monitoring.runs import Begun, LeaseLostError, Request
from monitoring.tasklogs import lost
from monitoring.transactions import in_transaction, is_about_the_statement

logger = logging.getLogger("monitoring.checker")


def run_check(
    rule_set: RuleSet, now: datetime, *, request: Request | None = None, dry_run: bool = False
) -> Report:
    """Check every rule of the set at one instant.

    now: aware, UTC. request: who asks; None: a person. dry_run: decide, but write nothing.
    The report is `skipped` while another check of the same set runs, and when a message asks for
    what was done already.
    """
    report = Report(checked_at=now, rule_set=rule_set.name, problems=list(rule_set.problems))
    if dry_run:
        deciding = Deciding(now, judging.recording_since())
        for batch in rule_set.batches(now):
            report.add(deciding.decide(batch, rule_states.read_states))
        return report
    begun = _begin(rule_set, now, request or Request())
    if isinstance(begun, str):
        logger.info("check of %s skipped: %s", rule_set.name, begun)
        report.skip(begun)
        return report
    report.run_id = begun.run.pk
    report.not_checked_from = begun.run.not_checked_from
    beat_asks = bool(request and request.periodic_task)
    _Check(rule_set, now, begun, report, beat_asks).do()
    return report


def _begin(rule_set: RuleSet, now: datetime, request: Request) -> Begun | str:
    tried: list[Begun] = []

    def begin() -> Begun | str:
        if tried and runs.is_recorded(tried[-1].run):
            return tried[-1]
        begun = runs.begin(rule_set.name, rule_set.identity, now, request)
        if isinstance(begun, Begun):
            tried.append(begun)
        return begun

    return in_transaction(begin)


class _Check:
    """One check that writes: batch after batch, each in a transaction of its own."""

    def __init__(
        self, rule_set: RuleSet, now: datetime, begun: Begun, report: Report, beat_asks: bool
    ) -> None:
        self.rule_set, self.now, self.begun, self.report = rule_set, now, begun, report
        self.beat_asks = beat_asks
        self.done_since = begun.done_since
        self.has_rules = False
        self._began = time.monotonic()

    def do(self) -> None:
        """Check everything; what went wrong with the database is recorded and raised."""
        try:
            self._check()
        except LeaseLostError:
            self._give_way()
            return
        except Exception as error:
            self._let_go()
            self._end(RunState.FAILED, f"{type(error).__name__}: {error}")
            raise
        # Of what was asked for, nothing may be there: that is no check that the next counts from.
        failed = bool(self.rule_set.problems) and not self.has_rules
        self.report.state = RunState.FAILED.value if failed else RunState.COMPLETE.value
        if not self._end(self.report.state, "\n".join(self.report.problems)):
            self._give_way()

    def _give_way(self) -> None:
        logger.warning("check %s was taken for dead; another goes on", self.begun.run.pk)
        self.report.skip("another check has taken over")

    def _check(self) -> None:
        self._mark_lost()
        in_transaction(partial(unwatched.close_events, self.rule_set, self.now))
        since = in_transaction(judging.recording_since)
        deciding = Deciding(self.now, since, self.begun, beat_asks=self.beat_asks)
        # An earlier delivery may have written what the database would find to be as it was.
        for batch in self.rule_set.batches(None if self.done_since else self.now):
            self.has_rules = True
            self._check_part(batch, deciding)
        if self.report.notification_ids or self.begun.orphans or self.done_since:
            self._release()
        if self.rule_set.is_complete and unwatched.is_time_to_forget(self.begun.last, self.now):
            in_transaction(lambda: unwatched.forget_states(self.now))

    def _mark_lost(self) -> None:
        try:
            in_transaction(partial(lost.mark_lost, self.now))
        except Error:  # the log is judged as it is; whoever cannot read it says so
            logger.exception("executions of lost workers cannot be marked")

    def _release(self) -> None:
        owing = [self.begun.run.pk, *self.begun.orphans]
        self.report.notification_ids += in_transaction(lambda: gathering.release(owing, self.now))

    def _check_part(self, batch: Batch, deciding: Deciding) -> None:
        """Check a batch; if one of its rules cannot be written, the others still are."""
        try:
            outcome, written = in_transaction(
                lambda: self._write(batch, deciding), before_retry=self._look_what_is_done
            )
        except LeaseLostError:
            raise
        except Exception as error:
            if isinstance(error, Error) and not self._may_be_halved(error):
                raise
            self._without_the_poisoned(batch, deciding, error)
            return
        self.report.add(outcome)
        self.report.notification_ids += written.messages
        _log_unreachable(outcome.owed, written.events)

    def _may_be_halved(self, error: Error) -> bool:
        """Only a refused statement can be one rule's fault; a caller's transaction is spoilt."""
        return is_about_the_statement(error) and not connection.in_atomic_block

    def _without_the_poisoned(self, batch: Batch, deciding: Deciding, error: Exception) -> None:
        if halves := batch.halves():
            logger.warning("a batch is checked in halves: %s", error)
            for half in halves:
                self._check_part(half, deciding)
        elif batch.rules:
            (rule,) = batch.rules
            logger.error("rule %r cannot be checked", rule.label, exc_info=error)
            self.report.add_broken(rule, f"{type(error).__name__}: {error}")
        elif batch.stale:
            logger.error("state %d cannot be refreshed", batch.stale[0], exc_info=error)
            self._check_part(replace(batch, stale=()), deciding)
        else:
            raise error

    def _write(self, batch: Batch, deciding: Deciding) -> tuple[Outcome, ledger.Written]:
        if self.done_since is not None:
            done = rule_states.checked_since(batch.rules, self.done_since)
            rest = [rule for rule in batch.rules if rule.key not in done]
            batch = replace(batch, rules=rest)
        outcome = deciding.decide(batch, rule_states.lock_states)
        # A batch that changes nothing harms nobody who has taken over.
        now = self._clock()
        if outcome.decisions or outcome.stale or runs.is_due(self.begun.run, now):
            runs.renew(self.begun.run, now)
        return outcome, ledger.write(outcome, self.now, self.begun.run)

    def _look_what_is_done(self) -> None:
        """A lost connection does not say whether the batch was written."""
        self.done_since = self.done_since or self.now

    def _let_go(self) -> None:
        """Let what was decided go out although the check cannot go on."""
        try:
            self._release()
        except Error:  # they go by themselves a little later
            logger.warning("the messages of check %s wait", self.begun.run.pk)

    def _clock(self) -> datetime:
        return self.now + timedelta(seconds=time.monotonic() - self._began)

    def _end(self, state: str, error: str) -> bool:
        """Record the end; return whether the check was still this one's to end."""
        report = self.report
        try:
            return in_transaction(
                lambda: runs.end(
                    self.begun.run, state, error, len(report.notification_ids), report.counts
                )
            )
        except Error:
            # The reason why it failed matters more; its lease runs out.
            logger.exception("the end of check %s cannot be recorded", self.begun.run.pk)
            return True


def _log_unreachable(owed: Sequence[Owed], events: Mapping[str, int]) -> None:
    """Keep the full message in the error log (documented behaviour 10.7.1)."""
    for message in unreachable(owed):
        mail = rendering.render(message.facts, events.get(message.decision.rule.key))
        logger.error(
            "no recipient for this message:\nSubject: %s\n\n%s", mail.subject, mail.text_body
        )
