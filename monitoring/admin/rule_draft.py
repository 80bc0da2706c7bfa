"""A rule as somebody types it: read by the form itself, judged by nobody else, never stored."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from monitoring.admin.base import MonitoringAdmin
from monitoring.models import MonitorRule

_NOT_JUDGED = frozenset({"name", "description", "snoozed_until", "enabled"})
"""Fields whose errors do not keep a rule from being previewed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What was typed."""

    form: Any
    row: MonitorRule
    """The rule as it would be stored; only to be used if there are no errors."""
    stored: MonitorRule | None
    """The rule as it is; None for a new one."""

    @property
    def errors(self) -> list[str]:
        fields = self.form.fields
        return [
            f"{fields[name].label or name}: {text}" if name in fields else str(text)
            for name, errors in self.form.errors.items()
            if name not in _NOT_JUDGED
            for text in errors
        ]


class RuleDraft(MonitoringAdmin):
    """Reads drafts for those who may store them."""

    def may_write(self, request: HttpRequest, row: MonitorRule | None) -> bool:
        if row is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, row)

    def draft(self, request: HttpRequest, typed: Mapping[str, Any], pk: str) -> Draft:
        """Return what was typed about a stored rule, or about a new one if `pk` is empty.

        The form checks it as for saving, so that nobody learns anything from a context model that
        is not theirs to use.
        Raises PermissionDenied if there is no such rule or the user may not save it.
        """
        row = self.get_object(request, pk) if pk else None
        if (pk and row is None) or not self.may_write(request, row):
            raise PermissionDenied
        stored = copy(row)
        form = self.get_form(request, row, change=row is not None)(typed, instance=row)
        form.is_valid()
        return Draft(form=form, row=form.instance, stored=stored)
