"""Rules: the form, and the list with what each rule says now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from monitoring.admin.base import (
    TaskFilter,
    execution_link,
    executions_link,
    link,
    list_link,
    may_view,
    may_view_executions,
)
from monitoring.admin.day import RuleDay
from monitoring.admin.display import (
    EMPTY,
    Tone,
    aside,
    badge,
    below,
    duration,
    instant,
    statuses,
    two_lines,
    window,
)
from monitoring.admin.exchange import RuleExchangeMixin
from monitoring.admin.graph import RuleGraph
from monitoring.admin.rule_backtest import RuleBacktest
from monitoring.admin.rule_columns import checked_at, judged, limits
from monitoring.admin.rule_discovery import RuleDiscovery
from monitoring.admin.rule_filters import (
    AlertFilter,
    LimitFilter,
    RecipientFilter,
    SnoozeFilter,
    VerdictFilter,
)
from monitoring.admin.rule_form import CONTEXT, RuleForm
from monitoring.admin.rule_operations import RuleOperations
from monitoring.admin.rule_preview import RulePreview
from monitoring.admin.strip import strip
from monitoring.admin.timeline import RuleTimeline
from monitoring.admin.warnings import warnings
from monitoring.core.arguments import Arguments
from monitoring.models import AlertEvent, MonitorRule, RuleState
from monitoring.rule_rows import key_of
from monitoring.rulesets import select
from monitoring.runs import last_complete
from monitoring.tasklogs.history import recent

STRIP_IN_LIST = 10
"""Executions that the list shows of each rule's task."""
MOST_WARNINGS = 5
"""Of what is odd about a rule, said after it is saved."""


