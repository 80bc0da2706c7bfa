"""Values as the pages show them: badges, durations, windows, foreign text.

Everything that comes from a task, a host or a person goes through `format_html`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from monitoring.core import durations
from monitoring.core.fields import shown
from monitoring.core.keys import BEAT
from monitoring.core.messages import number
from monitoring.core.statuses import NO_EXECUTION
from monitoring.core.texts import one_line
from monitoring.core.wording import said
from monitoring.models import (
    AlertEvent,
    NotificationState,
    RunState,
    TaskStatus,
    VerdictChoices,
)

EMPTY = "-"
"""The same as Django's own for what is not there."""

_STATUSES: Mapping[str, str | Promise] = {
    **dict(TaskStatus.choices),
    NO_EXECUTION: gettext_lazy("No execution found"),
}


class Tone(StrEnum):
    """How a badge looks; what it means is always in its text."""

    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    BUSY = "busy"
    QUIET = "quiet"


STATUS_TONES: Mapping[str, Tone] = {
    TaskStatus.PENDING: Tone.QUIET,
    TaskStatus.QUEUED: Tone.QUIET,
    TaskStatus.RUNNING: Tone.BUSY,
    TaskStatus.COMPLETED: Tone.GOOD,
    TaskStatus.STOPPED: Tone.BAD,
    TaskStatus.CANCELLED: Tone.WARN,
    TaskStatus.INVALIDATED: Tone.WARN,
}
VERDICT_TONES: Mapping[str, Tone] = {
    VerdictChoices.OK: Tone.GOOD,
    VerdictChoices.STATUS_MISMATCH: Tone.BAD,
    VerdictChoices.NO_EXECUTION: Tone.BAD,
    VerdictChoices.OVERRUNNING: Tone.BAD,
    VerdictChoices.SLOW: Tone.BAD,
    VerdictChoices.LOW_SUCCESS_RATE: Tone.BAD,
    VerdictChoices.UNKNOWN: Tone.WARN,
    VerdictChoices.IN_PROGRESS: Tone.BUSY,
}
MESSAGE_TONES: Mapping[str, Tone] = {
    NotificationState.PENDING: Tone.BUSY,
    NotificationState.SENDING: Tone.BUSY,
    NotificationState.SENT: Tone.GOOD,
    NotificationState.FAILED: Tone.BAD,
    NotificationState.SUPPRESSED: Tone.QUIET,
}
RUN_TONES: Mapping[str, Tone] = {
    RunState.RUNNING: Tone.BUSY,
    RunState.COMPLETE: Tone.GOOD,
    RunState.FAILED: Tone.BAD,
}


def badge(text: str | Promise, tone: Tone | None) -> SafeString:
    """Return a short text with a colour behind it; a tone that is not known is a quiet one."""
    return format_html(
        '<span class="monitoring-badge monitoring-{}">{}</span>', tone or Tone.QUIET, text
    )


def aside(text: str | Promise) -> SafeString:
    """Return a remark that stands behind what matters."""
    return format_html('<span class="monitoring-aside">{}</span>', text)


def below(text: str | Promise) -> SafeString:
    """Return the second line of a cell."""
    return format_html('<span class="monitoring-below">{}</span>', text)


def two_lines(first: str | Promise, second: str | Promise) -> SafeString:
    """Return a cell whose second line may be empty."""
    return format_html("{}{}", first, below(second) if second else "")


def preformatted(text: str) -> SafeString | str:
    """Return foreign text line by line as it is, scrollable when it is long."""
    if not text:
        return EMPTY
    return format_html('<pre class="monitoring-pre" tabindex="0">{}</pre>', text)


def code(text: str) -> SafeString | str:
    return format_html('<code class="monitoring-code">{}</code>', text) if text else EMPTY


def excerpt(text: str, most: int = 90) -> str:
    """Return the last line of an error that says something, cut: a traceback ends with it."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    last = one_line(lines[-1]) if lines else ""
    return last if len(last) <= most else f"{last[: most - 1]}…"


def listed(value: Any) -> str:
    """Return a stored list as text; a row written past the model's checks may hold anything."""
    if not isinstance(value, list):
        return shown(value) if value else EMPTY
    return ", ".join(item if isinstance(item, str) else shown(item) for item in value) or EMPTY


def in_words(text: str) -> str:
    """Return what the core says in the language of the page; foreign text as it is."""
    return said(text, translation)


def status(stored: str) -> str:
    """Return a status as people know it; a host's own spelling as it is."""
    return str(_STATUSES.get(stored, stored))


def statuses(value: Any) -> str:
    """Return a stored list of statuses as text."""
    if isinstance(value, list):
        value = [status(item) if isinstance(item, str) else item for item in value]
    return listed(value)


def watched_by(event: AlertEvent) -> str:
    """Return what tells two events of one task apart: the rule, or whose JSON arguments."""
    if event.rule_id is not None or event.rule_name:
        return str(event.rule_name or f"#{event.rule_id}")
    if event.key == BEAT:
        return _("the monitor itself, while others wait for it")
    if event.periodic_task:
        return str(_("JSON arguments of %s") % event.periodic_task)
    return _("JSON arguments")


def instant(at: datetime | None) -> str:
    """Return a point in time to the second, in the time zone of the page."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S") if at else EMPTY


def duration(took: timedelta) -> str:
    """Return a length of time in its two largest units: `2 h 5 min`, `3.2 s`, `40 ms`.

    Only the day has another sign in other languages.
    """
    if took < timedelta(0):
        return EMPTY  # the clocks of two machines
    return durations.duration(took, pgettext("unit of days", "d"))


def window(hours: float) -> str:
    """Return a lookback window in words: `Last 90 minutes`, `Last 25 hours`, `Last 7 days`."""
    if not math.isfinite(hours):
        return EMPTY
    minutes = round(hours * 60, 6)
    if hours >= 48 and hours % 24 == 0:
        count, text = hours / 24, ngettext("Last %s day", "Last %s days", round(hours / 24))
    elif float(hours).is_integer() or hours > 6:
        if hours == 1:
            return _("Last hour")
        count, text = hours, ngettext("Last %s hour", "Last %s hours", math.ceil(hours))
    elif minutes >= 1:
        count, text = minutes, ngettext("Last %s minute", "Last %s minutes", math.ceil(minutes))
    else:
        count = minutes * 60
        text = ngettext("Last %s second", "Last %s seconds", math.ceil(count))
    return text % number(count)
