"""What a rule would say now, whether it is stored or still being written; nothing is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils import translation

from monitoring import causes, judging, rendering
from monitoring.core.incidents import MessageKind
from monitoring.core.measures import Remark
from monitoring.core.messages import facts
from monitoring.core.recipients import resolve_recipients
from monitoring.core.statuses import NO_EXECUTION
from monitoring.core.values import Rule, Verdict, VerdictKind, Waiting
from monitoring.core.wording import Text as _
from monitoring.core.wording import said
from monitoring.models import MonitorRule
from monitoring.people import superuser_addresses
from monitoring.rendering import Mail
from monitoring.rule_rows import Batch, read_instance

_NOT_TOLD = Remark(_("what was measured stands in the task log, which you may not view"))
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """The answer to "what if this rule were checked at this moment?"."""

    verdict: Verdict
    recipients: tuple[str, ...]
    """Whom an alert would go to; empty: nobody, which is an error of every check."""
    mail: Mail
    cause: str
    """Why it probably fails; empty: it does not, or nothing tells."""
    is_example: bool
    """Nothing fails now: the mail is the one that a missing execution would cause."""


def preview(row: MonitorRule, now: datetime, *, tells_log: bool = True) -> Preview:
    """Judge a rule and render its alert, without storing anything.

    row: saved or not. now: aware, UTC. tells_log: name executions, their times and errors; without
    it there is the verdict alone, for who may not view the task log.
    Raises InvalidValueError if the row holds what no rule may.
    """
    # A rule that is being written has not watched yet; that it will have to for one window before
    # it can miss an execution is not what its editor wants to know.
    rule = read_instance(row, watched_since=_LONG_AGO)
    verdict = _verdict(rule, now)
    if not tells_log:
        verdict = verdict._replace(
            execution=None, still_running=None, last_known=None, waiting=Waiting()
        )
        if verdict.measured or verdict.also_measured:
            verdict = verdict._replace(measured=(_NOT_TOLD,), also_measured=())
    is_example = not verdict.is_failing
    found = causes.find([(rule, verdict)], now).get(rule.key) if tells_log else None
    cause = found.text if found else ""
    with rendering.mail_language():
        told = facts(
            rule,
            _example(verdict) if is_example else verdict,
            MessageKind.ALERT,
            now,
            opened_at=now,
            failing_checks=rule.alert_after,
            cause=said(cause, translation),
            is_none_due=found is not None and found.is_none_due,
            words=translation,
        )
    return Preview(
        verdict=verdict,
        recipients=resolve_recipients(rule.notify_to, superuser_addresses(), rule.channels),
        mail=rendering.render(told, None),
        cause=cause,
        is_example=is_example,
    )


def _verdict(rule: Rule, now: datetime) -> Verdict:
    batch = Batch(rules=[rule])
    verdicts = judging.judge_batch(batch, now, judging.recording_since(), always={rule.key})
    return judging.describe([rule], verdicts)[rule.key]


def _example(verdict: Verdict) -> Verdict:
    return Verdict(
        kind=VerdictKind.NO_EXECUTION,
        current_status=NO_EXECUTION,
        last_known=verdict.execution or verdict.last_known,
    )