@admin.register(MonitorRule)
class RuleAdmin(
    RuleExchangeMixin,
    RuleOperations,
    RulePreview,
    RuleBacktest,
    RuleTimeline,
    RuleDiscovery,
    RuleDay,
    RuleGraph,
):
    form = RuleForm
    list_display = (
        "name_and_task",
        "state_and_event",
        "last_runs",
        "checked",
        "expected",
    )
    list_display_links = ("name_and_task",)
    list_filter = (
        VerdictFilter,
        "enabled",
        AlertFilter,
        SnoozeFilter,
        LimitFilter,
        TaskFilter,
        RecipientFilter,
    )
    search_fields = ("name", "task_name", "notify_to")
    search_help_text = _("Part of the rule's name, the task's name or an address.")
    fieldsets = (
        (_("What to watch"), {"fields": ("name", "task_name", "enabled")}),
        (
            _("What is expected"),
            {
                "fields": (
                    "expected_statuses",
                    "lookback_hours",
                    "max_runtime_minutes",
                    "max_duration_factor",
                    "min_success_rate",
                    "while_running",
                )
            },
        ),
        (
            _("Whom to tell"),
            {
                "fields": (
                    "notify_to",
                    "channels",
                    "description",
                    "alert_after",
                    "remind_hours",
                    "notify_on_recovery",
                    "snoozed_until",
                )
            },
        ),
        (_("What depends on it"), {"fields": ("dependent_tasks",)}),
    )
    readonly_fields = ("state", "last_checked", "open_event", "history")

    def get_fieldsets(self, request: HttpRequest, obj: MonitorRule | None = None) -> Any:
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj is not None:
            now = (("state", "open_event"), ("last_checked", "history"))
            fieldsets.insert(0, (_("Now"), {"fields": now}))
        # Rarely needed, so folded away until a rule has one.
        classes = [] if obj is not None and obj.context_model else ["collapse"]
        fieldsets.append((_("Advanced"), {"fields": CONTEXT, "classes": classes}))
        return fieldsets

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"user": request.user})

    def attach(self, request: HttpRequest, rows: Sequence[MonitorRule]) -> None:
        keys = {row.pk: key_of(row) for row in rows}
        states = {
            state.key: state for state in RuleState.objects.filter(key__in=list(keys.values()))
        }
        events: dict[str | None, AlertEvent] = {}
        if may_view(request, AlertEvent):
            found = AlertEvent.objects.filter(open_key__in=list(keys.values()))
            events = {event.open_key: event for event in found}
        runs = self._runs(request, rows)
        # A check notes on a rule that stays fine only now and then that it was checked.
        all_checked_at = last_complete(select(Arguments(all_rules=True)).identity)
        for row in rows:
            vars(row)["runs"] = runs.get(row.task_name, [])
            vars(row)["state_now"] = state = states.get(keys[row.pk])
            vars(row)["checked_at"] = checked_at(row, state, all_checked_at)
            vars(row)["event_now"] = events.get(keys[row.pk])

    def _runs(self, request: HttpRequest, rows: Sequence[MonitorRule]) -> dict[str, Any]:
        if not may_view_executions(request):
            return {}
        return dict(recent((row.task_name for row in rows), STRIP_IN_LIST))

    def attach_detail(self, request: HttpRequest, row: MonitorRule) -> None:
        self.attach(request, [row])

    def save_model(self, request: HttpRequest, obj: MonitorRule, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "task_name" in form.changed_data:
            note = self._task_note(request, obj.task_name, self._runs_of(request, obj.task_name))
            if "warning" in note:
                # Not the name first: the admin would write it with a capital letter.
                text = (
                    f"{RuleForm.base_fields['task_name'].label} {obj.task_name}: {note['warning']}"
                )
                self.message_user(request, text, messages.WARNING)
        for one in warnings(request, [obj])[:MOST_WARNINGS]:
            if one.id != "task-unknown":  # said above, also to those who may not see all
                text = f'"{one.rule}": {one.message}. {one.fix}'
                self.message_user(request, text, messages.WARNING)

    @admin.display(description=_("rule"), ordering="name")
    def name_and_task(self, row: MonitorRule) -> str:
        return format_html("{}{}", row.name, below(aside(row.task_name)))

    @admin.display(description=_("state"))
    def state_and_event(self, row: MonitorRule) -> str:
        event: AlertEvent | None = vars(row).get("event_now")
        if event is None:
            return self.state(row)
        open_for = _("open for %s") % duration(timezone.now() - event.opened_at)
        opened = link(self.admin_site, AlertEvent, event.pk, open_for)
        return format_html("{}{}", self.state(row), below(opened))

    @admin.display(description=_("state"))
    def state(self, row: MonitorRule) -> str:
        if not row.enabled:
            return badge(_("Disabled"), Tone.QUIET)
        now = judged(vars(row).get("state_now"))
        if row.snoozed_until is not None and row.snoozed_until > timezone.now():
            until = aside(_("until %s") % instant(row.snoozed_until))
            return format_html("{} {} {}", now, badge(_("Snoozed"), Tone.WARN), until)
        return now

    @admin.display(description=_("open event"))
    def open_event(self, row: MonitorRule) -> str:
        event: AlertEvent | None = vars(row).get("event_now")
        if event is None:
            return EMPTY
        since = _("for %s") % duration(timezone.now() - event.opened_at)
        return link(self.admin_site, AlertEvent, event.pk, since)

    @admin.display(description=_("last checked"))
    def last_checked(self, row: MonitorRule) -> str:
        at: datetime | None = vars(row).get("checked_at")
        if at is None:
            return EMPTY
        return format_html("{} {}", instant(at), aside(_ago(at)))

    @admin.display(description=_("checked"))
    def checked(self, row: MonitorRule) -> str:
        at: datetime | None = vars(row).get("checked_at")
        if at is None:
            return EMPTY
        return format_html('<span title="{}">{}</span>', instant(at), _ago(at))

    @admin.display(description=_("history"))
    def history(self, row: MonitorRule) -> str:
        return format_html(
            "{} · {}",
            list_link(self.admin_site, AlertEvent, _("Alert events"), rule=row.pk),
            executions_link(self.admin_site, row.task_name, _("Executions")),
        )

    @admin.display(description=_("expected"), ordering="lookback_hours")
    def expected(self, row: MonitorRule) -> str:
        looks = " · ".join([window(row.lookback_hours), *limits(row)])
        return two_lines(statuses(row.expected_statuses), aside(looks))

    @admin.display(description=_("last executions"))
    def last_runs(self, row: MonitorRule) -> str:
        runs = vars(row).get("runs")
        if not runs:
            return EMPTY
        newest = runs[0]
        newest_run = execution_link(self.admin_site, newest.pk, _ago(newest.started_at))
        return format_html("{}{}", strip(runs), below(newest_run))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Start a duplicate with what the other rule says; see the button of that name."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        copy = initial.pop("copy", None)
        if copy and copy.isdecimal() and len(copy) < 19:
            row = self.get_queryset(request).filter(pk=copy).first()
            if row is not None and self.has_view_permission(request, row):
                initial |= {name: getattr(row, name) for name in RuleForm.Meta.fields}
                initial |= {"name": _("%s (copy)") % row.name, "snoozed_until": None}
        return initial

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        # A snooze is a permission of its own, however it is set.
        return fields if self.has_snooze_permission(request) else (*fields, "snoozed_until")


def _ago(at: datetime) -> str:
    return str(_("%s ago") % duration(timezone.now() - at))
