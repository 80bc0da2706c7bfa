"""The verdicts of one batch of rules, from the evidence of the task log."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from datetime import datetime

from django.db import DatabaseError, transaction

from monitoring.core.values import Evidence, Execution, Rule, Verdict
from monitoring.core.verdicts import is_plainly_ok, judge
from monitoring.core.wording import Text as _
from monitoring.models import MonitorRun
from monitoring.rule_rows import Batch
from monitoring.tasklogs import evidence as task_log
from monitoring.tasklogs.host_model import TaskLogError

logger = logging.getLogger("monitoring.checker")


def judge_batch(
    batch: Batch, now: datetime, recording_since: datetime | None, always: Container[str]
) -> dict[str, Verdict]:
    """Return the verdicts by rule key, without those that are plainly ok.

    recording_since: see the function of that name. always: keys of rules whose verdict is wanted
    however plain it is.
    """
    usable = [rule for rule in batch.rules if rule.key not in batch.unusable]
    try:
        # The savepoint keeps a failing read from spoiling the transaction of the check.
        with transaction.atomic(using=task_log.alias()):
            latest = task_log.read_latest(usable, now)
            wanted = [
                rule
                for rule in usable
                if rule.key in always
                or rule.context is not None
                or not is_plainly_ok(rule, latest.executions.get(rule.task_name), now)
            ]
            evidence = task_log.gather(wanted, now, recording_since, latest)
    except (DatabaseError, TaskLogError) as error:
        logger.exception("the task log cannot be read")
        broken = Evidence(unusable=_("the task log cannot be read: {error}", error=error))
        wanted, evidence = usable, {rule.key: broken for rule in usable}
    verdicts = {rule.key: _judge(rule, evidence[rule.key], now) for rule in wanted}
    for rule in batch.rules:
        if rule.key in batch.unusable:
            reason = batch.unusable[rule.key]
            verdicts[rule.key] = judge(rule, Evidence(unusable=reason), now)
    return verdicts


def recording_since() -> datetime | None:
    """Return since when the log tells what ran: its first execution, or the very first check.

    None: nothing was ever recorded and nobody has ever checked.
    """
    first_check = MonitorRun.objects.order_by("pk").values_list("started_at", flat=True).first()
    try:
        with transaction.atomic(using=task_log.alias()):
            log_since = task_log.log_since()
    except (DatabaseError, TaskLogError):  # whoever reads executions will say so
        log_since = None
    return min((at for at in (log_since, first_check) if at), default=None)


def _judge(rule: Rule, evidence: Evidence, now: datetime) -> Verdict:
    try:
        return judge(rule, evidence, now)
    except Exception as error:  # one bad rule must not stop the others
        logger.exception("rule %r cannot be judged", rule.label)
        reason = f"{type(error).__name__}: {error}"
        return judge(rule, Evidence(unusable=reason), now)


def describe(rules: Sequence[Rule], verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Return the verdicts on these rules with everything that a message says of them.

    What waits in the queue is told of failing tasks only; others are not worth the query.
    """
    if not rules:
        return {}
    ours = {rule.key: verdicts[rule.key] for rule in rules}
    details = task_log.describe(
        execution
        for verdict in ours.values()
        for execution in (verdict.execution, verdict.still_running, verdict.last_known)
        if execution is not None
    )
    waiting = task_log.read_waiting(rule.task_name for rule in rules if ours[rule.key].is_failing)

    def detailed(execution: Execution | None) -> Execution | None:
        return details.get(execution.pk, execution) if execution else None

    return {
        rule.key: ours[rule.key]._replace(
            execution=detailed(ours[rule.key].execution),
            still_running=detailed(ours[rule.key].still_running),
            last_known=detailed(ours[rule.key].last_known),
            waiting=waiting.get(rule.task_name, ours[rule.key].waiting),
        )
        for rule in rules
    }
