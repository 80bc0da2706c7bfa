"""What becomes of events and states whose rule is disabled, deleted or watches something else."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitoring.models import AlertEvent, MonitorRule, RuleState
from monitoring.rule_rows import key_of


def close_events(now: datetime) -> int:
    """Resolve open events whose rule is disabled, deleted or watches something else now.

    No message is owed for it. Returns how many were closed.
    """
    reasons: dict[str, list[int]] = {}
    stored = AlertEvent.objects.open().filter(key__startswith="rule:").select_related("rule")
    for event in stored:
        reason = _why_unwatched(event, event.rule)
        if reason:
            reasons.setdefault(reason, []).append(event.pk)
    for reason, pks in reasons.items():
        AlertEvent.objects.filter(pk__in=pks).update(
            open_key=None, resolved_at=now, resolution=reason, alert_owed=False
        )
    return sum(len(pks) for pks in reasons.values())


def _why_unwatched(event: AlertEvent, rule: MonitorRule | None) -> str:
    if rule is None:
        return AlertEvent.Resolution.RULE_DELETED
    if not rule.enabled:
        return AlertEvent.Resolution.RULE_DISABLED
    if key_of(rule) != event.key:
        return AlertEvent.Resolution.RULE_RETARGETED
    return ""


def forget_states(now: datetime) -> None:
    """Drop the states of stored rules that complete checks have not met for an hour."""
    RuleState.objects.filter(
        key__startswith="rule:", last_checked_at__lt=now - timedelta(hours=1)
    ).delete()
