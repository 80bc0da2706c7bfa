"""What a picture of a stretch of time is made of: lanes of bars, and a line of text for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.utils import dateformat, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.admin.base import url
from monitoring.admin.display import VERDICT_TONES, Tone, duration, status
from monitoring.core.backtest import Backtest
from monitoring.core.replay import Incident
from monitoring.core.timeline import MOST_TICKS, Scale
from monitoring.core.values import Execution
from monitoring.tasklogs.source import task_log

LANE_HEIGHT = 46
_TOP, _RIGHT, _BELOW = 8, 25, 24
_TICK = 60
"""Room for the label of a tick."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One thing in the picture and its line of the table."""

    kind: str
    x: float
    width: float
    tone: str
    mark: str
    at: datetime
    text: str
    link: str


def picture(
    lanes: Sequence[tuple[str | Promise, Sequence[Bar]]], scale: Scale, left: int
) -> dict[str, Any]:
    """Return what the template of a picture needs; left: the room for the names of the lanes."""
    most_ticks = min(MOST_TICKS, int(scale.width) // _TICK)
    bottom = _TOP + LANE_HEIGHT * len(lanes)
    return {
        "lanes": lanes,
        "ticks": [(scale.x(at), _tick(at, scale)) for at in scale.ticks(most_ticks)],
        "left": left,
        "right": left + scale.width,
        "total": left + scale.width + _RIGHT,
        "bottom": bottom,
        "labels_at": bottom + 18,
        "height": bottom + _BELOW,
    }


def _tick(at: datetime, scale: Scale) -> str:
    local = timezone.localtime(at)
    is_long = scale.end - scale.start > timedelta(days=2)
    return dateformat.format(local, "M d" if is_long else "H:i")


def replayed(site: AdminSite, found: Backtest, scale: Scale, kind: str, most: int) -> list[Bar]:
    """Return the newest events that a rule would have opened, the newest first."""
    bars: list[Bar] = []
    for one in reversed(found.incidents):
        if len(bars) < most and scale.overlaps(one.opened_at, one.resolved_at):
            x, width = scale.span(one.opened_at, one.resolved_at, least=6.0)
            bars.append(
                Bar(
                    kind=kind,
                    x=x,
                    width=width,
                    tone=_tone(one),
                    mark="~" if one.was_a_late_run else "!",
                    at=one.opened_at,
                    text=described(one),
                    link=execution_address(site, one.execution or one.resolved_by),
                )
            )
    return bars


def _tone(one: Incident) -> Tone:
    return Tone.WARN if one.was_a_late_run else VERDICT_TONES.get(one.verdict.value, Tone.BAD)


def described(one: Incident) -> str:
    """Return an event that would have been opened as a line: status, messages, how long."""
    parts = [status(one.current_status)]
    if one.was_a_late_run:
        parts.append(_("a late run"))
    parts.append(ngettext("%d message", "%d messages", one.messages) % one.messages)
    if one.resolved_at is None:
        parts.append(_("still open"))
    else:
        parts.append(duration(one.resolved_at - one.opened_at))
    return ", ".join(parts)


def execution_address(site: AdminSite, execution: Execution | None) -> str:
    """Return the address of an execution; empty if there is none or no page for it."""
    model = task_log().model
    if execution is None or not site.is_registered(model):
        return ""
    return url(site, model, "change", quote(execution.pk))
