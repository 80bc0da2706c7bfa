"""What the page of an alert event says beside its own columns."""

from __future__ import annotations

from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from monitoring.admin.display import listed
from monitoring.admin.rule_form import RuleForm
from monitoring.core.values import MEASURED
from monitoring.models import (
    AlertEvent,
    Notification,
    NotificationKind,
    WhileRunningChoices,
)


def settings_then(row: AlertEvent) -> str:
    """Return what else the rule said, in the words of the form; empty ones are left out."""
    said = row.rule_settings if isinstance(row.rule_settings, dict) else {}
    labels = {name: field.label for name, field in RuleForm.base_fields.items()}
    lines = (
        (labels[name], _spelt(value))
        for name, value in said.items()
        if name in labels and value not in ("", [], None)
    )
    return format_html_join("", "<div>{}: {}</div>", lines)


def _spelt(value: object) -> str:
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if value in WhileRunningChoices.values:
        return str(WhileRunningChoices(value).label)
    return listed(value) if isinstance(value, list) else str(value)


def measured(row: AlertEvent) -> str:
    """Return what was measured and the limit, as the newest message that says so has it.

    One query, if anything was measured. Empty: no message says it.
    """
    if row.verdict not in MEASURED:
        return ""
    told = Notification.objects.filter(alert_event=row).exclude(kind=NotificationKind.RECOVERY)
    facts = told.order_by("-pk").values_list("facts", flat=True).first()
    if not isinstance(facts, dict) or facts.get("verdict") != row.verdict:
        return ""
    return str(facts.get("measured", ""))
