"""Executions: the task log."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from monitoring.admin.base import OfOurLog, TaskFilter, link, list_link, may_view, moment
from monitoring.admin.display import (
    EMPTY,
    STATUS_TONES,
    aside,
    badge,
    code,
    duration,
    excerpt,
    instant,
    preformatted,
    two_lines,
)
from monitoring.admin.history_export import HistoryExport
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, TaskStatus

_MOST_LINKS = 20


@admin.register(BackgroundTask)
class ExecutionAdmin(OfOurLog, HistoryExport):
    change_form_template = "admin/monitoring/backgroundtask/change_form.html"
    list_display = (
        "task_and_error",
        "status_and_retries",
        "started_and_took",
        "worker_and_queue",
        "watched",
    )
    list_filter = ("status", TaskFilter)
    list_defer = ("stack_trace_errors", "parameters")
    search_fields = ("^task_name", "^task_id", "=context_id", "errors")
    search_anywhere = ("task_id",)
    search_help_text = _(
        "The whole task id; among the newest 10,000 also the beginning of the task's name or id, "
        "the whole context id, or part of the error."
    )
    # Without parameters, which may hold secrets.
    export_fields = (
        "id",
        "task_id",
        "task_name",
        "status",
        "submitted_at",
        "first_started_at",
        "started_at",
        "finished_at",
        "retries",
        "worker",
        "queue",
        "context_id",
        "periodic_task_name",
        "errors",
    )
    # Only what an index can put in order.
    sortable_by = ("task_and_error",)
    started = moment("started_at", _("started"))
    submitted = moment("submitted_at", _("submitted"))
    first_started = moment("first_started_at", _("first attempt"))
    finished = moment("finished_at", _("finished"))
    updated = moment("last_update", _("last signal"))

    fieldsets = (
        (
            _("What ran"),
            {
                "fields": (
                    ("task", "status_badge"),
                    ("id_of_task", "context_id"),
                    ("periodic_task_name", "retries"),
                    ("worker", "queue"),
                )
            },
        ),
        (
            _("When"),
            {
                "fields": (
                    ("submitted", "first_started"),
                    ("started", "finished"),
                    ("took", "updated"),
                )
            },
        ),
        (_("What went wrong"), {"fields": ("error", "stack_trace")}),
        (_("Who watches it"), {"fields": ("rules", "alert_events")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: BackgroundTask | None = None) -> Any:
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj is not None and obj.parameters:
            # Recorded only if MONITORING["RECORD_PARAMETERS"] says so.
            fieldsets.insert(2, (_("With what"), {"fields": ("recorded_parameters",)}))
        return fieldsets

    def attach_detail(self, request: HttpRequest, row: BackgroundTask) -> None:
        attached = vars(row)
        attached["rules_of_task"] = attached["events_of_execution"] = ()
        if may_view(request, MonitorRule):
            rules = MonitorRule.objects.filter(task_name=row.task_name)
            attached["rules_of_task"] = list(rules[:_MOST_LINKS])
        if may_view(request, AlertEvent):
            events = AlertEvent.objects.filter(task_name=row.task_name, task_id=row.task_id)
            attached["events_of_execution"] = list(events[:_MOST_LINKS])

    @admin.display(description=_("task"), ordering="task_name")
    def task_and_error(self, row: BackgroundTask) -> str:
        return two_lines(row.task_name, aside(excerpt(row.errors)) if row.errors else "")

    @admin.display(description=_("status"))
    def status_and_retries(self, row: BackgroundTask) -> str:
        retries = ngettext("%d retry", "%d retries", row.retries) % row.retries
        return two_lines(self.status_badge(row), aside(retries) if row.retries else "")

    @admin.display(description=_("started"))
    def started_and_took(self, row: BackgroundTask) -> str:
        took = self.took(row)
        return two_lines(instant(row.started_at), took if took != EMPTY else "")

    @admin.display(description=_("worker"))
    def worker_and_queue(self, row: BackgroundTask) -> str:
        return two_lines(row.worker or EMPTY, aside(row.queue) if row.queue else "")

    @admin.display(description=_("status"))
    def status_badge(self, row: BackgroundTask) -> str:
        return badge(row.get_status_display(), STATUS_TONES.get(row.status))

    @admin.display(description=_("task"))
    def task(self, row: BackgroundTask) -> str:
        return str(row.task_name)

    @admin.display(description=_("task id"))
    def id_of_task(self, row: BackgroundTask) -> str:
        return code(row.task_id)

    @admin.display(description=_("duration"))
    def took(self, row: BackgroundTask) -> str:
        if row.started_at is None:
            return EMPTY
        if row.finished_at is not None:
            return duration(row.finished_at - row.started_at)
        if row.status == TaskStatus.RUNNING:
            return aside(_("so far %s") % duration(timezone.now() - row.started_at))
        return EMPTY

    @admin.display(description=_("error"))
    def error(self, row: BackgroundTask) -> str:
        return preformatted(row.errors)

    @admin.display(description=_("stack trace"))
    def stack_trace(self, row: BackgroundTask) -> str:
        return preformatted(row.stack_trace_errors)

    @admin.display(description=_("parameters"))
    def recorded_parameters(self, row: BackgroundTask) -> str:
        return preformatted(row.parameters)

    @admin.display(description=_("watched"))
    def watched(self, row: BackgroundTask) -> str:
        """Return links to the rules and the alert events of the task; they cost no query."""
        return two_lines(
            list_link(self.admin_site, MonitorRule, _("Rules"), task_name=row.task_name),
            list_link(self.admin_site, AlertEvent, _("Alert events"), task_name=row.task_name),
        )

    @admin.display(description=_("rules"))
    def rules(self, row: BackgroundTask) -> str:
        found = vars(row).get("rules_of_task", ())
        links = ((link(self.admin_site, MonitorRule, rule.pk, rule.name),) for rule in found)
        return format_html_join(", ", "{}", links) or EMPTY

    @admin.display(description=_("alert events"))
    def alert_events(self, row: BackgroundTask) -> str:
        found = vars(row).get("events_of_execution", ())
        links = (
            (
                link(self.admin_site, AlertEvent, event.pk, event.get_verdict_display()),
                aside(instant(event.opened_at)),
            )
            for event in found
        )
        return format_html_join(", ", "{} {}", links) or EMPTY
