"""The messages of a check are let go when it ends; too many to one person become one mail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, QuerySet
from django.utils import translation

from monitoring.conf import get_settings
from monitoring.core.channels import channel_of
from monitoring.core.digests import Topic, digest_facts, topic_of
from monitoring.models import Notification, NotificationState
from monitoring.rendering import mail_language

_Group = tuple[str, Topic]
"""Recipient, and what the messages are about."""


class _Waiting(NamedTuple):
    """What a digest needs of an outbox row."""

    pk: int
    recipient: str
    kind: str
    event_id: int | None
    facts: dict[str, Any]


_COLUMNS = ("pk", "recipient", "kind", "alert_event_id", "facts")


def release(runs: Sequence[int], now: datetime) -> list[int]:
    """Let go what checks owe; return the keys of the digests made. Part of a transaction.

    runs: the check that ends, and those of the same rules that were killed before they could.
    The rows stay one by one, each pointing at the digest that says it.
    """
    waiting = Notification.objects.filter(
        run__in=runs, state=NotificationState.PENDING, digest__isnull=True, attempts=0
    )
    digests = []
    for (recipient, topic), rows in _too_many(waiting).items():
        messages = [(row.event_id, row.facts) for row in rows]
        with mail_language():
            facts = digest_facts(topic, messages, now, translation)
        digest = Notification.objects.create(
            kind=facts["kind"],
            recipient=recipient,
            channel=channel_of(recipient),
            subject=facts["subject"],
            facts=facts,
            run_id=runs[0],
            is_digest=True,
            created_at=now,
            next_attempt_at=now,
        )
        Notification.objects.filter(pk__in=[row.pk for row in rows]).update(digest=digest)
        digests.append(digest.pk)
    waiting.filter(next_attempt_at__gt=now).update(next_attempt_at=now)
    return digests


def _too_many(waiting: QuerySet[Notification]) -> dict[_Group, list[_Waiting]]:
    """Return the groups that are larger than a person wants to read one by one."""
    most = get_settings().DIGEST_ABOVE
    counted = waiting.order_by().values("recipient").annotate(count=Count("pk"))
    stormed = [row["recipient"] for row in counted if row["count"] > most]
    groups: dict[_Group, list[_Waiting]] = defaultdict(list)
    if stormed:
        # Locked, so that a deliverer who takes a killed check's rows does not send them as well.
        rows = waiting.select_for_update().filter(recipient__in=stormed).order_by("pk")
        for row in map(_Waiting._make, rows.values_list(*_COLUMNS).iterator()):
            if _is_of_a_rule(row.facts):
                groups[row.recipient, topic_of(row.kind, str(row.facts["verdict"]))].append(row)
    return {group: rows for group, rows in groups.items() if len(rows) > most}


def _is_of_a_rule(facts: Mapping[str, Any]) -> bool:
    """Documented JSON arguments have no name, and keep one mail per task."""
    return bool(facts.get("rule_name"))
