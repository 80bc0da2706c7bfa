"""The one settings dict `MONITORING`, with its documented defaults.

A host sets only what it wants to change. Unknown keys and wrong types are refused, so that a
misspelt setting never silently does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from types import UnionType
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from monitoring.core.egress import read_allowed
from monitoring.core.names import did_you_mean
from monitoring.core.retention import DEFAULT_DAYS

SHORTEST_KEY = 32
LONGEST_CALL = 60
"""Seconds, far below the time for which a message is claimed."""
OWN_TASK_LOG = "monitoring.backgroundtask"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Values of `MONITORING`; the defaults are the documented ones."""

    BASE_URL: str = ""
    """Where the admin is reached, `https://example.com`; links in mails start with it."""
    SITE_NAME: str = ""
    """Name of the installation, shown in mails."""
    FROM_EMAIL: str = ""
    """Sender of alerts; empty: Django's DEFAULT_FROM_EMAIL."""
    EMAIL_TIMEOUT: int = 30
    """Seconds before a mail server that does not answer is given up, if EMAIL_TIMEOUT is unset."""
    LANGUAGE_CODE: str = "en"
    """Language of mails."""
    TASK_LOG: str = ""
    """Model that executions are read from, `core.BackgroundTask`; empty: our own, recorded here."""
    TASK_LOG_FIELDS: dict[str, str] = field(default_factory=dict)
    """What we call it to what the fields of `TASK_LOG` are called, where that differs."""
    TASK_LOG_STATUSES: dict[str, str] = field(default_factory=dict)
    """Status as stored in `TASK_LOG` to one of the seven, where that differs."""
    RECORD: bool = True
    """Record executions at all; only in our own task log."""
    RECORD_PUBLISH: bool = True
    """Let the sender of a task record it as Pending."""
    RECORD_RECEIVED: bool = True
    """Let the worker record a task as Queued when it takes it from the broker."""
    RECORD_PARAMETERS: bool = False
    """Store Celery's shortened representation of the arguments; they may hold secrets."""
    IGNORE_TASKS: list[str] = field(
        default_factory=lambda: ["celery.*", "monitor_task_status", "monitoring.*"]
    )
    """Tasks that are not recorded; `*` stands for anything."""
    CONTEXT_ARGUMENTS: dict[str, str] = field(default_factory=dict)
    """Task name to the keyword argument that holds its context's primary key."""
    CONTEXT_FIELDS: dict[str, str] = field(default_factory=dict)
    """Context model (`app_label.Model`) to the field its type is read from."""
    CONTEXT_KEYS: dict[str, str] = field(default_factory=dict)
    """Context model to the unique field that context ids are values of, if not the primary key."""
    CONTEXT_MODELS: list[str] = field(default_factory=list)
    """Context models any editor of rules may use; others need the model's view permission."""
    CHECK_LEASE_MINUTES: int = 5
    """Minutes after which a check that no longer moves does not keep others out any more."""
    INHIBIT_DEPENDENTS: bool = False
    """Hold the alert of a rule for up to an hour while a task it depends on has alerted."""
    DIGEST_ABOVE: int = 10
    """More messages than this to one recipient from one check become one mail; rules only."""
    CHANNEL_KEYS: list[str] = field(default_factory=list)
    """Long random texts that encrypt the addresses of channels, the first one; all decrypt."""
    CHANNEL_PRIVATE_HOSTS: list[str] = field(default_factory=list)
    """Hosts, addresses and networks that channels may call although they are not public."""
    CHANNEL_TIMEOUT: int = 15
    """Seconds before a channel that does not answer is given up; at most 60."""
    HEALTH_TOKEN: str = ""
    """Who asks `health/` must know it; empty: nobody is answered."""
    METRICS_TOKEN: str = ""
    """Who asks `metrics` must know it; empty: nobody is answered."""
    HEARTBEAT_URL: str = ""
    """Called after a complete check with nothing owed, so that somebody outside misses us."""
    RETENTION_DAYS: dict[str, int | None] = field(default_factory=lambda: dict(DEFAULT_DAYS))
    """Days that each kind of history is kept; 0 or None: for ever."""
    PRUNE_TASK_LOG: bool = False
    """Let old executions be deleted from a task log that is not this app's own."""
    WORKER_SILENT_MINUTES: float = 10
    """Minutes without a heartbeat after which a worker is taken for lost; 0: never."""
    LOST_AFTER_HOURS: float = 24
    """Hours after which an execution that still runs is taken for lost; 0: never."""

    @property
    def keeps_own_log(self) -> bool:
        """Whether executions are read from our own task log."""
        return self.TASK_LOG.casefold() in {"", OWN_TASK_LOG}

    @property
    def records(self) -> bool:
        """Whether the recorder writes executions: never beside a log that somebody else keeps."""
        return self.RECORD and self.keeps_own_log


