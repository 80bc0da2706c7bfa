"""What becomes of events and states that no check looks at any more."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from monitoring.models import AlertEvent, MonitorRule, RuleState
from monitoring.rule_rows import key_of
from monitoring.rulesets import RuleSet
from monitoring.sieve import NOTE_FINE_EVERY, nothing_counted

FORGOTTEN_AFTER = timedelta(days=8)
"""Longer than a weekly check waits: entries of JSON arguments that nothing has checked since."""
LEFT_OUT_AFTER = timedelta(hours=1)
"""How long the same periodic task must have left an entry out: older messages may still arrive."""


def close_events(rule_set: RuleSet, now: datetime) -> int:
    """Resolve open events of what is watched no longer; return how many.

    Rules that are disabled, deleted or watch something else, and entries that JSON arguments do
    not list any more. No message is owed for it.
    """
    reasons = _unwatched_rules() if rule_set.is_complete else {}
    left_out = _no_longer_listed(rule_set, now)
    if left_out:
        reasons[AlertEvent.Resolution.UNWATCHED] = left_out
    for reason, pks in reasons.items():
        AlertEvent.objects.filter(pk__in=pks).update(
            open_key=None, resolved_at=now, resolution=reason, alert_owed=False
        )
    return sum(len(pks) for pks in reasons.values())


def _unwatched_rules() -> dict[str, list[int]]:
    reasons: dict[str, list[int]] = {}
    events = AlertEvent.objects.open()
    stored = events.filter(key__startswith="rule:").select_related("rule")
    for event in stored:
        reason = _why_unwatched(event, event.rule)
        if reason:
            reasons.setdefault(reason, []).append(event.pk)
    return reasons


def _why_unwatched(event: AlertEvent, rule: MonitorRule | None) -> str:
    if rule is None:
        return AlertEvent.Resolution.RULE_DELETED
    if not rule.enabled:
        return AlertEvent.Resolution.RULE_DISABLED
    if key_of(rule) != event.key:
        return AlertEvent.Resolution.RULE_RETARGETED
    return ""


def _no_longer_listed(rule_set: RuleSet, now: datetime) -> list[int]:
    gone = ~Q(_checked_since(now - FORGOTTEN_AFTER))
    if rule_set.periodic_task and rule_set.entries:
        theirs = Q(periodic_task=rule_set.periodic_task)
        gone |= theirs & ~Q(_checked_since(now - LEFT_OUT_AFTER))
    listed = [rule.key for rule in rule_set.entries]
    of_entries = AlertEvent.objects.open().filter(gone, key__startswith="args:")
    return list(of_entries.exclude(key__in=listed).values_list("pk", flat=True))


def _checked_since(at: datetime) -> Exists:
    """Say that somebody looked, even if nothing could be judged."""
    return Exists(RuleState.objects.filter(key=OuterRef("key"), last_checked_at__gte=at))


def is_time_to_forget(last: datetime | None, now: datetime) -> bool:
    """Say whether a check is the first of a quarter of an hour: no index finds what to forget.

    last: when the one before began.
    """
    return last is None or _quarter(last) != _quarter(now)


def _quarter(at: datetime) -> int:
    return int(at.timestamp() // NOTE_FINE_EVERY.total_seconds())


def forget_states(now: datetime) -> None:
    """Drop the states of what complete checks have not met for long.

    And those of fine rules that do not say which rule that is, as an older version leaves them
    while it still runs beside this one: the next check makes them anew.
    """
    RuleState.objects.filter(
        Q(key__startswith="rule:", last_checked_at__lt=now - timedelta(hours=1))
        | Q(nothing_counted(), key__startswith="rule:", rule__isnull=True)
        | Q(key__startswith="args:", last_checked_at__lt=now - FORGOTTEN_AFTER)
    ).delete()
