"""Rules: the form, the list with what each rule says now, and switching many on or off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from monitoring.admin.base import MonitoringAdmin, link, list_link, may_view
from monitoring.admin.context_access import ContextRefusedError, User, require
from monitoring.admin.display import EMPTY, Tone, aside, badge, duration, instant, listed, window
from monitoring.admin.fields import ListField
from monitoring.core.fields import (
    read_addresses,
    read_context,
    read_names,
    read_statuses,
)
from monitoring.core.values import FAILING, VerdictKind
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, RuleState, TaskStatus
from monitoring.models.rule import default_expected_statuses
from monitoring.rule_rows import key_of

if TYPE_CHECKING:
    _Form = forms.ModelForm[MonitorRule]
else:  # not subscriptable at run time
    _Form = forms.ModelForm

_CONTEXT = ("context_model", "context_field", "context_type")


def _read_all_addresses(value: object) -> Sequence[str]:
    """Return addresses; a form, unlike a check, refuses the list for one that is wrong."""
    addresses, complaints = read_addresses(value)
    if complaints:
        raise ValidationError(
            [ValidationError(capfirst(text), code="not_readable") for text in complaints]
        )
    return addresses


class RuleForm(_Form):
    """One error per wrong value, at its field, in the words of the JSON arguments' errors."""

    user: User

    expected_statuses = ListField(
        name=_("Expected statuses"),
        required=True,
        initial=default_expected_statuses,
        items={"choices": list(TaskStatus.values), "widget": "multiselect"},
        read=read_statuses,
        help_text=_("Any of these is fine; everything else alerts."),
    )
    notify_to = ListField(
        name=_("Notify"),
        items={"placeholder": "team@example.com"},
        read=_read_all_addresses,
        help_text=_("E-mail addresses. None: all superusers who have one."),
    )
    dependent_tasks = ListField(
        name=_("Dependent tasks"),
        items={"placeholder": _("name of a task")},
        read=read_names,
        help_text=_("Tasks that suffer when this one fails; the mail warns of them."),
    )

    class Meta:
        model = MonitorRule
        fields = (
            "name",
            "task_name",
            "enabled",
            "expected_statuses",
            "lookback_hours",
            "max_runtime_minutes",
            "while_running",
            "notify_to",
            "description",
            "alert_after",
            "remind_hours",
            "notify_on_recovery",
            "snoozed_until",
            "dependent_tasks",
            *_CONTEXT,
        )
        labels = {
            "max_runtime_minutes": _("Longest runtime, in minutes"),
            "lookback_hours": _("Look back, in hours"),
            "alert_after": _("Alert after"),
            "remind_hours": _("Remind every, in hours"),
            "description": _("What to do"),
        }
        help_texts = {
            "name": _("Names the rule in lists, mails and commands."),
            "lookback_hours": _(
                "A little longer than the gap between two runs: 1 to 2 for an hourly task, "
                "24 to 25 for a daily one, 168 to 170 for a weekly one. 1.5 is 90 minutes."
            ),
            "max_runtime_minutes": _("Running for longer is a failure. Empty: no limit."),
            "while_running": _("What to make of an execution that has not finished."),
            "description": _("Shown in the mail; a good place for a link to a runbook."),
            "alert_after": _("Failing checks in a row before the first message."),
            "remind_hours": _("While it keeps failing. 0: at every check. Empty: never."),
            "notify_on_recovery": _("Tell those who got the alert when it is fine again."),
            "snoozed_until": _("No message goes out before then; checks go on."),
            "context_model": _("Model whose row says what an execution was for: gap.Session."),
            "context_field": _("Field of that model. Empty: its default, if it has one."),
            "context_type": _("Watch only executions whose row has this value there."),
        }
        widgets = {
            "description": forms.Textarea(attrs={"rows": 4}),
            "context_model": forms.TextInput(attrs={"class": "vTextField"}),
        }

    def _post_clean(self) -> None:
        # After the model's own clean(), which would take a refused context for half a one.
        super()._post_clean()  # type: ignore[misc]
        if set(_CONTEXT) & set(self.changed_data) and not set(_CONTEXT) & set(self.errors):
            self._check_context()

    def _check_context(self) -> None:
        """Refuse a context that the editor changes into one that is not theirs to use."""
        model, field, value = (self.cleaned_data[name] for name in _CONTEXT)
        context = read_context(model, value, field)
        if context is None:
            return
        try:
            require(context, self.user)
        except ContextRefusedError as refusal:
            self.add_error(refusal.field, str(refusal))


