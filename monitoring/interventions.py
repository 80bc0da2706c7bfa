"""What people do about a rule or an alert event: snooze, acknowledge, resolve.

Each says how many rows it changed, and changes none that is not in the state it is meant for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from monitoring.models import AlertEvent, MonitorRule, RuleState

MORNING = 9
"""Hour at which "until tomorrow" ends, in the time zone of whoever asks."""


def tomorrow_morning(now: datetime) -> datetime:
    """Return nine o'clock of the next day in the current time zone, which may be 23 h away."""
    tomorrow = timezone.localtime(now) + timedelta(days=1)
    return tomorrow.replace(hour=MORNING, minute=0, second=0, microsecond=0)


def snooze(rules: Iterable[MonitorRule], until: datetime | None) -> int:
    """Silence rules until a point in time, or no longer if there is none."""
    pks = [rule.pk for rule in rules]
    rows = MonitorRule.objects.filter(pk__in=pks)
    return rows.update(snoozed_until=until, updated_at=timezone.now())


def acknowledge(
    event: AlertEvent,
    user: AbstractBaseUser,
    note: str,
    now: datetime,
    until: datetime | None = None,
) -> bool:
    """Say that somebody takes care of an open event: its alerts and reminders fall silent.

    until: when messages begin again if it still fails; None: not before it is resolved. One that
    has an end may be acknowledged again, for longer or for good.
    """
    with transaction.atomic():
        row = AlertEvent.objects.open().select_for_update().filter(pk=event.pk).first()
        if row is None or (row.acknowledged_at is not None and row.acknowledged_until is None):
            return False
        AlertEvent.objects.filter(pk=row.pk).update(
            acknowledged_at=now,
            acknowledged_by=user,
            acknowledged_until=until,
            note=_with(row.note, note),
        )
    return True


def resolve(event: AlertEvent, note: str, now: datetime) -> bool:
    """Close an open event by hand, without a message.

    Failing checks are counted anew: if the task still fails, the event that opens then is another.
    """
    with transaction.atomic():
        # In the order of a check, which locks the state before it touches the event.
        list(RuleState.objects.select_for_update().filter(key=event.key))
        row = AlertEvent.objects.open().select_for_update().filter(pk=event.pk).first()
        if row is None:
            return False
        RuleState.objects.filter(key=row.key).update(failing_checks=0)
        AlertEvent.objects.filter(pk=row.pk).update(
            open_key=None,
            resolved_at=now,
            resolution=AlertEvent.Resolution.MANUAL,
            alert_owed=False,
            note=_with(row.note, note),
        )
    return True


def _with(before: str, note: str) -> str:
    return "\n".join(text for text in (before, note.strip()) if text)
