"""From the outbox to the recipients: claim, render, send, settle.

No database transaction is open while a server is spoken to.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring import outbox
from monitoring.channels.apprise import Caller
from monitoring.channels.base import DeliveryError, Transport
from monitoring.channels.email import Mailer
from monitoring.models import Notification

logger = logging.getLogger("monitoring.delivery")

LONGEST_PASS = outbox.CLAIM / 2
"""Time after which a pass ends and hands back what it holds, well before its claim runs out."""


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


def deliver(now: datetime, longest: timedelta = LONGEST_PASS) -> Delivered:
    """Send everything that is due, each recipient their own message.

    now: aware, UTC; the start of the pass. longest: it ends then, whatever is left. Never raises
    for a message or a server: what was not sent stays in the outbox with its error. Mails go first,
    and again after each message through a channel: none waits longer than for one call.
    """
    with Mailer() as mailer, Caller() as caller:
        delivery = _Pass(mailer, now, longest, caller)
        while delivery.send_batch() or delivery.call_channel():
            pass
    return delivery.done


class _Pass:
    """One pass over the outbox."""

    def __init__(
        self,
        mailer: Mailer,
        now: datetime,
        longest: timedelta = LONGEST_PASS,
        caller: Caller | None = None,
    ) -> None:
        self.mailer, self.caller = mailer, caller or Caller()
        self.done = Delivered()
        self._now, self._longest = now, longest
        self._began = time.monotonic()
        self._last_called = ""

    def send_batch(self) -> bool:
        """Claim and send a batch of mails; return False if there is nothing more to do for now."""
        token, rows = outbox.claim(self._clock())
        for index, row in enumerate(rows):
            if self._is_over():
                outbox.hand_back(token, rows[index:], None, "")
                return False
            try:
                self._send(self.mailer, token, row)
            except DeliveryError as error:
                self._fail(token, row, error)
                if error.connection_lost and (problem := self._reopen()):
                    self._wait_for_the_server(token, row, rows[index + 1 :], problem)
                    return False
        return bool(rows)

    def call_channel(self) -> bool:
        """Claim and send one message of the channel whose turn it is; return False if none is due.

        A channel that takes nothing costs one call: what else it owes waits as long.
        """
        name = "" if self._is_over() else outbox.next_channel(self._clock(), self._last_called)
        if not name:
            return False
        self._last_called = name
        self.mailer.close()  # a server hangs up on those who keep it waiting
        token, rows = outbox.claim(self._clock(), name)
        for row in rows:
            try:
                self._send(self.caller, token, row)
            except DeliveryError as error:
                self._fail(token, row, error)
                if error.connection_lost:
                    resting = outbox.let_channel_rest(row, str(error), self._clock())
                    self.done.deferred += resting
        return True

    def _is_over(self) -> bool:
        return self._clock() - self._now > self._longest

    def _send(self, transport: Transport, token: str, row: Notification) -> None:
        if not row.text_body and not outbox.render(token, row):
            return  # it is gone, or somebody else's by now
        transport.send(row)
        outbox.settle_sent(token, row, self._clock())
        self.done.sent += 1

    def _fail(self, token: str, row: Notification, error: DeliveryError) -> None:
        logger.warning("message %s to %s was not delivered: %s", row.pk, row.recipient, error)
        if outbox.settle_failure(token, row, error, self._clock()):
            self.done.failed += 1
        else:
            self.done.deferred += 1

    def _wait_for_the_server(
        self, token: str, tried: Notification, rest: list[Notification], problem: str
    ) -> None:
        """Let the rest wait as long as the message that found the server gone."""
        tried.refresh_from_db(fields=["next_attempt_at"])
        outbox.hand_back(token, rest, tried.next_attempt_at, problem)
        self.done.deferred += len(rest)

    def _reopen(self) -> str:
        """Connect again; return why that is not possible, or an empty text."""
        try:
            self.mailer.open()
        except DeliveryError as error:
            return str(error)
        return ""

    def _clock(self) -> datetime:
        return self._now + timedelta(seconds=time.monotonic() - self._began)
