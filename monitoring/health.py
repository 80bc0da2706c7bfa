"""What can be seen of the monitor itself, in a constant number of queries."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from http.client import HTTPException
from typing import Any

from django.db import Error
from django.db.models import Count, Max, Min, Q, QuerySet
from django_celery_beat.models import PeriodicTask

from monitoring.conf import get_settings
from monitoring.core.arguments import ALL_RULES, check_name
from monitoring.core.gaps import SAME_CHECK
from monitoring.core.health import Facts, RegularCheck, limit, problems
from monitoring.core.messages import iso
from monitoring.models import BackgroundTask, MonitorRule, MonitorRun, Notification, RunState
from monitoring.periodic_tasks import (
    Scheduled,
    awaited_since,
    last_sent,
    longest_check_wait,
    scheduled,
)

logger = logging.getLogger("monitoring.health")

HEARTBEAT_TIMEOUT = 10
"""Seconds that an outside service may take to answer."""


def look(now: datetime) -> Facts:
    """Return what can be seen of the monitor. now: aware, UTC."""
    tasks = scheduled(now)
    rules = MonitorRule.objects.filter(enabled=True).count()
    asked = _regularly_asked(tasks, rules > 0)
    checks = _regular_checks(asked, now)
    # Not `to_deliver`: SQLite would first look for what is in no digest, nearly everything.
    own_mail = Q(digest__isnull=True)
    outbox = Notification.objects.owed().aggregate(
        count=Count("pk", filter=own_mail), oldest=Min("created_at", filter=own_mail)
    )
    # By primary key: nothing orders a large log by its last update.
    newest = BackgroundTask.objects.order_by("-pk").values_list("last_update", flat=True)
    return Facts(
        now=now,
        rules=rules + sum(len(task.arguments.entries) for task in tasks),
        checks=[check for check in checks if check.name in asked],
        last_check=_last_of([check for check in checks if check.name in _leading(asked)]),
        last_beat=last_sent(),
        oldest_owed=outbox["oldest"],
        owed=outbox["count"],
        last_recorded=newest.first() if get_settings().records else None,
    )


def last_run(now: datetime) -> MonitorRun | None:
    """Return the newest check of all rules, or of what is checked instead, however it ended."""
    asked = _regularly_asked(scheduled(now), MonitorRule.objects.filter(enabled=True).exists())
    return MonitorRun.objects.filter(rule_set__in=_leading(asked)).order_by("-pk").first()


def _regularly_asked(
    tasks: Sequence[Scheduled], has_rules: bool
) -> dict[str, Sequence[PeriodicTask]]:
    """Return the checks that have to come again and again, by name, with what asks for them.

    While there are rules, somebody has to ask for all of them, be it cron, unless periodic tasks
    ask for some by name.
    """
    asked: dict[str, Sequence[PeriodicTask]] = {}
    has_selection = False
    for task in tasks:
        wanted = task.arguments
        selects = bool(wanted.rule_names or wanted.task_names)
        if wanted.entries or (has_rules and (wanted.all_rules or selects)):
            name = check_name(wanted, task.name)
            asked[name] = [*asked.get(name, ()), task.row]
            has_selection |= selects
    if has_rules and not has_selection:
        asked.setdefault(ALL_RULES, ())
    return asked


def _leading(asked: Collection[str]) -> list[str]:
    """Return the names of the checks that stand for all; others have rhythms of their own."""
    return [ALL_RULES] if ALL_RULES in asked or not asked else list(asked)


def _regular_checks(
    asked: Mapping[str, Sequence[PeriodicTask]], now: datetime
) -> list[RegularCheck]:
    """Return what can be seen of these checks, or else of that of all rules, in two queries."""
    checks = [
        RegularCheck(
            name=name,
            interval=longest_check_wait(rows, now),
            awaited_since=_awaited_since(rows),
        )
        for name, rows in (asked or {ALL_RULES: ()}).items()
    ]
    newest = _newest_of([one.name for one in checks], now - max(map(limit, checks)), now)
    return [replace(check, last=newest.get(check.name)) for check in checks]


def _last_of(checks: Sequence[RegularCheck]) -> datetime | None:
    return max((check.last for check in checks if check.last is not None), default=None)


def _awaited_since(rows: Sequence[PeriodicTask]) -> datetime | None:
    """Return since when none of what asks for a check has been sent; None: one has."""
    since = [awaited_since(row) for row in rows]
    return min((at for at in since if at is not None), default=None) if None not in since else None


def _newest_of(names: Collection[str], since: datetime, now: datetime) -> dict[str, datetime]:
    """Return when the newest complete check of each name began, in at most two queries.

    since: what began later is found fast; it is all there is while nothing is late.
    """
    # Not what a clock that was ahead has written: that must not hide that checks are missing.
    complete = MonitorRun.objects.filter(state=RunState.COMPLETE, started_at__lt=now + SAME_CHECK)
    found = _newest(complete.filter(started_at__gte=since), names)
    missing = [name for name in names if name not in found]
    return found | _newest(complete, missing) if missing else found


def _newest(runs: QuerySet[MonitorRun], names: Collection[str]) -> dict[str, datetime]:
    # One column each: how names are compared is the database's business.
    columns = {f"check_{number}": name for number, name in enumerate(names)}
    newest = runs.filter(rule_set__in=names).aggregate(
        **{column: Max("started_at", filter=Q(rule_set=name)) for column, name in columns.items()}
    )
    return {name: newest[column] for column, name in columns.items() if newest[column]}


def as_dict(facts: Facts) -> dict[str, Any]:
    """Return the state of the monitor as plain JSON values."""
    found = problems(facts)
    return {
        "status": "failing" if found else "ok",
        "checked_at": facts.now.isoformat(),
        "problems": [{"name": one.name, "text": one.text} for one in found],
        "rules": facts.rules,
        "last_complete_check": iso(facts.last_check),
        "last_beat": iso(facts.last_beat),
        "last_recorded": iso(facts.last_recorded),
        "owed": facts.owed,
        "oldest_owed": iso(facts.oldest_owed),
    }


def send_heartbeat(now: datetime) -> bool:
    """Call MONITORING["HEARTBEAT_URL"] if all is well and nothing is owed; return True if taken.

    Never raises: whoever watches from outside notices that nothing came.
    """
    address = get_settings().HEARTBEAT_URL
    if not address:
        return False
    try:
        facts = look(now)
    except Error as error:
        logger.warning("no heartbeat is sent: the database does not answer: %s", error)
        return False
    if facts.owed:
        return False  # the delivery that sends the last of it will call
    if found := problems(facts):
        logger.warning("no heartbeat is sent: %s", "; ".join(one.text for one in found))
        return False
    try:
        request = urllib.request.Request(address, method="GET")  # noqa: S310 - https only, see conf
        with urllib.request.urlopen(request, timeout=HEARTBEAT_TIMEOUT):  # noqa: S310
            pass
    except (OSError, ValueError, HTTPException) as error:
        # Not the address itself: it is a secret of whoever may keep us alive.
        logger.warning("the heartbeat was not taken: %s", type(error).__name__)
        return False
    return True
