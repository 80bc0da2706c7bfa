"""What is measured of recorders: the worker's own code runs a task that does nothing.

Celery's tracer is what a worker's child calls for each message: it sends the signals and stores
the result. The signal of the worker's main process is sent as its consumer does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, signals
from celery.app.trace import build_tracer
from django.utils import timezone

from monitoring import recorder
from monitoring.models import BackgroundTask

TASK = "bench.nothing"
_SIGNALS = (
    signals.task_received,
    signals.task_prerun,
    signals.task_success,
    signals.task_failure,
    signals.task_retry,
    signals.task_revoked,
    signals.task_postrun,
)


class Request:
    """As the worker's main process has it of a message."""

    def __init__(self, task_id: str) -> None:
        self.id, self.name, self.hostname = task_id, TASK, "celery@worker-1"
        self.delivery_info = {"routing_key": "celery", "redelivered": False}
        self.request_dict = message(task_id)


def message(task_id: str) -> dict[str, Any]:
    return {
        "id": task_id,
        "root_id": task_id,
        "task": TASK,
        "retries": 0,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "hostname": "celery@worker-1",
        "is_eager": False,
        "delivery_info": {"routing_key": "celery", "redelivered": False},
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorder:
    """One way to write down what a worker does."""

    name: str
    connect: Callable[[Celery], object]
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the Celery application."""


@contextmanager
def connected(one: Recorder) -> Iterator[Callable[[int], None]]:
    """Connect this recorder and no other; the value runs that many tasks."""
    app = Celery(f"bench-{uuid.uuid4().hex}", set_as_current=False, broker="memory://")
    app.conf.update({"task_ignore_result": True} | one.settings)
    task = app.task(name=TASK)(nothing)
    app.finalize()
    before = [list(signal.receivers) for signal in _SIGNALS]
    for signal in _SIGNALS:
        signal.receivers[:] = []
    try:
        one.connect(app)
        tracer = build_tracer(TASK, app.tasks[task.name], app=app)

        def run(tasks: int) -> None:
            for _ in range(tasks):
                task_id = str(uuid.uuid4())
                signals.task_received.send(sender=None, request=Request(task_id))
                tracer(task_id, (), {}, message(task_id))

        yield run
    finally:
        for signal, receivers in zip(_SIGNALS, before, strict=True):
            signal.receivers[:] = receivers


def nothing() -> None:
    """Do nothing, as a task."""


def without(_app: Celery) -> None:
    """Record nothing."""


def ours(_app: Celery) -> None:
    recorder.connect()


def obvious(_app: Celery, *, queued: bool = True) -> None:
    """Connect what one would write first: fetch or create the row, change it, save it."""

    def save(task_id: str, **changes: Any) -> None:
        row, _ = BackgroundTask.objects.get_or_create(
            task_id=task_id, defaults={"task_name": TASK, "submitted_at": timezone.now()}
        )
        for name, value in ({"last_update": timezone.now()} | changes).items():
            setattr(row, name, value)
        row.save()

    def received(request: Any, **_: Any) -> None:
        save(request.id, status="Queued", queue="celery", worker=request.hostname)

    def prerun(task_id: str, **_: Any) -> None:
        save(task_id, status="Running", started_at=timezone.now(), first_started_at=timezone.now())

    def success(sender: Any, **_: Any) -> None:
        save(sender.request.id, status="Completed", finished_at=timezone.now())

    if queued:
        signals.task_received.connect(received, weak=False)
    signals.task_prerun.connect(prerun, weak=False)
    signals.task_success.connect(success, weak=False)


def obvious_without_queued(app: Celery) -> None:
    obvious(app, queued=False)


CELERY_RESULTS = {
    "result_backend": "django-db",
    "task_ignore_result": False,
    "task_track_started": True,
    "result_extended": True,
}


def cronwatch_with(store: Any) -> Callable[[Celery], None]:
    """Return what connects cronwatch-sdk, writing to a store of its own."""

    def connect(app: Celery) -> None:
        import cronwatch
        import cronwatch.celery as integration

        # Its handlers are connected when it is imported, which happens once.
        for signal, handler in (
            (signals.task_prerun, integration._on_prerun),
            (signals.task_success, integration._on_success),
            (signals.task_failure, integration._on_failure),
            (signals.task_postrun, integration._on_postrun),
        ):
            signal.connect(handler, weak=False, dispatch_uid=f"bench.{handler.__name__}")
        integration.install(
            app,
            client=cronwatch.Cronwatch(store=store),
            beat=False,
            django_celery_beat=False,
            tasks={TASK: {"schedule": "every 5m"}},
        )

    return connect
