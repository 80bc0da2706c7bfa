"""What the task log tells of why a task fails, beside the evidence that it does.

Each function is one or two queries, however many tasks are asked about. What waits in which queue
stands in our own log only; the others are read from whichever log there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, F, Window
from django.db.models.functions import RowNumber

from monitoring.core.causes.facts import Message, Past, past_of
from monitoring.core.messages import MAX_ERROR_LENGTH
from monitoring.core.statuses import NOT_STARTED, Status
from monitoring.core.values import Execution
from monitoring.models import BackgroundTask
from monitoring.tasklogs.background_task import OWN
from monitoring.tasklogs.evidence import describe
from monitoring.tasklogs.history import recent
from monitoring.tasklogs.reading import executions, newest_of
from monitoring.tasklogs.seek import newest
from monitoring.tasklogs.source import task_log

MOST_PASTS = 100
"""Tasks whose past is read at once: more than a digest lists, and the event says it again."""
PAST = 20
"""Executions of each."""
_LATEST = 1000
"""Newest rows of the log among which the last message of beat is looked for."""
_COLUMNS = (
    *("task_name", "context_id", "status", "submitted_at", "finished_at", "queue", "worker"),
    *("errors", "periodic_task_name"),
)


class Unstarted(NamedTuple):
    """A message, and the context it is for."""

    message: Message
    context_id: str


def unstarted(names: Collection[str], since: datetime) -> dict[str, Unstarted]:
    """Return the newest message of each task that has not led to a run, by task name.

    since: messages before that are left out, and are not counted as ahead of others.
    """
    found = _ended(names)
    for name, waiting in _waiting(since).items():
        ended = found.get(name)
        if name in names and (ended is None or _is_newer(waiting.message, ended.message)):
            found[name] = waiting
    return found


def _is_newer(one: Message, other: Message) -> bool:
    at, other_at = one.submitted_at or one.at, other.submitted_at or other.at
    return at is not None and (other_at is None or at >= other_at)


def _waiting(since: datetime) -> dict[str, Unstarted]:
    """Return the newest waiting message of every task, with how many wait before it."""
    rows = BackgroundTask.objects.filter(
        status__in=[status.value for status in NOT_STARTED], submitted_at__gte=since
    ).annotate(
        # Django filters by columns before it counts, so a name must not be asked for here.
        place=Window(RowNumber(), partition_by="queue", order_by=("submitted_at", "pk")),
        age=Window(
            RowNumber(), partition_by="task_name", order_by=(F("submitted_at").desc(), "-pk")
        ),
    )
    read = rows.filter(age=1).order_by().values_list("place", *_COLUMNS)
    return {name: _unstarted(values, ahead=place - 1) for place, name, *values in read}


def _ended(names: Collection[str]) -> dict[str, Unstarted]:
    """Return the newest message of each task that came to its end before it could run."""
    rows = OWN.rows().filter(
        OWN.has_status({Status.STOPPED, Status.CANCELLED}), started_at__isnull=True
    )
    pks = [row[0] for row in newest(OWN, rows, names)]
    if not pks:
        return {}
    read = BackgroundTask.objects.filter(pk__in=pks).values_list(*_COLUMNS)
    return {name: _unstarted(values) for name, *values in read}


def _unstarted(values: Sequence[Any], ahead: int = 0) -> Unstarted:
    context_id, status, submitted_at, ended_at, queue, worker, error, sender = values
    message = Message(
        status=OWN.status_of(status),
        submitted_at=submitted_at,
        ended_at=ended_at,
        queue=queue,
        worker=worker,
        error=error[:MAX_ERROR_LENGTH],
        sender=sender,
        ahead=ahead,
    )
    return Unstarted(message, context_id)


def running_by_queue(queues: Collection[str]) -> dict[str, int]:
    """Return how many executions of each of these queues run."""
    rows = BackgroundTask.objects.filter(status=Status.RUNNING.value, queue__in=list(queues))
    return dict(rows.order_by().values_list("queue").annotate(Count("pk")))


def senders(pks: Collection[int | str]) -> dict[Any, str]:
    """Return by which periodic task executions were sent; an empty text: by none."""
    rows = BackgroundTask.objects.filter(pk__in=list(pks))
    return dict(rows.values_list("pk", "periodic_task_name"))


def last_sent_by_beat() -> datetime | None:
    """Return when the newest message of a periodic task was sent, among the newest of the log."""
    # The newest by primary key: no index finds them by who has sent them.
    rows = BackgroundTask.objects.order_by("-pk").values_list("periodic_task_name", "submitted_at")
    return max((at for name, at in rows[:_LATEST] if name and at is not None), default=None)


def ran(names: Collection[str], now: datetime) -> dict[str, tuple[str, Execution]]:
    """Return (context id, execution) of the newest run of each task, whatever its context."""
    log = task_log()
    found = newest_of(log, log.started_rows(now), names).executions
    if not found or not log.context_fields:
        return {}
    rows = log.rows().filter(pk__in=[one.pk for one in found.values()])
    return {one.task_name: (context, one) for context, one in executions(log, rows, {})}


def pasts(found: Sequence[Execution]) -> dict[Any, Past]:
    """Return how the tasks of executions have fared before, by primary key of the execution.

    Only of the first hundred; a cause does without.
    """
    chosen: dict[str, Execution] = {}
    for one in found:
        if len(chosen) < MOST_PASTS:
            chosen.setdefault(one.task_name, one)
    before = recent(chosen, PAST)
    failures = _with_errors(chosen, before)
    return {
        one.pk: past_of(one, [failures.get(other.pk, other) for other in before[name]], PAST)
        for name, one in chosen.items()
    }


def _with_errors(
    chosen: Mapping[str, Execution], before: Mapping[str, Iterable[Execution]]
) -> dict[Any, Execution]:
    return describe(
        other
        for name, one in chosen.items()
        if one.error
        for other in before[name]
        if other.status is one.status
    )
