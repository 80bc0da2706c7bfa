"""How the tasks that depend on a failing one are doing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from monitoring.core.inhibition import Upstream
from monitoring.core.messages import iso
from monitoring.core.values import FAILING, VerdictKind
from monitoring.models import (
    AlertEvent,
    Notification,
    NotificationKind,
    NotificationState,
    RuleState,
)


class Health(StrEnum):
    """The worst first: several rules may watch one task."""

    FAILING = "failing"
    UNKNOWN = "unknown"
    OK = "ok"
    NOT_WATCHED = "not_watched"


class Dependent(NamedTuple):
    health: Health
    since: datetime | None = None
    """Start of its incident; None: it has none, or not yet."""


_ORDER = list(Health)


def health_of(verdict: str) -> Health:
    """Return how a task does by the last verdict on it."""
    if verdict in {"", VerdictKind.UNKNOWN.value}:
        return Health.UNKNOWN
    return Health.FAILING if verdict in FAILING else Health.OK


def read(names: Iterable[str]) -> dict[str, Dependent]:
    """Return how tasks did at the last check of each, in two queries; unwatched ones are absent."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    found: dict[str, Dependent] = {}
    states = RuleState.objects.filter(task_name__in=wanted)
    for name, verdict in states.values_list("task_name", "verdict"):
        worst(found, name, Dependent(health_of(verdict)))
    events = AlertEvent.objects.open().filter(task_name__in=wanted).order_by("-opened_at")
    for name, opened_at in events.values_list("task_name", "opened_at"):
        found[name] = Dependent(Health.FAILING, opened_at)
    return found


def worst(found: dict[str, Dependent], name: str, seen: Dependent) -> None:
    """Keep the worse of what is known of a task and what was just seen."""
    before = found.get(name)
    if before is None or _ORDER.index(seen.health) < _ORDER.index(before.health):
        found[name] = seen


def as_facts(names: Iterable[str], found: dict[str, Dependent]) -> list[dict[str, Any]]:
    """Return what a message says of each dependent task, as JSON values."""
    unwatched = Dependent(Health.NOT_WATCHED)
    rows = [(name, found.get(name, unwatched)) for name in names]
    return [
        {
            "task_name": name,
            "state": dependent.health.value,
            "since": iso(dependent.since),
        }
        for name, dependent in rows
    ]


def read_upstreams() -> list[Upstream]:
    """Return the open events of tasks that others depend on, in two queries."""
    rows = AlertEvent.objects.open()
    columns = ("pk", "task_name", "dependent_tasks", "opened_at")
    events = [row for row in rows.values_list(*columns) if row[2]]
    events.sort(key=lambda row: (row[3], row[0]), reverse=True)
    told = set(
        Notification.objects.filter(
            alert_event__in=[row[0] for row in events],
            kind=NotificationKind.ALERT,
            state=NotificationState.SENT,
        ).values_list("alert_event", flat=True)
    )
    return [
        Upstream(
            event_id=pk,
            task_name=task_name,
            dependents=frozenset(dependents),
            has_told=pk in told,
            since=opened_at,
        )
        for pk, task_name, dependents, opened_at in events
    ]
