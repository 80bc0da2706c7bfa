"""What one check found and did, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitoring.alerting import Decision, Outcome, Owed
from monitoring.core.keys import BEAT
from monitoring.core.messages import iso
from monitoring.core.recipients import no_recipient_error
from monitoring.core.values import Rule, Verdict, VerdictKind
from monitoring.core.wording import Text as _
from monitoring.core.wording import joined
from monitoring.models import Notification


@dataclass(kw_only=True)
class Report:
    """What one check found and did."""

    checked_at: datetime
    rule_set: str
    state: str = "complete"
    """`complete`; `skipped`: there was nothing to do; `failed`: none of the rules named exists."""
    skipped_because: str = ""
    not_checked_from: datetime | None = None
    """Checks were missing from here until this one."""
    run_id: int | None = None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("checked", "ok", "failing", "unknown", "in_progress"), 0
        )
    )
    failures: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[dict[str, str]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notification_ids: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "checked_at": self.checked_at.isoformat(),
            "rule_set": self.rule_set,
            "state": self.state,
            "run": self.run_id,
            "skipped_because": self.skipped_because,
            "not_checked_from": iso(self.not_checked_from),
            **self.counts,
            "failures": self.failures,
            "unknown_rules": self.unknown,
            "messages": self.messages,
            "problems": self.problems,
        }

    def skip(self, reason: str) -> None:
        """Say that the check was not done, or not to its end."""
        self.state, self.skipped_because = "skipped", reason

    def add_broken(self, rule: Rule, reason: str) -> None:
        """Count a rule that could not be checked because of itself."""
        self.counts["checked"] += 1
        self.counts["unknown"] += 1
        self.unknown.append({"rule": rule.name, "task_name": rule.task_name, "reason": reason})
        self.problems.append(
            _("{rule}: cannot be checked: {reason}", rule=_place(rule), reason=reason)
        )

    def add(self, outcome: Outcome) -> None:
        """Count what one batch found, and list what failed, could not be judged or is owed.

        Beat is listed while it is silent, but is none of the rules that are counted.
        """
        owed = outcome.owed
        self.counts["checked"] += outcome.settled
        self.counts["ok"] += outcome.settled
        for decision in outcome.decisions:
            rule, verdict = decision.rule, decision.verdict
            if verdict.is_failing:
                self.failures.append(_failure(decision))
            if rule.key == BEAT:
                continue
            self.counts["checked"] += 1
            if verdict.is_failing:
                self.counts["failing"] += 1
            else:
                self.counts[verdict.kind.value] += 1
            if verdict.kind is VerdictKind.UNKNOWN:
                self.unknown.append(
                    {"rule": rule.name, "task_name": rule.task_name, "reason": verdict.reason}
                )
                if not verdict.young_log:
                    self.problems.append(joined((_place(rule), verdict.reason), ": "))
        self.problems += [
            no_recipient_error(message.decision.rule.task_name) for message in unreachable(owed)
        ]
        self.messages += [
            {
                "recipient": recipient,
                "subject": message.facts["subject"],
                "kind": message.kind.value,
                "state": "suppressed" if message.decision.step.suppressed_by else "pending",
            }
            for message in owed
            for recipient in message.recipients
        ]

    def read_message_states(self) -> None:
        """Refresh the messages with what became of them; a digest stands for all that it says."""
        rows = Notification.objects.filter(pk__in=self.notification_ids, digest__isnull=True)
        rows = rows.order_by("pk")
        self.messages = [dict(row) for row in rows.values("recipient", "subject", "kind", "state")]


def _place(rule: Rule) -> str:
    return rule.path or _('rule "{name}"', name=rule.name)


def _failure(decision: Decision) -> dict[str, Any]:
    rule, verdict = decision.rule, decision.verdict
    started_at = verdict.execution.started_at if verdict.execution else None
    return {
        "rule": rule.name,
        "task_name": rule.task_name,
        "verdict": verdict.kind.value,
        "current_status": verdict.current_status,
        "expected_statuses": [status.value for status in rule.expected_statuses],
        "lookback_hours": rule.lookback_hours,
        "started_at": iso(started_at),
        "reason": _why(verdict),
        "cause": _cause(decision),
        "failing_checks": decision.step.failing_checks,
    }


def _cause(decision: Decision) -> str:
    """Return why it probably fails: found by this check, or kept while it fails in the same way."""
    if decision.rule.key == BEAT:
        return ""  # that of the rules that fail because of it; its reason is just that
    if decision.cause is not None:
        return decision.cause.text
    event = decision.event
    is_same = event is not None and event.verdict == decision.verdict.kind.value
    return event.cause if event is not None and is_same else ""


def _why(verdict: Verdict) -> str:
    return joined((part for part in (verdict.reason, verdict.measured_in_words) if part), ": ")


def unreachable(owed: Sequence[Owed]) -> list[Owed]:
    """Return the messages that should go out and have nobody to go to."""
    return [
        message
        for message in owed
        if not message.recipients
        and not message.decision.step.suppressed_by
        and message.kind.value != "recovery"
    ]