class AlertFilter(admin.SimpleListFilter):
    title = _("alert event")
    parameter_name = "alert"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        if not may_view(request, AlertEvent):
            return []
        return [("open", _("Open now")), ("none", _("None open"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> QuerySet[MonitorRule]:
        is_open = Exists(AlertEvent.objects.open().filter(rule=OuterRef("pk")))
        if self.lookup_choices and self.value() == "open":
            return queryset.filter(is_open)
        if self.lookup_choices and self.value() == "none":
            return queryset.exclude(is_open)
        return queryset


class SnoozeFilter(admin.SimpleListFilter):
    title = _("snoozed")
    parameter_name = "snoozed"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> QuerySet[MonitorRule]:
        if self.value() == "yes":
            return queryset.filter(snoozed_until__gt=timezone.now())
        if self.value() == "no":
            return queryset.exclude(snoozed_until__gt=timezone.now())
        return queryset


@admin.register(MonitorRule)
class RuleAdmin(MonitoringAdmin):
    form = RuleForm
    list_display = (
        "name",
        "state",
        "open_event",
        "task",
        "expected",
        "lookback",
        "enabled",
        "snoozed",
    )
    list_filter = ("enabled", AlertFilter, SnoozeFilter)
    search_fields = ("name", "task_name")
    search_help_text = _("Part of the rule's or the task's name.")
    actions = ("enable", "disable")
    fieldsets = (
        (_("What to watch"), {"fields": ("name", "task_name", "enabled")}),
        (
            _("What is expected"),
            {
                "fields": (
                    "expected_statuses",
                    "lookback_hours",
                    "max_runtime_minutes",
                    "while_running",
                )
            },
        ),
        (
            _("Whom to tell"),
            {
                "fields": (
                    "notify_to",
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
        fieldsets.append((_("Advanced"), {"fields": _CONTEXT, "classes": classes}))
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
        for row in rows:
            vars(row)["state_now"] = states.get(keys[row.pk])
            vars(row)["event_now"] = events.get(keys[row.pk])

    def attach_detail(self, request: HttpRequest, row: MonitorRule) -> None:
        self.attach(request, [row])

    @admin.display(description=_("task"), ordering="task_name")
    def task(self, row: MonitorRule) -> str:
        return str(row.task_name)

    @admin.display(description=_("state"))
    def state(self, row: MonitorRule) -> str:
        if not row.enabled:
            return badge(_("Disabled"), Tone.QUIET)
        now: RuleState | None = vars(row).get("state_now")
        if now is None or not now.verdict:
            return badge(_("Never checked"), Tone.QUIET)
        if now.verdict in FAILING:
            checks = ngettext("%d check", "%d checks", now.failing_checks) % now.failing_checks
            why = aside(f"{now.get_verdict_display()}, {checks}")
            return format_html("{} {}", badge(_("Failing"), Tone.BAD), why)
        tones = {VerdictKind.OK: Tone.GOOD, VerdictKind.IN_PROGRESS: Tone.BUSY}
        return badge(now.get_verdict_display(), tones.get(VerdictKind(now.verdict), Tone.WARN))

    @admin.display(description=_("open event"))
    def open_event(self, row: MonitorRule) -> str:
        event: AlertEvent | None = vars(row).get("event_now")
        if event is None:
            return EMPTY
        since = _("for %s") % duration(timezone.now() - event.opened_at)
        return link(self.admin_site, AlertEvent, event.pk, since)

    @admin.display(description=_("last checked"))
    def last_checked(self, row: MonitorRule) -> str:
        now: RuleState | None = vars(row).get("state_now")
        if now is None or now.last_checked_at is None:
            return EMPTY
        ago = _("%s ago") % duration(timezone.now() - now.last_checked_at)
        return format_html("{} {}", instant(now.last_checked_at), aside(ago))

    @admin.display(description=_("history"))
    def history(self, row: MonitorRule) -> str:
        return format_html(
            "{} · {}",
            list_link(self.admin_site, AlertEvent, _("Alert events"), rule=row.pk),
            list_link(self.admin_site, BackgroundTask, _("Executions"), task_name=row.task_name),
        )

    @admin.display(description=_("expected"))
    def expected(self, row: MonitorRule) -> str:
        return listed(row.expected_statuses)

    @admin.display(description=_("looks back"), ordering="lookback_hours")
    def lookback(self, row: MonitorRule) -> str:
        return window(row.lookback_hours)

    @admin.display(description=_("snoozed until"), ordering="snoozed_until")
    def snoozed(self, row: MonitorRule) -> str:
        if row.snoozed_until is None or row.snoozed_until <= timezone.now():
            return EMPTY
        return instant(row.snoozed_until)

    @admin.action(permissions=["change"], description=_("Enable selected rules"))
    def enable(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        changed = self._switch(request, queryset, on=True)
        self.message_user(
            request,
            ngettext("%d rule was enabled.", "%d rules were enabled.", changed) % changed,
            messages.SUCCESS if changed else messages.WARNING,
        )

    @admin.action(permissions=["change"], description=_("Disable selected rules"))
    def disable(self, request: HttpRequest, queryset: QuerySet[MonitorRule]) -> None:
        changed = self._switch(request, queryset, on=False)
        self.message_user(
            request,
            ngettext("%d rule was disabled.", "%d rules were disabled.", changed) % changed,
            messages.SUCCESS if changed else messages.WARNING,
        )

    def _switch(self, request: HttpRequest, queryset: QuerySet[MonitorRule], *, on: bool) -> int:
        """Set `enabled` where it is not so yet, with a log entry for each rule; count them."""
        with transaction.atomic():
            rows = list(queryset.select_for_update().exclude(enabled=on))
            pks = [row.pk for row in rows]
            MonitorRule.objects.filter(pk__in=pks).update(enabled=on, updated_at=timezone.now())
            LogEntry.objects.log_actions(
                request.user.pk or 0,
                rows,
                CHANGE,
                change_message=[{"changed": {"fields": ["Enabled"]}}],
            )
        return len(rows)
