"""What the list and the page of rules show of a rule besides its fields."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.admin.display import Tone, aside, badge
from monitoring.core.messages import number
from monitoring.core.values import FAILING, VerdictKind
from monitoring.models import MonitorRule, RuleState

_TONES = {VerdictKind.OK: Tone.GOOD, VerdictKind.IN_PROGRESS: Tone.BUSY}


def judged(state: RuleState | None) -> str:
    """Return a badge with what the last check found."""
    if state is None or not state.verdict:
        return badge(_("Never checked"), Tone.QUIET)
    if state.verdict in FAILING:
        checks = ngettext("%d check", "%d checks", state.failing_checks) % state.failing_checks
        why = aside(f"{state.get_verdict_display()}, {checks}")
        return format_html("{} {}", badge(_("Failing"), Tone.BAD), why)
    return badge(state.get_verdict_display(), _TONES.get(VerdictKind(state.verdict), Tone.WARN))


def checked_at(
    row: MonitorRule, state: RuleState | None, all_checked_at: datetime | None
) -> datetime | None:
    """Return when a rule was checked last.

    all_checked_at: when all that were enabled were checked last; tells of a rule that has been so
    since before, and that an earlier check has judged.
    """
    noted = state.last_checked_at if state is not None else None
    if noted is None or all_checked_at is None or not row.enabled:
        return noted
    return max(noted, all_checked_at) if row.updated_at <= all_checked_at else noted


def limits(row: MonitorRule) -> Iterator[str]:
    """Return what else than a status is expected of a task, in a few words each."""
    if row.max_runtime_minutes is not None:
        yield _("at most %s min") % number(row.max_runtime_minutes)
    if row.max_duration_factor is not None:
        yield _("at most %s times the usual") % number(row.max_duration_factor)
    if row.min_success_rate is not None:
        yield _("%s %% must succeed") % number(row.min_success_rate)
