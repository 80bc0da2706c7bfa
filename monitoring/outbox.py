"""The outbox: who may send a message, and what is written when it was sent or refused.

A row is claimed with a token and a time limit before it is sent and marked afterwards, never the
other way round: a deliverer that dies leaves a claim that runs out, not a lost message.
"""

from __future__ import annotations

import hashlib
import logging
import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min, Q, Value
from django.db.models.functions import Coalesce
from django.utils import translation

from monitoring import rendering
from monitoring.channels.base import DeliveryError
from monitoring.channels.email import sender
from monitoring.core.messages import MAX_SUBJECT_LENGTH
from monitoring.core.retries import FIRST_WAIT, Fault, after_failure
from monitoring.core.wording import Text as _
from monitoring.core.wording import said
from monitoring.models import DeliveryWakeup, Notification, NotificationState
from monitoring.people import superuser_addresses
from monitoring.transactions import in_transaction

logger = logging.getLogger("monitoring.delivery")

BATCH_SIZE = 500
UNDELIVERED = _(" (undelivered)")
"""Ends the subject of a message that superusers get because its recipient was refused."""
CLAIM = timedelta(minutes=10)
LONGEST_SLEEP = timedelta(minutes=15)
"""Delivery looks again after this time while anything is owed."""
_SHORTEST_SLEEP = timedelta(seconds=5)


def claim(now: datetime, channel: str = "") -> tuple[str, list[Notification]]:
    """Claim due rows for this caller alone; return its token and the rows.

    channel: claims one message that goes through it; empty: claims up to `BATCH_SIZE` mails.
    A conditional UPDATE decides who gets a row: another caller's comes too late and finds it
    claimed. Works the same on every database. Messages of one incident to one recipient are
    claimed one after another, in the order they were decided.
    """
    token = uuid.uuid4().hex
    return token, in_transaction(lambda: _claim(token, now, channel))


def _claim(token: str, now: datetime, channel: str) -> list[Notification]:
    due = Notification.objects.due(now).filter(channel=channel)
    first = due.first_of_their_incident().order_by("pk")
    pks = list(first.values_list("pk", flat=True)[: 1 if channel else BATCH_SIZE])
    if pks:
        due.filter(pk__in=pks).update(
            state=NotificationState.SENDING, claim=token, claimed_until=now + CLAIM
        )
    # Even if nothing was due: a claim whose commit lost the connection is found here.
    rows = Notification.objects.filter(claim=token).select_related("alert_event")
    return list(rows.order_by("pk"))


def next_channel(now: datetime, after: str) -> str:
    """Return a channel that has something due, in turn after another; empty: none has."""
    due = Notification.objects.due(now).exclude(channel="").first_of_their_incident()
    names = due.order_by("channel").values_list("channel", flat=True)
    return names.filter(channel__gt=after).first() or (after and names.first()) or ""


def let_channel_rest(tried: Notification, error: str, now: datetime) -> int:
    """Let what else a channel owes wait as long as the message it did not take; return how much.

    It counts as refused from now on: a channel that takes nothing for 48 hours is given up with all
    that waits for it, and not message by message.
    """
    row = Notification.objects.filter(pk=tried.pk)
    at = row.filter(state=NotificationState.PENDING).values_list("next_attempt_at", flat=True)
    until = in_transaction(at.first) or now + FIRST_WAIT
    waiting = Notification.objects.to_deliver().filter(
        channel=tried.channel, state=NotificationState.PENDING, next_attempt_at__lt=until
    )
    since = Coalesce("refused_since", Value(now))
    return in_transaction(
        lambda: waiting.exclude(pk=tried.pk).update(
            next_attempt_at=until, error=error, refused_since=since
        )
    )


def render(token: str, row: Notification) -> bool:
    """Render a claimed message and keep it; return False if the claim was lost.

    Raises DeliveryError if its facts are not those of a message.
    """
    try:
        mail = rendering.render(row.facts | _undeliverable(row), row.alert_event_id)
    except Exception as error:  # one broken row must not hold up all that come after it
        logger.exception("message %s cannot be rendered", row.pk)
        text = f"cannot be rendered: {type(error).__name__}: {error}"
        raise DeliveryError(text) from error
    row.message_id = message_id(row)
    row.subject, row.text_body, row.html_body = mail.subject, mail.text_body, mail.html_body
    kept = {
        "subject": row.subject,
        "text_body": row.text_body,
        "html_body": row.html_body,
        "message_id": row.message_id,
    }
    mine = Notification.objects.filter(pk=row.pk, claim=token)
    return in_transaction(lambda: mine.update(**kept)) == 1


def message_id(row: Notification) -> str:
    """Return the Message-ID of a notification: the same at every attempt."""
    domain = sender().rpartition("@")[2].strip("<> ") or "localhost"
    # The time tells the row apart from one with the same key in another installation.
    digest = hashlib.sha256(f"{row.pk} {row.created_at.isoformat()}".encode()).hexdigest()[:16]
    return f"<monitoring-{row.pk}-{digest}@{domain}>"


def settle_sent(token: str, row: Notification, now: datetime) -> None:
    """Mark a message as sent, with all that a digest says."""
    _settle(token, row, state=NotificationState.SENT, sent_at=now, error="")


