"""Filters of the list of rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.admin.base import ChoiceFilter, TypedFilter, may_view
from monitoring.admin.rule_form import CONTEXT
from monitoring.core.channels import channel_of
from monitoring.core.values import FAILING
from monitoring.models import AlertEvent, MonitorRule, RuleState
from monitoring.rule_rows import key_of


class AlertFilter(ChoiceFilter):
    title = _("alert event")
    parameter_name = "alert"
    fixed_choices = (("open", _("Open now")), ("none", _("None open")))

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        return super().lookups(request, model_admin) if may_view(request, AlertEvent) else []

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> QuerySet[MonitorRule]:
        is_open = Exists(AlertEvent.objects.open().filter(rule=OuterRef("pk")))
        if self.lookup_choices and self.value() == "open":
            return queryset.filter(is_open)
        if self.lookup_choices and self.value() == "none":
            return queryset.exclude(is_open)
        return queryset


class SnoozeFilter(ChoiceFilter):
    title = _("snoozed")
    parameter_name = "snoozed"
    fixed_choices = (("yes", _("Yes")), ("no", _("No")))

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> QuerySet[MonitorRule]:
        if self.value() == "yes":
            return queryset.filter(snoozed_until__gt=timezone.now())
        if self.value() == "no":
            return queryset.exclude(snoozed_until__gt=timezone.now())
        return queryset


class LimitFilter(ChoiceFilter):
    """By what a rule limits beside the status of the latest execution."""

    title = _("limit")
    parameter_name = "limit"
    fixed_choices = (
        ("runtime", _("Longest runtime")),
        ("duration", _("Times the usual duration")),
        ("success", _("Success rate")),
        ("none", _("No limit")),
    )
    fields: Mapping[str | None, str] = {
        "runtime": "max_runtime_minutes",
        "duration": "max_duration_factor",
        "success": "min_success_rate",
    }

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> QuerySet[MonitorRule]:
        field = self.fields.get(self.value())
        if field is not None:
            return queryset.filter(**{f"{field}__isnull": False})
        if self.value() == "none":
            return queryset.filter(**{f"{name}__isnull": True for name in self.fields.values()})
        return queryset


class VerdictFilter(ChoiceFilter):
    """By what the last check found. A rule that was pointed elsewhere since was never checked."""

    title = _("state")
    parameter_name = "state"
    fixed_choices = (
        ("ok", _("OK")),
        ("failing", _("Failing")),
        ("in_progress", _("In progress")),
        ("unknown", _("Unknown")),
        ("never", _("Never checked")),
    )

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> QuerySet[MonitorRule]:
        value = self.value()
        verdicts: dict[str | None, list[str]] = {
            "ok": ["ok"],
            "in_progress": ["in_progress"],
            "unknown": ["unknown"],
            "failing": [kind.value for kind in FAILING],
        }
        states = RuleState.objects.filter(key__startswith="rule:").exclude(verdict="")
        if value in verdicts:
            keys = states.filter(verdict__in=verdicts[value]).values_list("key", flat=True)
            return queryset.filter(pk__in=_rules_of(keys))
        if value == "never":
            return queryset.exclude(pk__in=_rules_of(states.values_list("key", flat=True)))
        return queryset


def _rules_of(keys: Iterable[str]) -> list[int]:
    """Return the rules that states belong to, for one query however many they are."""
    wanted = set(keys)
    rows = MonitorRule.objects.only("task_name", *CONTEXT).order_by()
    return [row.pk for row in rows if key_of(row) in wanted]


class RecipientFilter(TypedFilter):
    """By an address or a channel that the rule names, written in full."""

    title = _("recipient")
    parameter_name = "recipient"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MonitorRule]
    ) -> QuerySet[MonitorRule]:
        value = self.value()
        if not value:
            return queryset
        # Databases differ in how they search a list, and in what becomes of an "ö" in there.
        if channel_of(value):
            rows = queryset.exclude(channels=[]).values_list("pk", "channels")
        else:
            rows = queryset.filter(notify_to__icontains=value).values_list("pk", "notify_to")
        exact = [pk for pk, told in rows if isinstance(told, list) and value in told]
        return queryset.filter(pk__in=exact)
