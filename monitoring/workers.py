"""What Celery's workers say of themselves, each in its main process.

| signal         | what is done                                                                  |
|----------------|-------------------------------------------------------------------------------|
| ready          | what a worker of this name was running before this process began, is marked   |
| heartbeat sent | noted that it lives and which queues it consumes, once a minute at most       |
| shutting down  | remembered, for its last heartbeat: a signal handler must not use a database  |
| shutdown       | noted that it has ended in an orderly way, so that nobody takes it for dead   |

No handler ever raises. Without heartbeats a worker has no row, and is never missed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery import signals
from django.db import router
from django.utils import timezone

from monitoring.conf import get_settings
from monitoring.core.texts import storable
from monitoring.core.workers import limits, seen_every
from monitoring.models import BackgroundTask, WorkerHeartbeat
from monitoring.signal_facts import MAX_NAME
from monitoring.signal_handlers import connect as connect_handlers
from monitoring.signal_handlers import quiet
from monitoring.tasklogs.lost import mark_left_behind
from monitoring.tasklogs.writer import attempt

logger = logging.getLogger("monitoring.recorder")

_MOST_QUEUES = 500


class _Process:
    """What this process remembers of the workers it is the main process of."""

    began = timezone.now()
    """This module is imported before a worker can run anything."""
    said: dict[str, tuple[datetime, bool]] = {}
    """When each worker last said that it lives, and whether it was shutting down."""
    stopping: set[str] = set()
    """Workers that take no tasks any more, and may wait long for their last ones."""
    mute: set[str] = set()
    """Workers that run tasks in this very process, and have no heartbeats meanwhile."""


def connect() -> None:
    """Connect every handler; called once, when the apps are ready."""
    connect_handlers(
        {
            signals.worker_ready: on_worker_ready,
            signals.heartbeat_sent: on_heartbeat_sent,
            signals.worker_shutting_down: on_worker_shutting_down,
            signals.worker_shutdown: on_worker_shutdown,
        }
    )


@quiet
def on_worker_ready(sender: Any, **_: Any) -> None:
    node = _node(sender.hostname)
    now = timezone.now()
    if type(getattr(sender, "pool", None)).__module__ == "celery.concurrency.solo":
        _Process.mute.add(node)

    def take_over() -> None:
        mark_left_behind(node, _Process.began, now)
        mine = WorkerHeartbeat.objects.filter(node=node)
        # The heartbeats of another process say nothing of this one, which may have none.
        (mine if node in _Process.mute else mine.exclude(booted_at=_Process.began)).delete()

    _store(take_over, BackgroundTask)


@quiet
def on_heartbeat_sent(sender: Any, **_: Any) -> None:
    node = _node(sender.eventer.hostname)
    if node in _Process.mute:
        return
    now = timezone.now()
    is_stopping = node in _Process.stopping
    before, was_stopping = _Process.said.get(node, (None, False))
    settings = get_settings()
    every = seen_every(limits(settings.WORKER_SILENT_MINUTES, 0).silent)
    if before is not None and abs(now - before) < every and is_stopping == was_stopping:
        return
    # Even if it cannot be written: the next attempt is due as late as the next success.
    _Process.said[node] = (now, is_stopping)
    values = {
        "booted_at": _Process.began,
        "seen_at": now,
        "stopped_at": now if is_stopping else None,
        "queues": _queues(sender),
    }
    _store(lambda: _note_alive(node, values), WorkerHeartbeat)


@quiet
def on_worker_shutting_down(sender: Any, **_: Any) -> None:
    _Process.stopping.add(_node(sender))


@quiet
def on_worker_shutdown(sender: Any, **_: Any) -> None:
    mine = WorkerHeartbeat.objects.filter(
        node=_node(sender.hostname), booted_at=_Process.began, stopped_at__isnull=True
    )
    _store(lambda: mine.update(stopped_at=timezone.now()), WorkerHeartbeat)


def _queues(sender: Any) -> list[str] | None:
    """Return by which names a worker knows the queues that it takes tasks from at the moment.

    A message tells its routing key, which is the queue's name unless somebody set up an exchange
    of another kind. None if the worker cannot be asked: that costs no heartbeat.
    """
    try:
        names: set[str] = set()
        for name, queue in list(sender.eventer.app.amqp.queues.consume_from.items()):
            names |= {name, queue.routing_key}
            names |= {binding.routing_key for binding in queue.bindings or ()}
        told = sorted(storable(str(name), MAX_NAME) for name in names if name)
    except Exception as error:  # of Celery's inside
        logger.debug("the queues of a worker are not known: %s", error)
        return None
    return told[:_MOST_QUEUES]


def _note_alive(node: str, values: dict[str, Any]) -> None:
    if WorkerHeartbeat.objects.filter(node=node).update(**values):
        return
    WorkerHeartbeat.objects.bulk_create(
        [WorkerHeartbeat(node=node, **values)], ignore_conflicts=True
    )


def _node(hostname: object) -> str:
    return storable(str(hostname or ""), MAX_NAME)


def _store(work: Callable[[], object], model: type[Any]) -> None:
    attempt(work, router.db_for_write(model), close=True)
