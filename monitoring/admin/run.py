"""Checks: what each pass over the rules found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from monitoring.admin.base import HistoryAdmin, list_link, moment
from monitoring.admin.display import (
    EMPTY,
    RUN_TONES,
    aside,
    badge,
    duration,
    excerpt,
    instant,
    preformatted,
    two_lines,
)
from monitoring.models import MonitorRun, Notification

_ASKED_WHOLE: Mapping[str, Any] = {
    "all rules": _("all rules"),
    "JSON arguments": _("JSON arguments"),
}
_ASKED = (
    ("JSON arguments of ", _("JSON arguments of %(what)s")),
    ("rules with name ", _("rules named %(what)s")),
    ("rules with task_name ", _("rules for %(what)s")),
)

_FOUND: Mapping[str, Any] = {
    "failing": _("failing"),
    "unknown": _("unknown"),
    "in_progress": _("in progress"),
    "ok": _("ok"),
}


@admin.register(MonitorRun)
class RunAdmin(HistoryAdmin):
    started = moment("started_at", _("started"))
    finished = moment("finished_at", _("finished"))
    gap = moment("not_checked_from", _("not checked since"))

    list_display = (
        "started_and_took",
        "state_and_error",
        "asked",
        "checked_and_found",
        "messages",
    )
    # By date through a filter: a date hierarchy computes the day of every row of the table.
    list_filter = ("state", "started_at")
    search_fields = ("rule_set",)
    search_help_text = _("Among the newest 10,000: part of what was asked to be checked.")
    sortable_by = ("started_and_took",)

    def get_fieldsets(self, request: HttpRequest, obj: MonitorRun | None = None) -> Any:
        what: list[Any] = [("asked", "state_badge"), ("started", "finished"), "took"]
        wrong = ["problems"]
        if obj is not None and obj.not_checked_from:
            wrong.insert(0, "gap")
        found = (("checked", "ok"), ("failing", "unknown"), ("in_progress", "all_messages"))
        return (
            (_("What was checked"), {"fields": what}),
            (_("What it found"), {"fields": found}),
            (_("What went wrong"), {"fields": wrong}),
        )

    @admin.display(description=_("started"), ordering="started_at")
    def started_and_took(self, row: MonitorRun) -> str:
        return two_lines(instant(row.started_at), self.took(row) if row.finished_at else "")

    @admin.display(description=_("state"))
    def state_and_error(self, row: MonitorRun) -> str:
        return two_lines(self.state_badge(row), aside(excerpt(row.error)) if row.error else "")

    @admin.display(description=_("checked"))
    def checked_and_found(self, row: MonitorRun) -> str:
        counts = [
            f"{label} {count}" for name, label in _FOUND.items() if (count := getattr(row, name))
        ]
        return two_lines(str(row.checked), aside(", ".join(counts)) if counts else "")

    @admin.display(description=_("rule set"))
    def asked(self, row: MonitorRun) -> str:
        """Return what was asked for; the record keeps it in English."""
        for beginning, text in _ASKED:
            if row.rule_set.startswith(beginning):
                return str(text % {"what": row.rule_set.removeprefix(beginning)})
        return str(_ASKED_WHOLE.get(row.rule_set, row.rule_set))

    @admin.display(description=_("messages"))
    def all_messages(self, row: MonitorRun) -> str:
        if not row.messages:
            return "0"
        return list_link(self.admin_site, Notification, str(row.messages), run=row.pk)

    @admin.display(description=_("state"))
    def state_badge(self, row: MonitorRun) -> str:
        return badge(row.get_state_display(), RUN_TONES.get(row.state))

    @admin.display(description=_("duration"))
    def took(self, row: MonitorRun) -> str:
        return duration(row.finished_at - row.started_at) if row.finished_at else EMPTY

    @admin.display(description=_("errors"))
    def problems(self, row: MonitorRun) -> str:
        return preformatted(row.error)
