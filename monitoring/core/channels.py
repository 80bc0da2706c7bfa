"""Channels beside mail: their names, their addresses, and what an answer means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from monitoring.core.fields import InvalidValueError, read_names, read_task_name, shown
from monitoring.core.retries import Fault
from monitoring.core.texts import one_line
from monitoring.core.wording import Text as _

MAX_CHANNEL_NAME_LENGTH = 100
MAX_ERROR_LENGTH = 1000
HIDDEN = "…"
"""Stands in an error for what belongs to the address of a channel."""

LOCAL_SCHEMES = frozenset(
    # They speak to the desktop, the log or a device of this machine, or read its files.
    {
        *("dbus", "kde", "qt", "glib", "gio", "gnome", "macosx", "windows", "syslog", "blink1"),
        *("file", "vapid", "fcm"),
    }
)
_FOR_NOW = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Refusals of the 4xx kind that the same request may not meet again."""
_SCHEME = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]{0,31})://(\S?)")
_SEPARATORS = re.compile(r"[/:@?&=#,;\s]+")
_SHORTEST_SECRET = 4


def read_channel_name(value: object) -> str:
    """Return the name of a channel as it is.

    It holds no "@", so that a recipient is either an address or a channel, and never both.
    """
    name = read_task_name(value, "channel")
    if len(name) > MAX_CHANNEL_NAME_LENGTH:
        raise InvalidValueError(
            _(
                "the channel name is longer than {most} characters: {value}",
                most=MAX_CHANNEL_NAME_LENGTH,
                value=shown(name),
            )
        )
    if "@" in name or name != one_line(name):
        raise InvalidValueError(
            _(
                "the channel name must be one line without @ or spaces around it: {value}",
                value=shown(name),
            )
        )
    return name


def read_channel_names(value: object) -> tuple[str, ...]:
    """Return a list of channel names without repetition; whether they exist is not asked here."""
    return tuple(read_channel_name(name) for name in read_names(value, "channel"))


def channel_of(recipient: str) -> str:
    """Return the channel that a recipient is; empty: it is a mail address, or nobody."""
    return "" if "@" in recipient else recipient


def scheme_of(url: str) -> str:
    """Return what stands before `://`; raise InvalidValueError for what is no address.

    The address itself is in no error: it is a secret.
    """
    found = _SCHEME.match(url)
    scheme = found[1].casefold() if found else ""
    if scheme in LOCAL_SCHEMES:
        raise InvalidValueError(
            _(
                "an address that begins with {scheme}:// acts on this machine instead of calling "
                "a service",
                scheme=scheme,
            )
        )
    if found is None or not found[2]:
        raise InvalidValueError(_('must be an address such as "slack://…" or "json://…"'))
    return scheme


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a channel did not take a message."""

    text: str
    fault: Fault


def judge_answer(answer: Mapping[str, Any], url: str) -> Refusal | None:
    """Say what became of a call; None: the service has accepted the message.

    answer: `ok`, `status` of the last HTTP answer, `said` by the library, `refused` by the guard,
    `wrong` with the address. Refused for good: what another attempt with the same address and the
    same message cannot change.
    """
    if answer.get("ok") is True:
        return None
    status = answer.get("status")
    has_answered = isinstance(status, int) and status >= 400
    if not has_answered and (refused := _lines(answer.get("refused"))):
        # Not masked: which host was meant is what has to be known to allow it.
        return Refusal(text=one_line(refused[0])[:MAX_ERROR_LENGTH], fault=Fault.REFUSED)
    if wrong := answer.get("wrong"):
        return _refusal([str(wrong)], url, Fault.REFUSED)
    said = [*_status_line(status), *_lines(answer.get("said"))]
    return _refusal(said or ["the service could not be reached"], url, _fault_of(status))


def _fault_of(status: object) -> Fault:
    is_for_good = isinstance(status, int) and 400 <= status < 500 and status not in _FOR_NOW
    return Fault.REFUSED if is_for_good else Fault.DEFERRED


def _status_line(status: object) -> list[str]:
    if not isinstance(status, int) or 200 <= status < 300:
        return []
    try:
        return [f"{status} {HTTPStatus(status).phrase}"]
    except ValueError:
        return [str(status)]


def _lines(said: object) -> list[str]:
    return [str(line) for line in said] if isinstance(said, list) else []


def _refusal(lines: Iterable[str], url: str, fault: Fault) -> Refusal:
    text = masked(": ".join(one_line(line) for line in lines), url)
    return Refusal(text=text[:MAX_ERROR_LENGTH], fault=fault)


def masked(text: str, url: str) -> str:
    """Return a text without any part of a channel's address that might be a secret.

    Nobody can tell which parts are: in `slack://T1/B2/C3` even the host is one. What is shorter
    than four characters stays.
    """
    _scheme, _separator, rest = url.partition("://")
    spellings = {rest, unquote(rest)}
    parts = {part for spelt in spellings for part in _SEPARATORS.split(spelt)}
    secrets = {one for one in (url, *spellings, *parts) if len(one) >= _SHORTEST_SECRET}
    if not secrets:
        return text
    longest_first = sorted(secrets, key=lambda one: (-len(one), one))
    pattern = "|".join(re.escape(one) for one in longest_first)
    return re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)
