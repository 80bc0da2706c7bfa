"""Filters of the list of rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.admin.base import ChoiceFilter, TypedFilter, may_view
from monitoring.admin.rule_form import CONTEXT
from monitoring.core.channels import channel_of
from monitoring.core.values import FAILING
from monitoring.models import AlertEvent, MonitorRule, RuleState
from monitoring.rule_rows import key_of_values

_ASKED_BY_KEY = 2000
"""Of more rules, all are read."""


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
        # From the open events, which have an index: those of one rule may be many, and long over.
        rules = AlertEvent.objects.open().filter(rule__isnull=False).values("rule")
        if self.lookup_choices and self.value() == "open":
            return queryset.filter(pk__in=rules)
        if self.lookup_choices and self.value() == "none":
            return queryset.exclude(pk__in=rules)
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
            return _rules_of(queryset, keys)
        if value == "never":
            return _rules_of(queryset, states.values_list("key", flat=True), are_left=True)
        return queryset


def _rules_of(
    queryset: QuerySet[MonitorRule], keys: Iterable[str], *, are_left: bool = False
) -> QuerySet[MonitorRule]:
    """Return the rules that states belong to, or all others, for one query more."""
    wanted = set(keys)
    pks = {int(key.split(":")[1]) for key in wanted}
    # As values, and a key is made only where there is one to compare with: a digest each.
    rules = MonitorRule.objects.order_by()
    if are_some := not are_left and len(pks) <= _ASKED_BY_KEY:
        rules = rules.filter(pk__in=pks)
    rows = rules.values_list("pk", "task_name", *CONTEXT)
    chosen: list[int] = []
    others: list[int] = []
    for pk, *watched in rows:
        is_one = pk in pks and key_of_values(pk, *watched) in wanted
        (others if is_one is are_left else chosen).append(pk)
    # By the fewer: each is a parameter of every statement of the page.
    if len(others) < len(chosen) and not are_some:
        return queryset.exclude(pk__in=others)
    return queryset.filter(pk__in=chosen)


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
