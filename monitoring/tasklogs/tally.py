"""How many executions of each status the log holds of late."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import reduce
from operator import or_

from django.db.models import Q

from monitoring.core.statuses import Status
from monitoring.tasklogs.base import TaskLog, UnknownStatusError


def recent_statuses(log: TaskLog, since: datetime, most: int) -> dict[Status, int] | None:
    """Count the executions that anything happened to since then, in two queries.

    Looks at the newest `most` rows only, by primary key: nothing orders a large log by time.
    None: the primary keys of this log do not count up. Rows whose status stands for none of the
    seven are left out; the verdicts of their rules say so.
    """
    if not log.counts_up:
        return None
    rows = log.rows().order_by("-pk")
    for pk in rows.values_list("pk", flat=True)[most : most + 1]:
        rows = rows.filter(pk__gt=pk)
    is_recent = reduce(or_, (Q(**{f"{name}__gte": since}) for name in log.times))
    stored = rows.filter(is_recent).order_by().values_list(log.fields["status"], flat=True)
    found: dict[Status, int] = {}
    # Counted here: to group them, SQLite would walk an index over the whole log.
    for text, count in Counter(stored).items():
        try:
            status = log.status_of(text)
        except UnknownStatusError:
            continue
        found[status] = found.get(status, 0) + count
    return found
