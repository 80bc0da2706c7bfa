"""A mail server that takes its time, without taking the test's."""

from __future__ import annotations

import pytest

from monitoring import delivery
from monitoring.channels.email import Mailer
from monitoring.models import Notification


def let_each_message_take(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let delivery's clock go on by so many seconds with each message that is sent."""
    passed = 0.0

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return passed

    send = Mailer.send

    def send_slowly(self: Mailer, row: Notification) -> None:
        nonlocal passed
        passed += seconds
        send(self, row)

    monkeypatch.setattr(delivery, "time", Clock)
    monkeypatch.setattr(Mailer, "send", send_slowly)
