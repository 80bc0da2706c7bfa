"""The overview on the app's page in the admin: what fails, what sleeps, what nobody watches."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import F
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from monitoring import health
from monitoring.admin.base import may_view, may_view_executions, url
from monitoring.admin.day import ROWS_IN_OVERVIEW, picture
from monitoring.admin.display import duration, instant, watched_by
from monitoring.core.values import FAILING
from monitoring.models import (
    OWED,
    AlertEvent,
    MonitorRule,
    MonitorRun,
    Notification,
    NotificationState,
    RuleState,
)
from monitoring.recorder import is_ignored
from monitoring.rule_rows import key_of
from monitoring.tasklogs.names import strangers
from monitoring.tasklogs.source import task_log
from monitoring.tasklogs.starts import started_among

MOST = 20
"""Lines of each part; the lists have the rest."""
_AT_ONCE = 100
"""Names that are asked for: a few of them may be ignored since."""
_OF_EVENT = (
    *("key", "task_name", "rule_id", "rule_name", "periodic_task"),
    *("verdict", "opened_at", "acknowledged_at", "acknowledged_until"),
)
_UNDELIVERED = [state.value for state in (*OWED, NotificationState.FAILED)]


def overview(request: HttpRequest, site: admin.AdminSite) -> dict[str, Any]:
    """Return what the page shows, each part only to those who may see its rows."""
    parts: dict[str, Any] = {"most": MOST}
    now = timezone.now()
    if may_view(request, MonitorRun):
        parts["run"] = _last_run(now)
    if may_view(request, AlertEvent):
        parts["failing"] = _failing(site, now)
        parts["failing_quietly"] = _failing_quietly() if may_view(request, MonitorRule) else 0
        parts["failing_quietly_url"] = (
            f"{url(site, MonitorRule, 'changelist')}?state=failing&alert=none&enabled__exact=1"
        )
        # Nothing is fine that nobody has looked at.
        parts["all_fine"] = parts.get("run") != {} and not (
            parts["failing"] or parts["failing_quietly"]
        )
    if may_view(request, Notification):
        parts["undelivered"] = Notification.objects.filter(state__in=_UNDELIVERED).count()
        query = urlencode({"state__in": ",".join(_UNDELIVERED)})
        parts["undelivered_url"] = f"{url(site, Notification, 'changelist')}?{query}"
    if may_view(request, MonitorRule):
        parts["snoozed"] = _snoozed(site, now)
        parts["day"] = picture(request, site, 0, ROWS_IN_OVERVIEW)
        parts["day_url"] = url(site, MonitorRule, "day")
        parts["dependencies_url"] = url(site, MonitorRule, "dependencies")
        if may_view_executions(request):
            parts["unwatched"] = _unwatched(site)
            parts["has_run"] = bool(parts["unwatched"]) or task_log().rows().exists()
            parts["may_add"] = request.user.has_perm("monitoring.add_monitorrule")
    return parts


def _last_run(now: Any) -> dict[str, Any]:
    row = health.last_run(now)
    if row is None:
        return {}
    return {
        "at": instant(row.started_at),
        "ago": duration(now - row.started_at),
        "state": row.get_state_display(),
    }


def _failing(site: admin.AdminSite, now: Any) -> list[dict[str, Any]]:
    # Not by the column itself: its index holds every event there ever was, the open ones last.
    rows = AlertEvent.objects.open().order_by(Coalesce("opened_at", "opened_at"), "pk")
    rows = rows.only(*_OF_EVENT)
    return [
        {
            "task": row.task_name,
            "watched_by": watched_by(row),
            "what": row.get_verdict_display(),
            "since": duration(now - row.opened_at),
            "acknowledged": row.is_acknowledged(now),
            "url": url(site, AlertEvent, "change", row.pk),
        }
        for row in rows[: MOST + 1]
    ]


def _failing_quietly() -> int:
    """Count the enabled rules that failed at the last check and have no open event.

    It was resolved by hand, or it takes more failing checks to open one.
    """
    failing = RuleState.objects.filter(verdict__in=FAILING, rule__enabled=True)
    quiet = failing.exclude(key__in=AlertEvent.objects.open().values("open_key"))
    # What was found of the task or context that a rule watched before says nothing of it.
    plain = quiet.filter(has_context=False, rule__context_model="", task_name=F("rule__task_name"))
    filtered = quiet.filter(has_context=True).select_related("rule")
    current = ((state.key, state.rule and key_of(state.rule)) for state in filtered)
    quietly: int = plain.count() + sum(key == now for key, now in current)
    return quietly


def _snoozed(site: admin.AdminSite, now: Any) -> list[dict[str, Any]]:
    rows = MonitorRule.objects.filter(enabled=True, snoozed_until__gt=now)
    return [
        {
            "name": row.name,
            "until": instant(row.snoozed_until),
            "url": url(site, MonitorRule, "change", row.pk),
        }
        for row in rows.order_by("snoozed_until", "pk")[: MOST + 1]
    ]


def _unwatched(site: admin.AdminSite) -> list[dict[str, Any]]:
    """Return tasks that have run and that no enabled rule names, by name."""
    enabled = MonitorRule.objects.filter(enabled=True).order_by()
    watched = set(enabled.values_list("task_name", flat=True))
    names: list[str] = []
    page = strangers(watched, _AT_ONCE)
    while page:
        ran = started_among(page)  # and is not only refused by every worker
        names += [name for name in page if name in ran and not is_ignored(name)]
        if len(names) > MOST or len(page) < _AT_ONCE:
            break
        page = strangers(watched, _AT_ONCE, page[-1])
    return [{"task": name, "url": url(site, MonitorRule, "add")} for name in names[: MOST + 1]]