def settle_failure(token: str, row: Notification, error: DeliveryError, now: datetime) -> bool:
    """Keep a message for another attempt or give it up; return True if it is given up."""
    since = row.refused_since or now
    chance = random.random()  # noqa: S311 - spreads retries, guards nothing
    retry = after_failure(error.fault, row.attempts + 1, since, now, chance)
    if retry.at is not None:
        _settle(
            token,
            row,
            state=NotificationState.PENDING,
            error=str(error),
            next_attempt_at=retry.at,
            refused_since=None if error.fault is Fault.UNREACHABLE else since,
        )
        return False
    logger.error("message %s to %s is %s", row.pk, row.recipient, retry.reason)
    _settle(token, row, state=NotificationState.FAILED, error=str(error), stand_in_at=now)
    return True


def _settle(
    token: str, row: Notification, stand_in_at: datetime | None = None, **changes: Any
) -> None:
    """Write the outcome of an attempt, unless the claim was lost in the meantime."""

    def write() -> None:
        mine = Notification.objects.filter(pk=row.pk, claim=token)
        attempts = row.attempts + 1
        if not mine.update(claim="", claimed_until=None, attempts=attempts, **changes):
            return
        if row.is_digest:
            shared = changes | {"attempts": attempts, "message_id": row.message_id}
            Notification.objects.filter(digest=row.pk).update(**shared)
        if stand_in_at is not None:
            _owe_superusers(row, stand_in_at)

    in_transaction(write)


def _owe_superusers(row: Notification, now: datetime) -> None:
    """Owe the superusers a message that is refused for good: once, and not for JSON arguments."""
    event = row.alert_event
    if row.stands_in_for_id or (event is not None and not event.key.startswith("rule:")):
        return
    same = _same_message(row)
    reached = set(same.values_list("recipient", flat=True)) | {row.recipient}
    others = [address for address in superuser_addresses() if address not in reached]
    if not others:
        logger.error("nobody else can be told of message %s: %s", row.pk, row.subject)
    # In the subject too, because a project's own template may not say it.
    with rendering.mail_language():
        ending = said(UNDELIVERED, translation)
    subject = f"{row.subject[: MAX_SUBJECT_LENGTH - len(ending)]}{ending}"
    Notification.objects.bulk_create(
        Notification(
            alert_event=event,
            kind=row.kind,
            recipient=address,
            subject=subject,
            facts=row.facts | {"subject": subject},
            run_id=row.run_id,
            is_digest=row.is_digest,
            stands_in_for=row,
            created_at=row.created_at,
            next_attempt_at=now,
        )
        for address in others
    )


def _same_message(row: Notification) -> Any:
    """Return the rows that say what this one says, to whomever."""
    if row.alert_event_id is None:
        return Notification.objects.filter(Q(pk=row.pk) | Q(stands_in_for=row.pk))
    return Notification.objects.filter(
        alert_event=row.alert_event_id, kind=row.kind, created_at=row.created_at
    )


def _undeliverable(row: Notification) -> dict[str, Any]:
    """Return, for a message that stands in, who did not get it and why."""
    if row.stands_in_for is None:
        return {}
    failed = _same_message(row.stands_in_for).filter(
        state=NotificationState.FAILED, stands_in_for__isnull=True
    )
    return {"undeliverable": list(failed.order_by("pk").values("recipient", "error"))}


def hand_back(token: str, rows: Sequence[Notification], now: datetime | None, error: str) -> None:
    """Let go of claimed rows that were not tried. now: earliest next attempt; None: at once."""
    changes: dict[str, Any] = {} if now is None else {"next_attempt_at": now, "error": error}
    mine = Notification.objects.filter(pk__in=[row.pk for row in rows], claim=token)
    in_transaction(
        lambda: mine.update(
            state=NotificationState.PENDING, claim="", claimed_until=None, **changes
        )
    )


def book_wakeup(now: datetime) -> timedelta | None:
    """Return when delivery should come back, if nobody else has been told to; None: it need not.

    One row holds the next wake-up, so that as many deliveries as there are do not each call
    another. A wake-up that was lost with its broker is past, and then counts no more.
    """
    owed = Notification.objects.to_deliver().order_by()
    nearest = owed.first_of_their_incident().aggregate(
        attempt=Min("next_attempt_at", filter=Q(state=NotificationState.PENDING)),
        claim=Min("claimed_until", filter=Q(state=NotificationState.SENDING)),
    )
    moments = [at for at in nearest.values() if at is not None]
    if not moments:
        return None
    wait: timedelta = min(max(min(moments) - now, _SHORTEST_SLEEP), LONGEST_SLEEP)
    at = now + wait
    is_free = Q(at__lte=now) | Q(at__gt=at + _SHORTEST_SLEEP)
    with transaction.atomic():
        if DeliveryWakeup.objects.filter(is_free, pk=1).update(at=at):
            return wait
        _row, is_new = DeliveryWakeup.objects.get_or_create(pk=1, defaults={"at": at})
    return wait if is_new else None


def owed_count() -> int:
    """Return how many messages are still to be delivered."""
    return Notification.objects.to_deliver().count()


def has_due(now: datetime) -> bool:
    """Say whether anything can be claimed."""
    return Notification.objects.due(now).exists()
