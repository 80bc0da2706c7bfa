"""A periodic task with documented arguments turned into rules, and pointed at them."""

from __future__ import annotations

import json
from datetime import datetime

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from monitoring.core.arguments import parse_arguments
from monitoring.core.fields import shown
from monitoring.core.wording import Text as _
from monitoring.exchange.documented import is_documented, to_rows
from monitoring.exchange.resources import CheckContext, RuleResource, RuleResult
from monitoring.exchange.rows import FileError, Row
from monitoring.exchange.tables import to_dataset
from monitoring.models import AlertEvent, MonitorRule
from monitoring.periodic_tasks import TASK_NAME


def documented_rows(row: PeriodicTask) -> list[Row]:
    """Return the rules that a periodic task's arguments describe; none if they describe none.

    Raises FileError with every problem of the arguments.
    """
    if row.task != TASK_NAME:
        return []
    try:
        value = json.loads(row.args or "[]")
    except ValueError:
        return []
    return to_rows(value) if value and is_documented(value) else []


def convert(
    row: PeriodicTask, check_context: CheckContext, now: datetime, *, dry_run: bool = False
) -> RuleResult:
    """Add a rule for each entry of the arguments, and let the periodic task check these rules.

    The old arguments are kept in its description, and their open alert events are closed without a
    message: the rules open their own. All or nothing. now: aware.
    Raises FileError with every problem, a name that a rule already has among them.
    """
    with transaction.atomic():
        rows = documented_rows(row)
        names = [str(one["name"]) for one in rows]
        taken = MonitorRule.objects.filter(name__in=names).order_by("name")
        problems: list[str] = [
            _("there is already a rule named {name}", name=shown(rule.name)) for rule in taken
        ]
        if not rows:
            problems.append(_("there are no documented arguments to turn into rules"))
        if problems:
            raise FileError(*problems)
        result: RuleResult = RuleResource(check_context).import_data(
            to_dataset(rows), dry_run=dry_run
        )
        if result.problems():
            raise FileError(*result.problems())
        if not dry_run:
            _close_events(row, now)
            kept = f"Arguments before they became rules: {row.args}"
            row.description = "\n".join(text for text in (row.description, kept) if text)
            row.args, row.kwargs = "[]", json.dumps({"rules": names}, ensure_ascii=False)
            row.save()
    return result


def _close_events(row: PeriodicTask, now: datetime) -> None:
    entries = parse_arguments(json.loads(row.args), {}, row.name).entries
    AlertEvent.objects.open().filter(open_key__in=[entry.key for entry in entries]).update(
        open_key=None,
        resolved_at=now,
        resolution=AlertEvent.Resolution.RULE_RETARGETED,
        alert_owed=False,
    )
