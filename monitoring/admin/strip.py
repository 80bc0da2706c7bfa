"""The last executions of a task as a row of marks, each readable without its colour."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from monitoring.admin.display import EMPTY, STATUS_TONES, Tone, duration, instant, status
from monitoring.core.statuses import Status
from monitoring.core.values import Execution
from monitoring.tasklogs.history import recent

MARKS: Mapping[Status, str] = {
    Status.PENDING: "·",
    Status.QUEUED: "·",
    Status.RUNNING: "▶",
    Status.COMPLETED: "✓",
    Status.STOPPED: "✕",
    Status.CANCELLED: "⊘",
    Status.INVALIDATED: "↻",
}


def strip(executions: Sequence[Execution]) -> SafeString | str:
    """Return the executions, the newest last, as an image with one text for screen readers."""
    if not executions:
        return EMPTY
    lines = list(map(described, executions))
    marks = format_html_join(
        "",
        '<span class="monitoring-mark monitoring-{}" title="{}">{}</span>',
        (
            (STATUS_TONES.get(one.status, Tone.QUIET), line, MARKS[one.status])
            for one, line in zip(reversed(executions), reversed(lines), strict=True)
        ),
    )
    label = _("Last executions, the newest first: %s") % "; ".join(lines)
    return format_html(
        '<span class="monitoring-strip" role="img" aria-label="{}">{}</span>', label, marks
    )


def described(one: Execution) -> str:
    """Return one execution as a line: status, start, duration."""
    text = f"{status(one.status.value)}, {instant(one.started_at)}"
    if one.finished_at is not None:
        text += f", {duration(one.finished_at - one.started_at)}"
    return text


def with_last_run(tasks: list[tuple[str, str]], recorded: Container[str]) -> list[tuple[str, str]]:
    """Return tasks and where they are, with whether and when they last ran, for one query.

    recorded: those that the log holds, started or not.
    """
    now = timezone.now()
    runs = recent((name for name, _remark in tasks if name in recorded), 1)
    told = []
    for name, remark in tasks:
        remarks = [remark] if remark else []
        if found := runs.get(name):
            ago = duration(now - found[0].started_at)
            remarks += [_("has run"), _("last %s ago") % ago]
        elif name in recorded:
            remarks.append(_("never started"))
        told.append((name, ", ".join(remarks)))
    return told
