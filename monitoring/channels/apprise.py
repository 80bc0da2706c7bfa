"""Channels by Apprise: Slack, Teams, PagerDuty, webhooks and the like, by an address each.

The calls are made by a process of its own, see `calling`; this one never imports Apprise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any

from django.views.decorators.debug import sensitive_variables

from monitoring.channels.base import DeliveryError, incident_of
from monitoring.conf import get_settings
from monitoring.core.channels import Refusal, judge_answer
from monitoring.core.retries import Fault
from monitoring.models import Channel, Notification, NotificationKind
from monitoring.models.encryption import INSTALL, UnreadableError, is_available
from monitoring.transactions import in_transaction

# What Apprise calls them; services show them as a colour or a severity.
_KINDS = {
    NotificationKind.ALERT.value: "failure",
    NotificationKind.REMINDER.value: "failure",
    NotificationKind.RECOVERY.value: "success",
}
_TEST = ("Test of task monitoring", "This channel works: alerts can be sent through it.", "info")
# All that the process gets to know of ours: no secrets of the host, and no proxy, which would call
# whomever it is asked to, past the guard.
_ENVIRONMENT = (
    "LANG",
    "LC_ALL",
    "PATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SYSTEMROOT",
    "TZ",
)


def is_installed() -> bool:
    """Say whether the optional packages are there; nothing is imported."""
    return find_spec("apprise") is not None and is_available()


class Caller:
    """One process that makes the calls of one pass, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    @sensitive_variables("url")
    def send(self, notification: Notification) -> None:
        """Send one rendered notification; raise DeliveryError if it was not accepted."""
        named = Channel.objects.filter(name=notification.channel)
        channel = in_transaction(named.first)
        if channel is None:
            raise DeliveryError("there is no channel of this name any more", Fault.REFUSED)
        if not channel.enabled:
            raise DeliveryError("the channel is disabled", Fault.REFUSED)
        is_unknown = notification.facts.get("verdict") == "unknown"
        kind = "warning" if is_unknown else _KINDS[notification.kind]
        url, title, body = _url(channel), notification.subject, notification.text_body
        self._call(url, title, body, kind, incident=incident_of(notification))

    @sensitive_variables("url")
    def send_test(self, channel: Channel) -> None:
        """Send a test message; raise DeliveryError if it was not accepted."""
        self._call(_url(channel), *_TEST)

    @sensitive_variables("url")
    def read(self, url: str) -> None:
        """Raise DeliveryError if no service understands the address; nobody is called."""
        self._call(url, "", "", "info", only_read=True)

    @sensitive_variables("url", "request")
    def _call(
        self,
        url: str,
        title: str,
        body: str,
        kind: str,
        *,
        incident: str = "",
        only_read: bool = False,
    ) -> None:
        if not is_installed():
            raise DeliveryError(
                f"channels need packages that are not there: {INSTALL}", Fault.REFUSED
            )
        settings = get_settings()
        request = {
            "url": url,
            "title": title,
            "body": body,
            "kind": kind,
            "incident": incident,
            "allowed": settings.CHANNEL_PRIVATE_HOSTS,
            "limit": settings.CHANNEL_TIMEOUT,
            "only_read": only_read,
        }
        refusal = judge_answer(self._ask(request, settings.CHANNEL_TIMEOUT), url)
        if refusal is not None:
            raise _as_error(refusal)

    @sensitive_variables("request")
    def _ask(self, request: dict[str, Any], limit: int) -> dict[str, Any]:
        """Return the answer of the process; it does not live longer than the limit without one."""
        began = time.monotonic()
        try:
            process = self._process = self._process or _start()
        except OSError as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
        watch = Timer(limit, process.kill)
        watch.daemon = True
        watch.start()
        try:
            answer = _exchange(process, json.dumps(request))
        finally:
            watch.cancel()
        if answer is None:
            self.close()
            is_late = time.monotonic() - began >= limit
            text = f"no answer within {limit} seconds" if is_late else "the call was cut short"
            raise DeliveryError(text, connection_lost=True)
        return answer


def _exchange(process: subprocess.Popen[str], line: str) -> dict[str, Any] | None:
    """Return the answer to a line; None: the process has died over it."""
    if process.stdin is None or process.stdout is None:
        return None
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
    except (OSError, ValueError):
        return None
    return answer


def _start() -> subprocess.Popen[str]:
    # Where this process finds its packages, without the folder it happens to stand in.
    path = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return subprocess.Popen(  # noqa: S603 - a command of our own
        [_python(), "-P", "-m", "monitoring.channels.calling"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        # Passwords for hosts are no business of a channel's either.
        env=environment | {"PYTHONPATH": path, "NETRC": os.devnull},
    )


def _python() -> str:
    """Return the interpreter; a web server that embeds it names itself as one."""
    executable = Path(sys.executable or "")
    if executable.name.startswith(("python", "pypy")):
        return str(executable)
    return str(Path(sys.exec_prefix) / "bin" / "python3")


def _as_error(refusal: Refusal) -> DeliveryError:
    # What the service may take later, it will not take from the next message either.
    is_for_now = refusal.fault is not Fault.REFUSED
    return DeliveryError(refusal.text, refusal.fault, connection_lost=is_for_now)


def _url(channel: Channel) -> str:
    if not channel.encrypted_url:
        raise DeliveryError("the channel has no address: enter it again", Fault.REFUSED)
    try:
        return channel.read_url()
    except UnreadableError as error:
        raise DeliveryError(str(error), Fault.REFUSED) from error
