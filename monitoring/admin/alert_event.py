"""Alert events: what failed, since when, and who was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from monitoring.admin.base import (
    ChoiceFilter,
    PrimaryKeyFilter,
    TaskFilter,
    execution_link,
    link,
    list_link,
    may_view,
    may_view_executions,
    moment,
)
from monitoring.admin.display import (
    EMPTY,
    VERDICT_TONES,
    Tone,
    aside,
    badge,
    code,
    duration,
    instant,
    listed,
    status,
    statuses,
    two_lines,
    watched_by,
    window,
)
from monitoring.admin.event_details import measured, settings_then
from monitoring.admin.event_messages import MessageInline
from monitoring.admin.event_operations import EventOperations, resolving_entry
from monitoring.models import AlertEvent, MonitorRule, Notification
from monitoring.tasklogs.history import find_pk


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    fixed_choices = (
        ("open", _("Open")),
        ("acknowledged", _("Open and acknowledged")),
        ("resolved", _("Resolved")),
    )

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AlertEvent]
    ) -> QuerySet[AlertEvent]:
        match self.value():
            case "open":
                return queryset.filter(open_key__isnull=False)
            case "acknowledged":
                return queryset & AlertEvent.objects.acknowledged(timezone.now())
            case "resolved":
                return queryset.filter(open_key__isnull=True)
        return queryset


class RuleFilter(PrimaryKeyFilter):
    title = _("rule")
    parameter_name = "rule"
    model = MonitorRule


@admin.register(AlertEvent)
class AlertEventAdmin(EventOperations):
    opened = moment("opened_at", _("opened"))
    checked = moment("last_checked_at", _("last checked"))
    told = moment("last_message_at", _("last message"))
    resolved = moment("resolved_at", _("resolved"))
    acknowledged = moment("acknowledged_at", _("acknowledged"))
    acknowledged_end = moment("acknowledged_until", _("acknowledged until"))
    started = moment("started_at", _("started"))
    finished = moment("finished_at", _("finished"))

    list_display = (
        "task_and_rule",
        "state_and_verdict",
        "opened_and_lasted",
        "found_and_checks",
        "message_count",
    )
    # By date through a filter: a date hierarchy computes the day of every row of the table.
    list_filter = (StateFilter, "opened_at", "verdict", "resolution", RuleFilter, TaskFilter)
    search_fields = ("^task_name", "^rule_name", "=task_id")
    search_anywhere = ("task_name",)
    search_help_text = _(
        "The whole name of the task; among the newest 10,000 also the beginning of the task's or "
        "the rule's name, or the whole task id."
    )
    sortable_by = ("opened_and_lasted", "task_and_rule")
    export_fields = (
        "id",
        "task_name",
        "rule_name",
        "verdict",
        "current_status",
        "opened_at",
        "resolved_at",
        "resolution",
        "failing_checks",
        "task_id",
        "started_at",
        "finished_at",
        "expected_statuses",
        "lookback_hours",
        "context_model",
        "context_type",
        "acknowledged_at",
        "acknowledged_until",
        "periodic_task",
        "upstream",
        "note",
        "cause",
    )
    inlines = (MessageInline,)

    def get_export_resource_classes(self, request: HttpRequest) -> list[Any]:
        hidden = () if may_view_executions(request) else ("cause",)
        fields = tuple(name for name in self.export_fields if name not in hidden)
        return self.resource_classes_of(fields)

    def get_fieldsets(self, request: HttpRequest, obj: AlertEvent | None = None) -> Any:
        what: list[Any] = [("task", "verdict_badge"), ("execution", "found")]
        what += [("started", "finished")]
        since: list[Any] = [("state", "lasted"), ("opened", "checked")]
        since += [("failing_checks", "told"), "all_messages"]
        was: list[Any] = [("watched_by", "expected"), ("lookback", "dependents")]
        if obj is not None:
            what += ["measured"] if vars(obj).get("measured_then") else []
            # It may quote the error of an execution.
            what += ["cause"] if obj.cause and may_view_executions(request) else []
            if obj.resolved_at:
                since[1:] = [("opened", "resolved"), ("failing_checks", "checked")]
                since += [("told", "all_messages")]
            what += ["held_behind"] if obj.upstream_id else []
            since += [("acknowledged", "acknowledged_by")] if obj.acknowledged_at else []
            since += ["acknowledged_end"] if obj.acknowledged_until else []
            since += ["resolved_by"] if vars(obj).get("resolving_entry") else []
            since += ["note"] if obj.note else []
            was += [("context_model", "context_type")] if obj.context_model else []
            was += ["other_settings"] if obj.rule_settings else []
        return (
            (_("What failed"), {"fields": what}),
            (_("Since when"), {"fields": since}),
            (_("The rule as it was"), {"fields": was}),
        )

    def attach(self, request: HttpRequest, rows: Sequence[AlertEvent]) -> None:
        if not may_view(request, Notification):
            return
        messages = Notification.objects.filter(alert_event__in=[row.pk for row in rows])
        counts = dict(messages.order_by().values_list("alert_event").annotate(count=Count("pk")))
        for row in rows:
            vars(row)["messages_written"] = counts.get(row.pk, 0)

    def attach_detail(self, request: HttpRequest, row: AlertEvent) -> None:
        self.attach(request, [row])
        if row.resolution == AlertEvent.Resolution.MANUAL:
            vars(row)["resolving_entry"] = resolving_entry(row)
        if may_view_executions(request):
            vars(row)["measured_then"] = measured(row)
            if row.task_id:
                vars(row)["execution_pk"] = find_pk(row.task_id)

    @admin.display(description=_("task"), ordering="task_name")
    def task_and_rule(self, row: AlertEvent) -> str:
        who = watched_by(row)
        return two_lines(row.task_name, aside(who) if who != row.task_name else "")

    @admin.display(description=_("state"))
    def state_and_verdict(self, row: AlertEvent) -> str:
        return two_lines(self.state(row), row.get_verdict_display())

    @admin.display(description=_("opened"), ordering="opened_at")
    def opened_and_lasted(self, row: AlertEvent) -> str:
        return two_lines(instant(row.opened_at), self.lasted(row))

    @admin.display(description=_("current status"))
    def found_and_checks(self, row: AlertEvent) -> str:
        count = row.failing_checks
        checks = ngettext("%d failing check", "%d failing checks", count) % count
        return two_lines(status(row.current_status), aside(checks))

    @admin.display(description=_("state"))
    def state(self, row: AlertEvent) -> str:
        if row.resolved_at is not None:
            recovered = row.resolution == AlertEvent.Resolution.RECOVERED
            text = row.get_resolution_display() or _("Resolved")
            return badge(text, Tone.GOOD if recovered else Tone.QUIET)
        if row.is_acknowledged(timezone.now()):
            return badge(_("Acknowledged"), Tone.WARN)
        if row.alert_owed:
            return format_html(
                "{} {}", badge(_("Open"), Tone.BAD), aside(_("nobody has been told"))
            )
        return badge(_("Open"), Tone.BAD)

    @admin.display(description=_("task"))
    def task(self, row: AlertEvent) -> str:
        return str(row.task_name)

    @admin.display(description=_("verdict"))
    def verdict_badge(self, row: AlertEvent) -> str:
        return badge(row.get_verdict_display(), VERDICT_TONES.get(row.verdict))

    @admin.display(description=_("current status"))
    def found(self, row: AlertEvent) -> str:
        return status(row.current_status)

    @admin.display(description=_("measured"))
    def measured(self, row: AlertEvent) -> str:
        return str(vars(row)["measured_then"])

    @admin.display(description=_("rule"))
    def watched_by(self, row: AlertEvent) -> str:
        name = watched_by(row)
        if row.rule_id is not None:
            return link(self.admin_site, MonitorRule, row.rule_id, name)
        if row.rule_name:
            return format_html("{} {}", name, aside(_("deleted")))
        return aside(name)

    @admin.display(description=_("duration"))
    def lasted(self, row: AlertEvent) -> str:
        if row.resolved_at is not None:
            return duration(row.resolved_at - row.opened_at)
        return aside(_("so far %s") % duration(timezone.now() - row.opened_at))

    @admin.display(description=_("messages"))
    def message_count(self, row: AlertEvent) -> str:
        count = vars(row).get("messages_written")
        if not count:
            return EMPTY if count is None else "0"
        return list_link(self.admin_site, Notification, str(count), alert_event=row.pk)

    @admin.display(description=_("messages"))
    def all_messages(self, row: AlertEvent) -> str:
        count = vars(row).get("messages_written")
        if not count:
            return EMPTY if count is None else "0"
        text = ngettext("%d message", "%d messages", count) % count
        return list_link(self.admin_site, Notification, text, alert_event=row.pk)

    @admin.display(description=_("execution"))
    def execution(self, row: AlertEvent) -> str:
        pk = vars(row).get("execution_pk")
        return execution_link(self.admin_site, pk, row.task_id) if pk else code(row.task_id)

    @admin.display(description=_("depends on"))
    def held_behind(self, row: AlertEvent) -> str:
        """Return the event of the task it depends on, behind which its alert was held."""
        if row.upstream is None:
            return EMPTY
        above = link(self.admin_site, AlertEvent, row.upstream.pk, str(row.upstream))
        return format_html("{} {}", above, aside(_("was failing already")))

    @admin.display(description=_("resolved by"))
    def resolved_by(self, row: AlertEvent) -> str:
        user = vars(row)["resolving_entry"].user
        return link(self.admin_site, type(user), user.pk, str(user))

    @admin.display(description=_("expected"))
    def expected(self, row: AlertEvent) -> str:
        return statuses(row.expected_statuses)

    @admin.display(description=_("lookback window"))
    def lookback(self, row: AlertEvent) -> str:
        return window(row.lookback_hours)

    @admin.display(description=_("other settings"))
    def other_settings(self, row: AlertEvent) -> str:
        return settings_then(row) or EMPTY

    @admin.display(description=_("dependent tasks"))
    def dependents(self, row: AlertEvent) -> str:
        return listed(row.dependent_tasks)