_TYPES: dict[str, tuple[type | UnionType, str]] = {
    "str": (str, "a text"),
    "int": (int, "a whole number above 0"),
    "float": (int | float, "a number, 0 or greater"),
    "bool": (bool, "True or False"),
    "list[str]": (list, "a list of texts"),
    "dict[str, str]": (dict, "a dictionary of texts"),
    "dict[str, int | None]": (dict, "a dictionary of whole numbers, 0 or greater, or None"),
}


_ADDRESSES = ("BASE_URL", "HEARTBEAT_URL")
_SECRETS = ("CHANNEL_KEYS", "HEALTH_TOKEN", "HEARTBEAT_URL", "METRICS_TOKEN")
"""Errors are kept in logs: they do not repeat these."""


def read_settings(given: object) -> tuple[Settings, list[str]]:
    """Return the settings and a complaint for each key that is unknown or of the wrong type."""
    if not isinstance(given, Mapping):
        return Settings(), [f"MONITORING must be a dictionary, got {type(given).__name__}"]
    known = {item.name: str(item.type) for item in fields(Settings)}
    complaints: list[str] = []
    usable: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            complaints.append(f"unknown key {key!r}{did_you_mean(str(key), known)}")
        elif not _fits(value, known[key]):
            shown = type(value).__name__ if key in _SECRETS else repr(value)
            complaints.append(f"{key} must be {_TYPES[known[key]][1]}, got {shown}")
        elif key in _READERS and (complaint := _READERS[key](value)):
            complaints.append(f"{key} {complaint}")
        elif key in _ADDRESSES and value and not value.startswith(("https://", "http://")):
            shown = repr(value) if key == "BASE_URL" else "something else"
            complaints.append(f"{key} must start with https:// or http://, got {shown}")
        elif key == "RETENTION_DAYS":
            complaints += _unknown_kinds(value)
            # Whoever shortens one kind has not said anything of the others.
            usable[key] = {kind: value.get(kind, days) for kind, days in DEFAULT_DAYS.items()}
        else:
            usable[key] = value
    return Settings(**usable), complaints


def _about_keys(keys: Sequence[str]) -> str:
    short = sum(len(key) < SHORTEST_KEY for key in keys)
    return (
        f"must hold texts of at least {SHORTEST_KEY} characters, got {short} shorter"
        if short
        else ""
    )


def _about_hosts(hosts: Sequence[str]) -> str:
    _, unreadable = read_allowed(hosts)
    shown = ", ".join(map(repr, unreadable))
    return f"must hold host names, addresses or networks, got {shown}" if unreadable else ""


def _about_seconds(seconds: int) -> str:
    return f"must be at most {LONGEST_CALL}, got {seconds}" if seconds > LONGEST_CALL else ""


_READERS: dict[str, Callable[[Any], str]] = {
    "CHANNEL_KEYS": _about_keys,
    "CHANNEL_PRIVATE_HOSTS": _about_hosts,
    "CHANNEL_TIMEOUT": _about_seconds,
}
"""What a value of the right type may still be wrong about."""


def _fits(value: Any, wanted: str) -> bool:
    if isinstance(value, bool) and wanted != "bool":
        return False  # Python takes it for a number
    kind: Any = _TYPES[wanted][0]
    if not isinstance(value, kind):
        return False
    match wanted:
        case "int":
            return bool(value > 0)
        case "float":
            return bool(0 <= value < math.inf)
        case "list[str]":
            return all(isinstance(item, str) for item in value)
        case "dict[str, str]":
            return all(isinstance(item, str) for pair in value.items() for item in pair)
        case "dict[str, int | None]":
            return all(_is_count_or_none(item) for item in value.values())
    return True


def _is_count_or_none(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or (isinstance(value, int) and value >= 0)


def _unknown_kinds(days: Mapping[Any, Any]) -> Iterator[str]:
    for kind in days:
        if kind not in DEFAULT_DAYS:
            known = ", ".join(DEFAULT_DAYS)
            hint = did_you_mean(str(kind), DEFAULT_DAYS) or f": known are {known}"
            yield f"RETENTION_DAYS has an unknown kind {kind!r}{hint}"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings in force.

    Raises ImproperlyConfigured if MONITORING holds an unknown key or a value of the wrong type.
    """
    settings, complaints = read_settings(getattr(django_settings, "MONITORING", {}))
    if complaints:
        raise ImproperlyConfigured("MONITORING: " + "; ".join(complaints))
    return settings


def _forget(*, setting: str, **_: object) -> None:
    if setting == "MONITORING":
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="monitoring.conf")
