"""The overview on the app's page in the admin: what fails, what sleeps, what nobody watches."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from monitoring import health
from monitoring.admin.base import may_view, may_view_executions, url
from monitoring.admin.display import duration, instant
from monitoring.models import (
    OWED,
    AlertEvent,
    MonitorRule,
    MonitorRun,
    Notification,
    NotificationState,
)
from monitoring.recorder import is_ignored
from monitoring.tasklogs.history import seen_names

MOST = 20
"""Lines of each part; the lists have the rest."""
_UNDELIVERED = [state.value for state in (*OWED, NotificationState.FAILED)]


def overview(request: HttpRequest, site: admin.AdminSite) -> dict[str, Any]:
    """Return what the page shows, each part only to those who may see its rows."""
    parts: dict[str, Any] = {"most": MOST}
    now = timezone.now()
    if may_view(request, MonitorRun):
        parts["run"] = _last_run(now)
    if may_view(request, AlertEvent):
        parts["failing"] = _failing(site, now)
    if may_view(request, Notification):
        parts["undelivered"] = Notification.objects.filter(state__in=_UNDELIVERED).count()
        query = urlencode({"state__in": ",".join(_UNDELIVERED)})
        parts["undelivered_url"] = f"{url(site, Notification, 'changelist')}?{query}"
    if may_view(request, MonitorRule):
        parts["snoozed"] = _snoozed(site, now)
        if may_view_executions(request):
            parts["unwatched"] = _unwatched(site)
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
    rows = AlertEvent.objects.open().order_by("opened_at", "pk")[: MOST + 1]
    return [
        {
            "task": row.task_name,
            "what": row.get_verdict_display(),
            "since": duration(now - row.opened_at),
            "acknowledged": row.is_acknowledged(now),
            "url": url(site, AlertEvent, "change", row.pk),
        }
        for row in rows
    ]


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
    watched = set(
        MonitorRule.objects.filter(enabled=True).values_list("task_name", flat=True).distinct()
    )
    names = [name for name in seen_names() if name not in watched and not is_ignored(name)]
    return [{"task": name, "url": url(site, MonitorRule, "add")} for name in names[: MOST + 1]]
