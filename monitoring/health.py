"""What can be seen of the monitor itself, in a constant number of queries."""

from __future__ import annotations

import logging
import urllib.request
from datetime import datetime
from http.client import HTTPException
from typing import Any

from django.db import Error
from django.db.models import Count, Min

from monitoring.conf import get_settings
from monitoring.core.health import Facts, problems
from monitoring.core.messages import iso
from monitoring.models import BackgroundTask, MonitorRule, MonitorRun, Notification, RunState
from monitoring.periodic_tasks import TASK_NAME, last_sent, longest_wait, scheduled_entries

logger = logging.getLogger("monitoring.health")

HEARTBEAT_TIMEOUT = 10
"""Seconds that an outside service may take to answer."""


def look(now: datetime) -> Facts:
    """Return what can be seen of the monitor. now: aware, UTC."""
    entries = len(scheduled_entries(now))
    complete = MonitorRun.objects.filter(state=RunState.COMPLETE)
    owed = Notification.objects.to_deliver().order_by()
    outbox = owed.aggregate(count=Count("pk"), oldest=Min("created_at"))
    # By primary key: nothing orders a large log by its last update.
    newest = BackgroundTask.objects.order_by("-pk").values_list("last_update", flat=True)
    return Facts(
        now=now,
        rules=MonitorRule.objects.filter(enabled=True).count() + entries,
        interval=longest_wait(TASK_NAME, now),
        last_check=complete.order_by("-pk").values_list("started_at", flat=True).first(),
        last_beat=last_sent(),
        oldest_owed=outbox["oldest"],
        owed=outbox["count"],
        last_recorded=newest.first() if get_settings().records else None,
    )


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
