"""The history of a rule or a task as a picture, drawn on the server, with a table of the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from monitoring.admin.base import may_view, may_view_executions, url
from monitoring.admin.display import (
    MESSAGE_TONES,
    STATUS_TONES,
    VERDICT_TONES,
    Tone,
    duration,
    instant,
)
from monitoring.admin.picture import Bar, picture, replayed
from monitoring.admin.rule_backtest import DRAFTED, compared
from monitoring.admin.rule_draft import RuleDraft
from monitoring.admin.strip import MARKS
from monitoring.backtests import DEFAULT_DAYS
from monitoring.contexts import ContextError
from monitoring.core.fields import InvalidValueError
from monitoring.core.statuses import Status
from monitoring.core.timeline import Scale
from monitoring.core.values import Execution
from monitoring.models import AlertEvent, MonitorRule, Notification, TaskStatus
from monitoring.tasklogs.history import between
from monitoring.tasklogs.host_model import TaskLogError
from monitoring.tasklogs.source import task_log

WIDTH, LEFT = 960, 150
DEFAULT_HOURS = 24
MOST = 200
"""Rows of each kind in one picture; the lists have the rest."""


class PeriodForm(forms.Form):
    """Which stretch of time to draw."""

    hours = forms.ChoiceField(
        label=_("Period"),
        choices=[
            ("1", _("1 hour")),
            ("24", _("24 hours")),
            ("168", _("7 days")),
            ("720", _("30 days")),
            ("2160", _("90 days")),
        ],
        initial="24",
        required=False,
    )
    until = forms.DateField(label=_("Until"), required=False)
    verdict = forms.ChoiceField(label=_("Verdict"), required=False)
    state = forms.ChoiceField(
        label=_("State"),
        choices=[("", _("all")), ("open", _("Open")), ("resolved", _("Resolved"))],
        required=False,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["verdict"]
        field.choices = [("", _("all")), *AlertEvent._meta.get_field("verdict").flatchoices]
        self.fields["until"].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def of_events(self) -> dict[str, Any]:
        """Return which alert events are asked for, as filters; all if that cannot be read."""
        found = self.cleaned_data if self.is_valid() else {}
        verdict = found.get("verdict")
        wanted: dict[str, Any] = {"verdict": verdict} if verdict else {}
        if found.get("state"):
            wanted["open_key__isnull"] = found["state"] == "resolved"
        return wanted

    def scale(self, now: datetime) -> Scale:
        """Return the period asked for; the last day if that cannot be read."""
        found = self.cleaned_data if self.is_valid() else {}
        until = found.get("until")
        end = now
        if until is not None:
            midnight = datetime(until.year, until.month, until.day)  # noqa: DTZ001 - made aware below
            try:
                end = timezone.make_aware(midnight) + timedelta(days=1)
            except OverflowError:
                end = now
        return Scale(
            start=end - timedelta(hours=int(found.get("hours") or DEFAULT_HOURS)),
            end=end,
            width=WIDTH,
        )


class RuleTimeline(RuleDraft):
    """Adds the page `timeline/?rule=…` or `?task_name=…`; with a rule as it is edited, too."""

    def get_urls(self) -> list[URLPattern]:
        views = {"timeline": require_safe(self.timeline_view)}
        return self.views_at("", views) + super().get_urls()

    def timeline_view(self, request: HttpRequest) -> HttpResponse:
        """Draw what happened to one rule's task, or to one task whoever watches it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rule, task_name = self._subject(request)
        form = PeriodForm({"hours": str(DEFAULT_HOURS), **request.GET.dict()})
        scale = form.scale(timezone.now())
        wanted = _events_of(rule, task_name).filter(**form.of_events())
        events = self._events(request, wanted, scale)
        lanes: list[tuple[str | Promise, list[Bar]]] = [
            (_("Executions"), self._executions(request, task_name, scale)),
            (_("Failed windows"), [self._window(row, scale) for row in events]),
            (_("Alert events"), [self._event(row, scale) for row in events]),
            (_("Messages"), self._messages(request, wanted, scale)),
        ]
        lanes += self._replays(request, scale)
        bars = sorted((bar for _name, lane in lanes for bar in lane), key=lambda bar: bar.at)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Timeline"),
            "opts": self.model._meta,
            "rule": rule,
            "task_name": task_name,
            "form": form,
            "picture": picture(lanes, scale, LEFT),
            "rows": bars[::-1],
            "drafted": [(name, value) for name, value in request.GET.items() if name in DRAFTED],
            "start": instant(scale.start),
            "end": instant(scale.end),
            "is_cut": any(len(lane) >= MOST for _name, lane in lanes),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/monitoring/timeline.html", context)

    def _replays(self, request: HttpRequest, scale: Scale) -> list[tuple[str | Promise, list[Bar]]]:
        """Return what the rule in the address and the stored one would have done, as two lanes.

        The form of a rule leads here with what was typed. None for who may not edit the rule or may
        not view executions, and if what was typed is no rule.
        """
        if "lookback_hours" not in request.GET or not may_view_executions(request):
            return []
        try:
            draft = self.draft(request, request.GET, request.GET.get("rule", ""))
            days = max((scale.end - scale.start) / timedelta(days=1), DEFAULT_DAYS)
            found = None if draft.errors else compared(request, draft, scale.end, days=days)
        except (PermissionDenied, ContextError, InvalidValueError, TaskLogError):
            return []
        if found is None:
            return []
        lanes: list[tuple[str | Promise, list[Bar]]] = []
        if found.stored is not None:
            stored = replayed(self.admin_site, found.stored, scale, "stored", MOST)
            lanes.append((_("Stored rule"), stored))
        edited = replayed(self.admin_site, found.edited, scale, "edited", MOST)
        return [*lanes, (_("Edited rule"), edited)]

    def _subject(self, request: HttpRequest) -> tuple[MonitorRule | None, str]:
        pk, task_name = request.GET.get("rule", ""), request.GET.get("task_name", "")
        if pk:
            row = self.get_object(request, pk)
            if row is None:
                raise Http404
            return row, row.task_name
        if not task_name or "\0" in task_name:
            raise Http404
        return None, task_name

    def _executions(self, request: HttpRequest, task_name: str, scale: Scale) -> list[Bar]:
        if not may_view_executions(request):
            return []
        return [
            self._bar(
                "execution",
                one,
                scale,
                one.started_at,
                one.finished_at or (None if one.status is Status.RUNNING else one.started_at),
                STATUS_TONES.get(one.status.value),
                MARKS[one.status],
                str(TaskStatus(one.status.value).label),
            )
            for one in between(task_name, scale.start, scale.end, MOST)
        ]

    def _events(
        self, request: HttpRequest, wanted: QuerySet[AlertEvent], scale: Scale
    ) -> list[AlertEvent]:
        if not may_view(request, AlertEvent):
            return []
        rows = wanted.filter(opened_at__lte=scale.end)
        rows = rows.filter(Q(resolved_at__gte=scale.start) | Q(resolved_at__isnull=True))
        return list(rows.order_by("-opened_at", "-pk")[:MOST])

    def _event(self, row: AlertEvent, scale: Scale) -> Bar:
        return self._bar(
            "event",
            row,
            scale,
            row.opened_at,
            row.resolved_at,
            VERDICT_TONES.get(row.verdict),
            "!" if row.is_open else "",
            str(row.get_verdict_display()),
        )

    def _window(self, row: AlertEvent, scale: Scale) -> Bar:
        """Return what the check that opened the event looked at."""
        start = row.opened_at - timedelta(hours=row.lookback_hours)
        text = gettext("Looked at by the check that failed")
        return self._bar("window", row, scale, start, row.opened_at, Tone.WARN, "", text)

    def _messages(
        self, request: HttpRequest, wanted: QuerySet[AlertEvent], scale: Scale
    ) -> list[Bar]:
        if not (may_view(request, Notification) and may_view(request, AlertEvent)):
            return []
        rows = Notification.objects.filter(
            alert_event__in=wanted.order_by(),
            created_at__gte=scale.start,
            created_at__lte=scale.end,
        )
        rows = rows.order_by("-created_at", "-pk").defer("facts", "text_body", "html_body")
        return [
            self._bar(
                "message",
                row,
                scale,
                row.created_at,
                row.created_at,
                MESSAGE_TONES.get(row.state),
                "✉",
                f"{row.get_kind_display()}, {row.get_state_display()}: {row.recipient}",
            )
            for row in rows[:MOST]
        ]

    def _bar(
        self,
        kind: str,
        row: Execution | AlertEvent | Notification,
        scale: Scale,
        start: datetime,
        end: datetime | None,
        tone: Tone | None,
        mark: str,
        text: str,
    ) -> Bar:
        x, width = scale.span(start, end, least=6.0)
        took = f", {duration(end - start)}" if end is not None and end > start else ""
        return Bar(
            kind=kind,
            x=x,
            width=width,
            tone=tone or Tone.QUIET,
            mark=mark,
            at=start,
            text=f"{text}{took}",
            link=self._address(row),
        )

    def _address(self, row: Execution | AlertEvent | Notification) -> str:
        model = task_log().model if isinstance(row, Execution) else type(row)
        is_there = self.admin_site.is_registered(model)
        return url(self.admin_site, model, "change", quote(row.pk)) if is_there else ""


def _events_of(rule: MonitorRule | None, task_name: str) -> QuerySet[AlertEvent]:
    events = AlertEvent.objects.filter(task_name=task_name)
    return events if rule is None else events.filter(rule=rule)
