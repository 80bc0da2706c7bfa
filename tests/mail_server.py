"""A mail server on loopback whose moods a test decides.

Our own, because a test must be able to lose a reply after the message was taken, to stall, and to
come back at the same port; and because every socket is closed when it stops.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from django.test import override_settings

OK = "250 OK"
HANG_UP = "hang up"
"""Close the connection instead of a reply."""
TAKE_AND_HANG_UP = "take and hang up"
"""Take the message, then close the connection before the reply."""


class Moody:
    """A server that accepts everything unless a test says otherwise."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.replies: dict[str, str] = {}
        """Recipient -> answer to RCPT TO."""
        self.data_replies: dict[str, str] = {}
        """Recipient -> answer to the message itself."""
        self.sender_reply = OK
        self.before_reply: Callable[[EmailMessage], None] = _nothing
        """Called when a message has arrived whole, before anything is answered."""
        self.lock = threading.Lock()
        self._server: _Server | None = None

    def start(self) -> None:
        self._server = _Server(self)
        self._server.thread.start()

    def stop(self) -> None:
        """Close the port and every connection; what arrived stays, and `start` opens it again."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def ids_to(self, recipient: str) -> list[str]:
        """Return the Message-IDs that arrived for a recipient, in their order."""
        with self.lock:
            return [str(one["Message-ID"]) for one in self.messages if one["To"] == recipient]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, moody: Moody) -> None:
        self.moody = moody
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", moody.port), _Session)
        # A short poll, so that a test does not wait half a second for each server it stops.
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()  # waits for the threads of the sessions

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients of these tests are killed on purpose."""


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.moody = self.server.moody
        self.server.open.add(self.request)
        self.recipient = ""

    def finish(self) -> None:
        self.server.open.discard(self.request)
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with suppress(OSError):
            self._answer("220 moody")
            while line := self.rfile.readline():
                verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
                if not self._obey(verb.upper(), rest):
                    return

    def _obey(self, verb: str, rest: str) -> bool:
        """Answer one command; return False if the connection is over."""
        moody = self.moody
        if verb in {"EHLO", "HELO"}:
            with moody.lock:
                moody.connections += 1
            return self._answer("250-moody\r\n250-8BITMIME\r\n250 SMTPUTF8")
        if verb == "MAIL":
            return self._answer(moody.sender_reply)
        if verb == "RCPT":
            self.recipient = rest.partition("<")[2].partition(">")[0]
            return self._answer(moody.replies.get(self.recipient, OK))
        if verb == "DATA":
            self._answer("354 go on")
            return self._take(self._read_message())
        if verb == "QUIT":
            self._answer("221 bye")
            return False
        return self._answer(OK)

    def _read_message(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        if line == b"":
            raise ConnectionError("the client is gone")
        return message_from_bytes(b"".join(lines), policy=policy.default)

    def _take(self, message: EmailMessage) -> bool:
        moody = self.moody
        reply = moody.data_replies.get(self.recipient, OK)
        moody.before_reply(message)
        if reply in {OK, TAKE_AND_HANG_UP}:
            with moody.lock:
                moody.messages.append(message)
                moody.recipients.append(self.recipient)
        return self._answer(HANG_UP if reply == TAKE_AND_HANG_UP else reply)

    def _answer(self, reply: str) -> bool:
        if reply == HANG_UP:
            return False
        self.wfile.write(f"{reply}\r\n".encode())
        return not reply.startswith("421")


def _nothing(message: EmailMessage) -> None:
    pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mail_server() -> Iterator[Moody]:
    """Run a mail server and point Django at it."""
    moody = Moody()
    moody.start()
    try:
        with smtp_at(moody.port):
            yield moody
    finally:
        moody.stop()


def smtp_at(port: int) -> Any:
    """Override the settings so that mail goes to a port of this machine."""
    return override_settings(
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        EMAIL_TIMEOUT=5,
    )
