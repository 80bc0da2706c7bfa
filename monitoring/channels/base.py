"""What every way to reach a person has in common."""

from __future__ import annotations

from typing import Protocol

from monitoring.core.retries import Fault
from monitoring.models import Notification


class DeliveryError(Exception):
    """A message was not delivered."""

    def __init__(
        self, text: str, fault: Fault = Fault.DEFERRED, *, connection_lost: bool = False
    ) -> None:
        super().__init__(text)
        self.fault = fault
        self.connection_lost = connection_lost
        """Nothing can be sent this way before the connection is opened again."""


def incident_of(notification: Notification) -> str:
    """Return what all messages about one alert event have in common; empty: it is about none."""
    if not notification.alert_event_id:
        return ""
    domain = notification.message_id.rpartition("@")[2].rstrip(">")
    return f"monitoring-event-{notification.alert_event_id}@{domain}"


class Transport(Protocol):
    """A way that messages go; one object serves one pass over the outbox."""

    def send(self, notification: Notification) -> None:
        """Hand over one rendered notification, within a time limit.

        Returns when it was accepted, and raises DeliveryError, nothing else, if it was not.
        """
