"""Celery signals to the task log.

| signal                          | sent by          | status                             |
|---------------------------------|------------------|------------------------------------|
| published                       | the sender       | Pending                            |
| received                        | worker, main     | Queued                             |
| prerun                          | worker, child    | Running                            |
| success, ignored                | worker, child    | Completed                          |
| failure, soft limit, rejected   | worker, child    | Stopped                            |
| hard limit, lost child          | worker, main     | Stopped                            |
| unknown task                    | worker, main     | Stopped                            |
| revoked, expired, terminated    | worker, main     | Cancelled                          |
| retry, rejected to run again    | worker, child    | Invalidated                        |

No handler ever raises. What a signal changes in a row is decided in `core/lifecycle.py`.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from celery import signals, states
from django.utils import timezone

from monitoring.conf import get_settings
from monitoring.core.lifecycle import Record, position, recorded_status
from monitoring.core.statuses import Status
from monitoring.core.texts import storable
from monitoring.signal_facts import MAX_NAME, described, failure, message_facts, queue_of
from monitoring.signal_handlers import connect as connect_handlers
from monitoring.signal_handlers import quiet
from monitoring.tasklogs.writer import write

# What the start of each task that runs in this process has told. Its end tells it again: a database
# that was away for the start, or that crashed after it, then still knows of it.
_begun: weakref.WeakKeyDictionary[Any, Mapping[str, Any]] = weakref.WeakKeyDictionary()
# Requests the worker's main process has taken and not yet dropped: the signals it sends for a
# hard limit or a rejection do not say which attempt they are about.
_received: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def connect() -> None:
    """Connect every handler; called once, when the apps are ready."""
    connect_handlers(
        {
            signals.after_task_publish: on_publish,
            signals.task_received: on_received,
            signals.task_prerun: on_prerun,
            signals.task_success: on_success,
            signals.task_failure: on_failure,
            signals.task_retry: on_retry,
            signals.task_revoked: on_revoked,
            signals.task_unknown: on_unknown,
            signals.task_postrun: on_postrun,
        }
    )


def is_ignored(task_name: str) -> bool:
    """Say whether executions of a task are left out of the log."""
    return any(fnmatchcase(task_name, pattern) for pattern in get_settings().IGNORE_TASKS)


@quiet
def on_publish(
    sender: str, headers: Mapping[str, Any], body: Any, routing_key: str = "", **_: Any
) -> None:
    if not get_settings().RECORD_PUBLISH or is_ignored(sender):
        return
    is_first_protocol = "id" not in headers
    facts: Mapping[str, Any] = body if is_first_protocol else headers
    args, kwargs = (body.get("args", ()), body.get("kwargs", {})) if is_first_protocol else body[:2]
    now = timezone.now()
    _record(
        str(facts["id"]),
        sender,
        Status.PENDING,
        now,
        facts,
        submitted_at=None if facts.get("retries") else now,
        queue=routing_key or "",
        **described(sender, facts, args, kwargs),
    )


@quiet
def on_received(request: Any, **_: Any) -> None:
    _received[request.id] = request
    if not get_settings().RECORD_RECEIVED or is_ignored(request.name):
        return
    _record(
        request.id,
        request.name,
        Status.QUEUED,
        timezone.now(),
        message_facts(request),
        close=True,
        queue=queue_of(message_facts(request)),
        worker=request.hostname or "",
    )


@quiet
def on_prerun(
    task_id: str, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], **_: Any
) -> None:
    if is_ignored(task.name):
        return
    facts = message_facts(task.request)
    now = timezone.now()
    told = {
        "submitted_at": now if facts.get("is_eager") else None,
        "started_at": now,
        "first_started_at": now,
        "queue": queue_of(facts),
        "worker": str(facts.get("hostname") or ""),
        **described(task.name, facts, args, kwargs),
    }
    _begun[task.request] = told
    _record(task_id, task.name, Status.RUNNING, now, facts, **told)


@quiet
def on_success(sender: Any, **_: Any) -> None:
    request = sender.request
    _finish(
        request.id, sender.name, Status.COMPLETED, message_facts(request), **_told_before(request)
    )


@quiet
def on_failure(
    sender: Any, task_id: str, exception: BaseException, einfo: Any = None, **_: Any
) -> None:
    # The worker's main process reports hard limits and rejections without a current request.
    in_task = sender.request.id == task_id
    request = sender.request if in_task else _received.get(task_id)
    is_ours = not (in_task and sender.request.is_eager) and task_id in _received
    _finish(
        task_id,
        sender.name,
        Status.STOPPED,
        message_facts(request),
        close=is_ours,
        **_told_before(request),
        **failure(exception, einfo),
    )


@quiet
def on_retry(sender: Any, request: Any, reason: Any = None, einfo: Any = None, **_: Any) -> None:
    if is_ignored(sender.name):
        return
    # Without a traceback the worker gave the message back unfinished, as when it lost its broker:
    # the same message will come again, with the same count of retries.
    same_message = einfo is None
    error = getattr(reason, "exc", None) or reason
    _record(
        request.id,
        sender.name,
        Status.INVALIDATED,
        timezone.now(),
        message_facts(request),
        same_message=same_message,
        **_told_before(request),
        **failure(error, einfo),
    )


@quiet
def on_revoked(
    sender: Any, request: Any, terminated: bool = False, expired: bool = False, **_: Any
) -> None:
    why = "expired" if expired else "terminated" if terminated else "revoked"
    _finish(
        request.id, sender.name, Status.CANCELLED, message_facts(request), close=True, errors=why
    )


@quiet
def on_unknown(name: str, message: Any, sender: Any = None, **signal: Any) -> None:
    hostname = str(getattr(sender, "hostname", "") or "")
    error = f"NotRegistered: the worker {hostname} knows no task named {name}"
    facts = dict(getattr(message, "headers", None) or {})
    _finish(signal["id"], name, Status.STOPPED, facts, close=True, errors=error, worker=hostname)


@quiet
def on_postrun(
    task_id: str, task: Any, retval: Any = None, state: str | None = None, **_: Any
) -> None:
    """Close the executions that end without a signal of their own: ignored and rejected ones."""
    if state not in {states.IGNORED, states.REJECTED}:
        return
    facts, told = message_facts(task.request), _told_before(task.request)
    if state == states.IGNORED:
        _finish(task_id, task.name, Status.COMPLETED, facts, **told)
    elif not getattr(retval, "requeue", False):
        _finish(task_id, task.name, Status.STOPPED, facts, **told, **failure(retval, None))
    elif not is_ignored(task.name):
        _record(
            task_id,
            task.name,
            Status.INVALIDATED,
            timezone.now(),
            facts,
            same_message=True,
            **told,
            **failure(retval, None),
        )


def _told_before(request: Any) -> Mapping[str, Any]:
    return _begun.get(request, {}) if request is not None else {}


def _finish(
    task_id: str,
    task_name: str,
    status: Status,
    facts: Mapping[str, Any],
    *,
    close: bool = False,
    **columns: Any,
) -> None:
    if is_ignored(task_name):
        return
    now = timezone.now()
    _record(task_id, task_name, status, now, facts, close=close, finished_at=now, **columns)


def _record(
    task_id: str,
    task_name: str,
    status: Status,
    now: datetime,
    facts: Mapping[str, Any],
    *,
    close: bool = False,
    same_message: bool = False,
    **columns: Any,
) -> None:
    retries = facts.get("retries")
    attempt = retries if isinstance(retries, int) else 0
    delivery = facts.get("delivery_info") or {}
    place = position(
        status,
        attempt,
        redelivered=bool(delivery.get("redelivered")),
        same_message=same_message,
    )
    for name in ("queue", "worker"):
        columns[name] = storable(columns.get(name, ""), MAX_NAME)
    record = Record(
        task_id=storable(task_id, MAX_NAME),
        task_name=storable(task_name, MAX_NAME),
        status=recorded_status(status, attempt),
        position=place,
        last_update=now,
        **columns,
    )
    write(record, close=close)
