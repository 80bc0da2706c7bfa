"""From the outbox to the recipients: claim, render, send, settle.

A row is claimed with a token and a time limit before it is sent and marked afterwards, never the
other way round: a deliverer that dies leaves a claim that runs out, not a lost message. No
database transaction is open while the mail server is spoken to.
"""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring import rendering
from monitoring.channels.email import DeliveryError, Mailer, sender
from monitoring.models import Notification, NotificationState

logger = logging.getLogger("monitoring.delivery")

BATCH_SIZE = 500
CLAIM = timedelta(minutes=10)
_STOP_SENDING = CLAIM / 2
"""Time after which the rest of a batch is handed back, well before its claim runs out."""
RETRY_AFTER = timedelta(seconds=30)
"""Keeps one pass from trying a message twice; the next check tries it again."""


@dataclass(kw_only=True)
class Delivered:
    """What one pass over the outbox did."""

    sent: int = 0
    failed: int = 0
    """Refused for good."""
    deferred: int = 0
    """To be tried again."""

    def as_dict(self) -> dict[str, int]:
        return {"sent": self.sent, "failed": self.failed, "deferred": self.deferred}


def deliver(now: datetime) -> Delivered:
    """Send everything that is due, over one connection, each recipient their own message.

    now: aware, UTC; the start of the pass. Never raises for a message or a mail server: what was
    not sent stays in the outbox with its error.
    """
    done = Delivered()
    began = time.monotonic()
    with Mailer() as mailer:
        while True:
            at = now + timedelta(seconds=time.monotonic() - began)
            token, rows = claim(at)
            if not rows:
                return done
            if not _send_batch(mailer, token, rows, at, done):
                return done


def claim(now: datetime) -> tuple[str, list[Notification]]:
    """Claim up to `BATCH_SIZE` due rows for this caller alone; return its token and the rows.

    A conditional UPDATE decides who gets a row: another caller's comes too late and finds it
    claimed. Works the same on every database.
    """
    token = uuid.uuid4().hex
    due = Notification.objects.due(now)
    pks = list(due.order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE])
    if not pks:
        return token, []
    due.filter(pk__in=pks).update(
        state=NotificationState.SENDING, claim=token, claimed_until=now + CLAIM
    )
    return token, list(Notification.objects.filter(claim=token).order_by("pk"))


def _send_batch(
    mailer: Mailer, token: str, rows: list[Notification], now: datetime, done: Delivered
) -> bool:
    """Send claimed rows; return False if the mail server cannot be reached any more."""
    began = time.monotonic()
    for index, row in enumerate(rows):
        elapsed = timedelta(seconds=time.monotonic() - began)
        if elapsed > _STOP_SENDING:
            _hand_back(token, rows[index:], "")
            return True
        try:
            is_ours = _send(mailer, token, row)
        except DeliveryError as error:
            _settle_failure(token, row, error, now + elapsed, done)
            if error.connection_lost and not _reopen(mailer):
                done.deferred += len(rows) - index - 1
                _hand_back(token, rows[index + 1 :], str(error), now + elapsed + RETRY_AFTER)
                return False
        else:
            if is_ours:
                _settle(token, row, state=NotificationState.SENT, sent_at=now + elapsed, error="")
                done.sent += 1
    return True


def _send(mailer: Mailer, token: str, row: Notification) -> bool:
    """Send one claimed row; return False if it is gone or somebody else's by now."""
    if not row.text_body and not _render(token, row):
        return False
    mailer.send(row)
    return True


def _render(token: str, row: Notification) -> bool:
    """Render a message and keep it; return False if the claim was lost.

    Raises DeliveryError if its facts are not those of a message.
    """
    try:
        mail = rendering.render(row.facts, row.alert_event_id)
    except Exception as error:  # one broken row must not hold up all that come after it
        logger.exception("message %s cannot be rendered", row.pk)
        text = f"cannot be rendered: {type(error).__name__}: {error}"
        raise DeliveryError(text) from error
    row.message_id = message_id(row)
    row.subject, row.text_body, row.html_body = mail.subject, mail.text_body, mail.html_body
    kept = Notification.objects.filter(pk=row.pk, claim=token).update(
        subject=row.subject,
        text_body=row.text_body,
        html_body=row.html_body,
        message_id=row.message_id,
    )
    return kept == 1


def message_id(row: Notification) -> str:
    """Return the Message-ID of a notification: the same at every attempt."""
    domain = sender().rpartition("@")[2].strip("<> ") or "localhost"
    # The time tells the row apart from one with the same key in another installation.
    digest = hashlib.sha256(f"{row.pk} {row.created_at.isoformat()}".encode()).hexdigest()[:16]
    return f"<monitoring-{row.pk}-{digest}@{domain}>"


def _settle_failure(
    token: str, row: Notification, error: DeliveryError, now: datetime, done: Delivered
) -> None:
    logger.warning("message %s to %s was not delivered: %s", row.pk, row.recipient, error)
    if error.permanent:
        done.failed += 1
        _settle(token, row, state=NotificationState.FAILED, error=str(error))
        return
    done.deferred += 1
    _settle(
        token,
        row,
        state=NotificationState.PENDING,
        error=str(error),
        next_attempt_at=now + RETRY_AFTER,
    )


def _settle(token: str, row: Notification, **changes: object) -> None:
    """Write the outcome of an attempt, unless the claim was lost in the meantime."""
    Notification.objects.filter(pk=row.pk, claim=token).update(
        claim="", claimed_until=None, attempts=row.attempts + 1, **changes
    )


def _hand_back(
    token: str, rows: list[Notification], error: str, next_attempt_at: datetime | None = None
) -> None:
    changes = {"next_attempt_at": next_attempt_at} if next_attempt_at else {}
    Notification.objects.filter(pk__in=[row.pk for row in rows], claim=token).update(
        state=NotificationState.PENDING, claim="", claimed_until=None, error=error, **changes
    )


def _reopen(mailer: Mailer) -> bool:
    try:
        mailer.open()
    except DeliveryError:
        return False
    return True
