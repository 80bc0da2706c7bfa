"""A mail server of moods and a process that can be killed, without either being real."""

from __future__ import annotations

import smtplib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection

WRITES = ("INSERT", "UPDATE", "DELETE")


class KilledError(BaseException):
    """Ends a piece of work as SIGKILL does: nothing after it is done, nothing is caught."""


class Post:
    """What the mail server does, and what has arrived."""

    mood = "takes all"
    arrived: list[tuple[str, str]]
    """Recipient and Message-ID, in the order of arrival."""
    may_come_twice: set[str]
    """Message-IDs whose reply or mark was lost."""

    def __init__(self) -> None:
        self.arrived, self.may_come_twice = [], set()

    @property
    def counted(self) -> Counter[str]:
        return Counter(message_id for _, message_id in self.arrived)


post = Post()


class Backend(BaseEmailBackend):
    def open(self) -> bool:
        if post.mood == "away":
            raise ConnectionRefusedError(111, "Connection refused")
        return True

    def send_messages(self, messages: Any) -> int:
        for message in messages:
            self._send(message)
        return len(messages)

    def _send(self, message: EmailMessage) -> None:
        (recipient,) = message.to
        message_id = message.extra_headers["Message-ID"]
        if post.mood == "busy":
            raise smtplib.SMTPDataError(451, b"try again later")
        if post.mood == "refuses ops" and recipient == "ops@example.com":
            raise smtplib.SMTPRecipientsRefused({recipient: (550, b"no such user")})
        post.arrived.append((recipient, message_id))
        if post.mood == "loses replies":
            post.may_come_twice.add(message_id)
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")


@contextmanager
def killed_at_write(number: int) -> Iterator[None]:
    """Kill what is done inside before its n-th write; a shorter work ends unharmed."""
    seen = 0

    def count(execute: Any, sql: str, *args: Any) -> Any:
        nonlocal seen
        if sql.startswith(WRITES):
            seen += 1
            if seen == number:
                raise KilledError
        return execute(sql, *args)

    before = len(post.arrived)
    try:
        with connection.execute_wrapper(count):
            yield
    except KilledError:
        # Only the last one sent can lack its mark.
        post.may_come_twice.update(message_id for _, message_id in post.arrived[before:][-1:])
