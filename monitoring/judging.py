"""The verdicts of one batch of rules, from the evidence of the task log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from monitoring.core.values import Evidence, Execution, Rule, Verdict
from monitoring.core.verdicts import judge
from monitoring.models import MonitorRun
from monitoring.rule_rows import Batch
from monitoring.tasklogs import background_task as task_log

logger = logging.getLogger("monitoring.checker")


def judge_batch(batch: Batch, now: datetime) -> dict[str, Verdict]:
    """Return the verdict on each rule, by key."""
    usable = [rule for rule in batch.rules if rule.key not in batch.unusable]
    evidence = task_log.gather(usable, now, watching_since=_watching_since())
    evidence |= {key: Evidence(unusable=reason) for key, reason in batch.unusable.items()}
    return {rule.key: _judge(rule, evidence[rule.key], now) for rule in batch.rules}


def _watching_since() -> datetime | None:
    """Return when the first check ran: an empty log is telling from then on."""
    return MonitorRun.objects.order_by("pk").values_list("started_at", flat=True).first()


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
        rule.key: replace(
            ours[rule.key],
            execution=detailed(ours[rule.key].execution),
            still_running=detailed(ours[rule.key].still_running),
            last_known=detailed(ours[rule.key].last_known),
            waiting=waiting.get(rule.task_name, ours[rule.key].waiting),
        )
        for rule in rules
    }
