"""A periodic task with documented arguments turned into rules, and pointed at them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from monitoring.core.arguments import parse_arguments
from monitoring.core.fields import MAX_NAME_LENGTH
from monitoring.core.names import free_name
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
    A name that a rule has already gets a number. Raises FileError with every problem.
    """
    with transaction.atomic():
        rows = _with_free_names(documented_rows(row))
        names = [str(one["name"]) for one in rows]
        if not rows:
            raise FileError(_("there are no documented arguments to turn into rules"))
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


def _with_free_names(rows: Sequence[Row]) -> list[Row]:
    """Give each rule a name that none has, and that says for which entry it is."""
    taken = set(MonitorRule.objects.values_list("name", flat=True))
    named = []
    for row in rows:
        name = free_name(str(row["name"]), taken, MAX_NAME_LENGTH)
        taken.add(name)
        named.append({**row, "name": name})
    return named


def _close_events(row: PeriodicTask, now: datetime) -> None:
    entries = parse_arguments(json.loads(row.args), {}, row.name).entries
    AlertEvent.objects.open().filter(open_key__in=[entry.key for entry in entries]).update(
        open_key=None,
        resolved_at=now,
        resolution=AlertEvent.Resolution.RULE_RETARGETED,
        alert_owed=False,
    )
