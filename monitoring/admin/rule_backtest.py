"""What the rule in the form would have done over the past days, beside the stored one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote, unquote
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from django_celery_beat.models import PeriodicTask

from monitoring.admin.base import may_view, may_view_executions, url
from monitoring.admin.display import duration, in_words, instant
from monitoring.admin.picture import described, execution_address, picture, replayed
from monitoring.admin.rule_draft import Draft, RuleDraft
from monitoring.backtests import DEFAULT_DAYS, Comparison, Interval, compare, interval_of_checks
from monitoring.contexts import ContextError
from monitoring.core.backtest import Backtest
from monitoring.core.backtest import in_words as told
from monitoring.core.fields import InvalidValueError
from monitoring.core.messages import number
from monitoring.core.suggestion import Refusal, Suggestion
from monitoring.core.timeline import Scale
from monitoring.core.values import Rule
from monitoring.models import AlertEvent, MonitorRule
from monitoring.rule_rows import read_instance
from monitoring.tasklogs.host_model import TaskLogError

MOST_EXECUTIONS = 87_000
"""Executions that one request reads at most, as somebody types: sixty days of one a minute. The
command reads more."""
MOST_MEASURED = 30_000
"""The same for rules that measure durations or successes, which takes three times as long."""
MOST_LISTED = 10
"""Events in a list, and in one lane of the picture many more; the timeline has all."""
_MOST_DRAWN = 200
_WIDTH, _LEFT = 250, 70

DELAYS: Mapping[str, Any] = {
    "": gettext_lazy("usual for its rhythm"),
    "0.25": gettext_lazy("15 minutes"),
    "1": gettext_lazy("1 hour"),
    "2": gettext_lazy("2 hours"),
    "6": gettext_lazy("6 hours"),
    "24": gettext_lazy("1 day"),
}
"""How much later than usual a run may come, in hours: what the form offers."""

DRAFTED = (
    "task_name",
    "expected_statuses",
    "lookback_hours",
    "max_runtime_minutes",
    "max_duration_factor",
    "min_success_rate",
    "while_running",
    "alert_after",
    "remind_hours",
    "notify_on_recovery",
    "context_model",
    "context_field",
    "context_type",
)
"""What a rule does turns on these fields."""


class RuleBacktest(RuleDraft):
    """Adds the address that the form asks for a backtest; nothing there changes anything."""

    def get_urls(self) -> list[URLPattern]:
        views = {"backtest": require_POST(self.backtest_view)}
        return self.views_at("", views) + super().get_urls()

    def page_context(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        query = "?" + urlencode({"rule": unquote(object_id)}) if object_id else ""
        address = url(self.admin_site, self.model, "backtest")
        return super().page_context(request, object_id) | {
            "backtest_url": address + query if may_view_executions(request) else "",
            "backtest_days": DEFAULT_DAYS,
            "delays": DELAYS.items(),
        }

    def backtest_view(self, request: HttpRequest) -> HttpResponse:
        """Return a panel; an empty one for who may not view executions, or while a field is wrong.

        What a rule would have done tells when its task ran and failed.
        """
        draft = self.draft(request, request.POST, request.GET.get("rule", ""))
        if draft.errors or not may_view_executions(request):
            return JsonResponse({"panel": "", "suggests": False})
        delay = _delay(request.POST.get("backtest_delay", ""))
        now = timezone.now().replace(second=0, microsecond=0)
        try:
            found = compared(request, draft, now, delay)
        except (ContextError, InvalidValueError, TaskLogError, DatabaseError) as error:
            panel: dict[str, Any] = {"error": in_words(getattr(error, "text", str(error)))}
        else:
            panel = self._shown(request, draft, found)
        html = render_to_string("admin/monitoring/backtest.html", panel, request)
        return JsonResponse({"panel": html, "suggests": bool(panel.get("suggested"))})

    def _shown(self, request: HttpRequest, draft: Draft, found: Comparison) -> dict[str, Any]:
        edited, stored = found.edited, found.stored
        scale = Scale(start=edited.start, end=edited.end, width=_WIDTH)
        draw = partial(replayed, self.admin_site, scale=scale, most=_MOST_DRAWN)
        lanes = [(_("Edited") if stored else _("Events"), draw(edited, kind="edited"))]
        if stored:
            lanes.append((_("Stored"), draw(stored, kind="stored")))
        events = self._alerted(request, draft.stored, edited)
        return {
            "said": in_words(told(edited)),
            "left_out_before": instant(found.history.left_out_before),
            "is_cut": found.history.left_out_before is not None,
            "stored": stored,
            "picture": picture(lanes, scale, _LEFT) if any(bars for _name, bars in lanes) else None,
            "lists": [
                (name, list(self._listed(one, events)), len(one.incidents) - MOST_LISTED)
                for name, one in ((_("Edited"), edited), (_("Stored"), stored))
                if one is not None and one.incidents
            ],
            "checked": _checked(request, found.interval),
            "timeline": self._timeline(draft),
            **_counts(found),
            **_suggested(found.suggestion, draft.row),
        }

    def _alerted(
        self, request: HttpRequest, row: MonitorRule | None, found: Backtest
    ) -> list[AlertEvent]:
        """Return the alert events that the stored rule really opened, the newest first."""
        if row is None or not may_view(request, AlertEvent):
            return []
        rows = AlertEvent.objects.filter(rule=row, opened_at__gte=found.start)
        fields = ("pk", "opened_at", "resolved_at")
        return list(rows.order_by("-opened_at", "-pk").only(*fields)[:_MOST_DRAWN])

    def _listed(self, found: Backtest, events: list[AlertEvent]) -> Iterator[dict[str, Any]]:
        for one in found.incidents[: -MOST_LISTED - 1 : -1]:
            scale = Scale(start=one.opened_at, end=one.resolved_at or found.end, width=1)
            really = next((e for e in events if scale.overlaps(e.opened_at, e.resolved_at)), None)
            yield {
                "at": instant(one.opened_at),
                "text": described(one),
                "execution": execution_address(self.admin_site, one.execution),
                "resolved_by": execution_address(self.admin_site, one.resolved_by),
                "event": really and url(self.admin_site, AlertEvent, "change", quote(really.pk)),
            }

    def _timeline(self, draft: Draft) -> str:
        """Return the address of the timeline with the rule as it is in the form."""
        typed = {name: draft.form.data.get(name, "") for name in DRAFTED}
        if draft.stored is not None:
            typed["rule"] = str(draft.stored.pk)
        query = urlencode({**typed, "hours": "2160"})
        return f"{url(self.admin_site, self.model, 'timeline')}?{query}"


def compared(
    request: HttpRequest,
    draft: Draft,
    now: datetime,
    delay: timedelta | None = None,
    days: float = DEFAULT_DAYS,
) -> Comparison:
    """Replay a draft and what is stored of it, as often as this user may know that is checked.

    Raises InvalidValueError as `read_instance` does.
    """
    edited, stored = _rule(draft.row), None
    if draft.stored is not None:
        try:
            stored = _rule(draft.stored)
        except InvalidValueError:
            stored = None  # what is being put right cannot be replayed
    interval = interval_of_checks(now, sees_schedules=may_view(request, PeriodicTask))
    measures = any(rule is not None and rule.measures for rule in (edited, stored))
    most = MOST_MEASURED if measures else MOST_EXECUTIONS
    return compare(edited, stored, now, delay, interval, days=days, most=most)


def _checked(request: HttpRequest, interval: Interval) -> str:
    """Return how often checks were taken to come, and why so often."""
    every = {"every": duration(interval.every)}
    if interval.is_scheduled:
        return _("As if checked every %(every)s, as it is scheduled.") % every
    if may_view(request, PeriodicTask):
        return _("As if checked every %(every)s, because no check is scheduled.") % every
    return _("As if checked every %(every)s.") % every


def _rule(row: MonitorRule) -> Rule:
    return read_instance(row, watched_since=row.created_at)


def _delay(typed: str) -> timedelta | None:
    return timedelta(hours=float(typed)) if typed and typed in DELAYS else None


def _counts(found: Comparison) -> dict[str, Any]:
    """Return the counts side by side; what the log cannot tell is None, never 0."""
    compared_with = [(_("Edited"), found.edited), (_("Stored"), found.stored)]
    if isinstance(found.suggestion, Suggestion):
        compared_with.append((_("Suggested"), found.suggestion.backtest))
    columns = [(name, one) for name, one in compared_with if one is not None]
    counted: list[tuple[str, Callable[[Backtest], int]]] = [
        (_("Events"), lambda one: len(one.incidents)),
        (_("Failures"), lambda one: one.failures),
        (_("Late runs"), lambda one: one.late_runs),
        (_("Still open"), lambda one: one.still_open),
        (_("Messages"), lambda one: one.messages),
    ]
    return {
        "columns": [name for name, _one in columns],
        "counts": [
            (label, [count(one) if one.is_known else None for _name, one in columns])
            for label, count in counted
        ],
    }


def _suggested(found: Suggestion | Refusal, row: MonitorRule) -> dict[str, Any]:
    if isinstance(found, Refusal):
        return {"refused": in_words(found.text)}
    fits = (row.lookback_hours, row.alert_after) == (found.lookback_hours, found.alert_after)
    facts = {
        "hours": number(found.lookback_hours),
        "checks": found.alert_after,
        "usual": duration(found.usual),
        "latest": duration(found.latest) if found.latest else "",
        "told_after": duration(found.told_after),
        "beyond": found.beyond,
        "longest": number(round(found.longest / timedelta(hours=1), 2)),
        "runs": found.runs,
    }
    if row.max_duration_factor is not None and found.max_duration_factor is not None:
        facts["factor"] = number(found.max_duration_factor)
        facts["fits_factor"] = row.max_duration_factor == found.max_duration_factor
        facts["slower"] = found.slower
    return {"suggestion": facts, "suggested": not fits}
