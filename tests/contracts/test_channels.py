"""What delivery relies on, of every way that messages go; each speaks to a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from monitoring.channels.apprise import Caller
from monitoring.channels.base import DeliveryError, Transport
from monitoring.channels.email import Mailer
from monitoring.core.retries import Fault
from monitoring.models import Channel, Notification
from tests.hook_server import LOOPBACK, Hooks, hook_server
from tests.mail_server import free_port, mail_server

pytestmark = [pytest.mark.django_db, pytest.mark.any_database, pytest.mark.process]


@dataclass(kw_only=True)
class Way:
    """A transport, and how a test makes its server say what."""

    transport: Transport
    recipient: str
    channel: str = ""
    arrived: list[Any] = field(default_factory=list)
    refuse: Any = None
    """Makes the server refuse the next message: for good, or for now."""
    relent: Any = list
    """Ends its mood; that of hooks lasts for one request."""
    lead_to: Any = None
    """Points the transport at a port of this machine."""

    def send(self) -> None:
        self.transport.send(
            Notification(
                kind="alert",
                recipient=self.recipient,
                channel=self.channel,
                subject="[ALERT] sync Status Check Failed",
                text_body="sync has not executed\n",
                message_id="<1@localhost>",
            )
        )

    def error(self) -> DeliveryError:
        with pytest.raises(DeliveryError) as caught:
            self.send()
        return caught.value


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    """One process for all calls: its start takes most of a second."""
    with Caller() as caller:
        yield caller


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with hook_server() as hooks:
        yield hooks


def mail() -> Iterator[Way]:
    with mail_server() as server:
        mailer = Mailer()

        def refuse(for_good: bool) -> None:
            server.replies["ops@example.com"] = "550 no" if for_good else "450 later"

        def lead_to(port: int) -> None:
            mailer.connection.port = port
            mailer.connection.timeout = 1

        yield Way(
            transport=mailer,
            recipient="ops@example.com",
            arrived=server.messages,
            refuse=refuse,
            relent=server.replies.clear,
            lead_to=lead_to,
        )
        mailer.close()


def by_apprise(caller: Caller, hooks: Hooks, scheme: str) -> Iterator[Way]:
    channel = Channel(name="ops")

    def lead_to(port: int) -> None:
        channel.set_url(f"{scheme}://127.0.0.1:{port}/s3cr3ts3cr3ts3cr3ts3cr3t")
        channel.save()

    def refuse(for_good: bool) -> None:
        hooks.answers.append(404 if for_good else 503)

    lead_to(hooks.port)
    limits = LOOPBACK | {"CHANNEL_TIMEOUT": 5}
    with override_settings(MONITORING=django_settings.MONITORING | limits):
        yield Way(
            transport=caller,
            recipient="ops",
            channel="ops",
            arrived=hooks.messages,
            refuse=refuse,
            lead_to=lead_to,
        )


@pytest.fixture(params=["mail", "json", "mmost"])
def way(request: pytest.FixtureRequest, caller: Caller, hooks: Hooks) -> Iterator[Way]:
    """Mail, a webhook, and a chat whose hooks look like those of Slack."""
    if request.param == "mail":
        yield from mail()
    else:
        yield from by_apprise(caller, hooks, request.param)


def test_what_was_accepted_has_arrived_once(way: Way) -> None:
    way.send()

    assert len(way.arrived) == 1
    assert "[ALERT] sync Status Check Failed" in str(way.arrived[0])
    assert "sync has not executed" in str(way.arrived[0])


def test_one_after_another_arrive_in_their_order(way: Way) -> None:
    for _ in range(3):
        way.send()

    assert len(way.arrived) == 3


def test_a_refusal_for_good_is_told_from_one_for_now(way: Way) -> None:
    way.refuse(True)
    assert way.error().fault is Fault.REFUSED

    way.refuse(False)
    assert way.error().fault is not Fault.REFUSED
    assert not way.arrived


def test_a_refusal_is_told_in_the_servers_words_and_without_a_secret(way: Way) -> None:
    way.refuse(True)

    text = str(way.error())

    assert text.startswith(("550 no", "404 Not Found"))
    assert "s3cr3t" not in text


def test_a_server_that_is_away_is_tried_again(way: Way) -> None:
    way.lead_to(free_port())

    error = way.error()

    assert error.fault is not Fault.REFUSED
    assert error.connection_lost


def test_a_server_that_never_answers_is_given_up_in_time(way: Way) -> None:
    given = django_settings.MONITORING | {"CHANNEL_TIMEOUT": 1}
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, override_settings(MONITORING=given):
        way.lead_to(silent.getsockname()[1])

        error = way.error()

    assert error.fault is not Fault.REFUSED
    assert error.connection_lost
    assert time.monotonic() - began < 5


def test_after_a_failure_the_next_message_goes_through(way: Way) -> None:
    way.refuse(False)
    way.error()
    way.relent()

    way.send()

    assert len(way.arrived) == 1
