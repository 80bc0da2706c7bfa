"""One sample task for each thing that can happen to a task.

A task that must be caught in the act waits at a gate: it leaves a note that it is there and goes
on when the test opens the gate, so that no test has to guess how long something takes.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from django.conf import settings

PATIENCE = 60
"""Seconds after which a task gives up waiting for a test that must have failed."""
TICK = 0.02

AnyTask = Task[..., Any]


def gates() -> Path:
    folder = Path(settings.DATA_DIR) / "gates"
    folder.mkdir(exist_ok=True)
    return folder


def wait_at_gate(name: str) -> None:
    """Note that somebody is here, and wait until the gate is opened."""
    note(f"{name}.waiting")
    deadline = time.monotonic() + PATIENCE
    while not (gates() / f"{name}.open").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened the gate {name}")
        time.sleep(TICK)


def note(name: str) -> None:
    """Leave a file that says something has happened, independently of any database."""
    (gates() / name).touch()


@shared_task(name="door.succeed")
def succeed(*args: object, **kwargs: object) -> str:
    return "done"


@shared_task(name="door.ingest")
def ingest(session: int) -> str:
    """Run for the context that its argument names: shared.py says which argument."""
    return "done"


def legacy() -> str:
    return "still needed"


if not os.environ.get("DOOR_LEGACY_IS_RETIRED"):
    shared_task(name="door.legacy")(legacy)


@shared_task(name="door.ignored")
def ignored(key: str) -> None:
    """Leave no trace in the task log: the settings ignore its name."""
    note(f"{key}.done")


@shared_task(name="door.fail")
def fail(*args: object) -> None:
    raise ValueError("no figures for <North> & 'South'")


@shared_task(name="door.hold")
def hold(gate: str) -> str:
    """Run until the test opens the gate."""
    wait_at_gate(gate)
    note(f"{gate}.done")
    return "let through"


@shared_task(name="door.hold_late", acks_late=True)
def hold_late(gate: str) -> str:
    """Like `hold`, but the broker keeps the message until the task has ended."""
    wait_at_gate(gate)
    return "let through"


@shared_task(name="door.soft_limited", soft_time_limit=1)
def soft_limited() -> None:
    time.sleep(PATIENCE)


@shared_task(name="door.soft_limited_but_tidy", soft_time_limit=1)
def soft_limited_but_tidy() -> str:
    """Notice the soft limit and end well."""
    try:
        time.sleep(PATIENCE)
    except SoftTimeLimitExceeded:
        return "tidied up"
    return "never"


@shared_task(name="door.hard_limited", time_limit=1)
def hard_limited() -> None:
    time.sleep(PATIENCE)


@shared_task(name="door.retry_until", bind=True, max_retries=None)
def retry_until(self: AnyTask, succeeds_at: int, countdown: float = 0) -> str:
    """Fail and be retried until the attempt with that number; 0 is the first."""
    if self.request.retries < succeeds_at:
        error = ConnectionError(f"attempt {self.request.retries}")
        raise self.retry(exc=error, countdown=countdown)
    return "at last"


@shared_task(name="door.retry_in_vain", bind=True, max_retries=2)
def retry_in_vain(self: AnyTask) -> None:
    """Fail at every one of its three attempts."""
    error = ConnectionError(f"attempt {self.request.retries}")
    raise self.retry(exc=error, countdown=0)


@shared_task(name="door.reject", acks_late=True)
def reject() -> None:
    raise Reject("not for me", requeue=False)


@shared_task(name="door.reject_once", acks_late=True)
def reject_once(gate: str) -> str:
    """Give the message back the first time, and wait at the gate the second time."""
    if not (gates() / f"{gate}.rejected").exists():
        note(f"{gate}.rejected")
        raise Reject("not now", requeue=True)
    wait_at_gate(gate)
    return "now"


@shared_task(name="door.ignore_itself")
def ignore_itself() -> None:
    raise Ignore


def die() -> None:
    """Kill the process that runs it, as the kernel does when memory runs out."""
    # If it dies at once, the worker may not have heard yet that it runs, and never misses it.
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="door.die")
def die_always() -> None:
    die()


@shared_task(name="door.die_once", acks_late=True, reject_on_worker_lost=True)
def die_once(key: str) -> str:
    """Die the first time; the broker hands the message out again."""
    if not (gates() / f"{key}.died").exists():
        note(f"{key}.died")
        die()
    return "alive"


# Celery 5.7 and newer; older ones do not know the option and let the task fail.
@shared_task(name="door.die_and_retry", bind=True, retry_on_worker_lost=True, default_retry_delay=1)
def die_and_retry(self: AnyTask) -> str:
    """Die the first time; the worker sends the task once more."""
    if self.request.retries == 0:
        die()
    return "alive"


@shared_task(name="door.call_eagerly")
def call_eagerly(task_id: str) -> None:
    """Run another task inside of this one, without a broker."""
    succeed.apply(task_id=task_id)
