"""What Celery's workers say of themselves, each in its main process.

| signal         | what is done                                                                  |
|----------------|-------------------------------------------------------------------------------|
| ready          | what a worker of this name was running before this process began, is marked   |
| heartbeat sent | noted that it lives, once a minute at most                                    |
| shutting down  | remembered, for its last heartbeat: a signal handler must not use a database  |
| shutdown       | noted that it has ended in an orderly way, so that nobody takes it for dead   |

No handler ever raises. Without heartbeats a worker has no row, and is never missed.
"""

from __future__ import annotations

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
    _store(lambda: _note_alive(node, now, now if is_stopping else None), WorkerHeartbeat)


@quiet
def on_worker_shutting_down(sender: Any, **_: Any) -> None:
    _Process.stopping.add(_node(sender))


@quiet
def on_worker_shutdown(sender: Any, **_: Any) -> None:
    mine = WorkerHeartbeat.objects.filter(
        node=_node(sender.hostname), booted_at=_Process.began, stopped_at__isnull=True
    )
    _store(lambda: mine.update(stopped_at=timezone.now()), WorkerHeartbeat)


def _note_alive(node: str, now: datetime, stopped_at: datetime | None) -> None:
    values = {"booted_at": _Process.began, "seen_at": now, "stopped_at": stopped_at}
    if WorkerHeartbeat.objects.filter(node=node).update(**values):
        return
    WorkerHeartbeat.objects.bulk_create(
        [WorkerHeartbeat(node=node, **values)], ignore_conflicts=True
    )


def _node(hostname: object) -> str:
    return storable(str(hostname or ""), MAX_NAME)


def _store(work: Callable[[], object], model: type[Any]) -> None:
    attempt(work, router.db_for_write(model), close=True)
