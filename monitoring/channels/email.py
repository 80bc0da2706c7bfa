"""Mail: one message per recipient over one connection."""

from __future__ import annotations

import smtplib
from types import TracebackType
from typing import Any, cast

from django.conf import settings as django_settings
from django.core.mail import EmailMultiAlternatives, get_connection

from monitoring.channels.base import DeliveryError, incident_of
from monitoring.conf import get_settings
from monitoring.core.retries import Fault
from monitoring.models import Notification

_SERVICE_ENDS = 421


class Mailer:
    """One connection to the mail server, opened with `with` and reused for every message."""

    def __init__(self) -> None:
        self.connection = cast(Any, get_connection())
        if getattr(self.connection, "timeout", 0) is None:
            # Django waits for ever by default, and a check must not hang on a mail server.
            self.connection.timeout = get_settings().EMAIL_TIMEOUT

    def __enter__(self) -> Mailer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Connect if not connected; raise DeliveryError if the server cannot be reached."""
        try:
            self.connection.open()
        except Exception as error:  # a host's own backend may raise anything
            self.close()
            raise DeliveryError(_text(error), Fault.UNREACHABLE, connection_lost=True) from error

    def close(self) -> None:
        try:
            self.connection.close()
        except Exception:
            # A broken connection cannot say goodbye; drop it so that the next open() is fresh.
            self.connection.connection = None

    def send(self, notification: Notification) -> None:
        """Send one rendered notification; raise DeliveryError if it was not accepted."""
        self.open()
        try:
            self.connection.send_messages([compose(notification)])
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = next(iter(error.recipients.values()), (0, b""))
            fault = Fault.REFUSED if 500 <= code < 600 else Fault.DEFERRED
            raise self._refusal(code, reply, fault) from error
        except smtplib.SMTPSenderRefused as error:
            raise self._refusal(error.smtp_code, error.smtp_error, Fault.UNREACHABLE) from error
        except smtplib.SMTPDataError as error:  # of a filter, say: it may think otherwise later
            raise self._refusal(error.smtp_code, error.smtp_error, Fault.DEFERRED) from error
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise DeliveryError(_text(error), connection_lost=True) from error
        except (ValueError, UnicodeError) as error:  # a header or an address that cannot be sent
            raise DeliveryError(_text(error), Fault.REFUSED) from error
        except Exception as error:  # whatever a host's own backend raises
            self.close()
            raise DeliveryError(_text(error), connection_lost=True) from error

    def _refusal(self, code: int, reply: bytes | str, fault: Fault) -> DeliveryError:
        """Return an error in the words of the server."""
        is_over = code == _SERVICE_ENDS  # smtplib has hung up on hearing it
        if is_over:
            self.close()
        said = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
        return DeliveryError(f"{code} {said}"[:1000], fault, connection_lost=is_over)


def compose(notification: Notification) -> EmailMultiAlternatives:
    """Return the mail of a rendered notification."""
    headers = {
        "Message-ID": notification.message_id,
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    if incident := incident_of(notification):
        # So that a mail client shows one thread.
        headers |= {"In-Reply-To": f"<{incident}>", "References": f"<{incident}>"}
    message = EmailMultiAlternatives(
        subject=notification.subject,
        body=notification.text_body,
        from_email=sender(),
        to=[notification.recipient],
        headers=headers,
    )
    if notification.html_body:
        message.attach_alternative(notification.html_body, "text/html")
    return message


def sender() -> str:
    return get_settings().FROM_EMAIL or django_settings.DEFAULT_FROM_EMAIL


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]
