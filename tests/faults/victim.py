"""One check or one delivery in a process of its own, which may kill itself on the way.

    job = Job(url=..., work="check", now=NOW, boundary=Boundary("commit", "after", 3))
    assert run(job) is None

The processes are forked from one that has imported everything, and nothing else: a second for
each of several hundred would be most of the suite's time.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any, Literal

import django
import time_machine
from django.conf import settings as django_settings

if not django_settings.configured:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from django.db import connection, connections, transaction
from django.test import override_settings
from django.utils import timezone

from monitoring import doors, outbox, rulesets
from monitoring.models import MonitorRule
from monitoring.runs import Request
from tests.faults.databases import as_configured

PATIENCE = 90
"""Seconds after which a process that takes one or two has gone wrong."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "pytest"])

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass(frozen=True)
class Boundary:
    """Where a process kills itself."""

    what: Literal["write", "commit"]
    when: Literal["before", "after"]
    number: int

    def __str__(self) -> str:
        return f"{self.when} {self.what} {self.number}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process does."""

    url: str
    work: Literal["check", "check until done", "deliver", "deliver until told", "write"]
    now: datetime
    arguments: Sequence[object] = ()
    selection: Mapping[str, object] = field(default_factory=dict)
    task_id: str = ""
    """Of the message that asks for the check; empty: a person does."""
    boundary: Boundary | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    batch_size: int = rulesets.BATCH_SIZE
    claim_size: int = outbox.BATCH_SIZE
    most_pages: int = 0
    """Pages that the file of SQLite may have; 0: as many as it likes."""
    waits: bool = False
    """Begin only when told to."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a process that lived has to say."""

    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    retries: int = 0
    """Transactions that were done again."""


class Victim:
    """A process, as the test sees it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._ours, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_live, args=(job, theirs))
        self.process.start()
        theirs.close()
        self._answer: Answer | None = None

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait_until_ready(self) -> None:
        assert self._ours.poll(PATIENCE), "the process does not begin"
        assert self._ours.recv() == "ready"

    def tell(self) -> None:
        """Let it begin, or let it come to an end."""
        self._ours.send("go")

    def wait(self) -> Victim:
        """Wait for its end; fail if it ended neither well nor by a kill."""
        if self._ours.poll(PATIENCE):
            try:
                self._answer = self._ours.recv()
            except (EOFError, ConnectionResetError):
                self._answer = None
        self.process.join(PATIENCE)
        assert self.process.exitcode in {0, -signal.SIGKILL}, self.process.exitcode
        return self

    @property
    def was_killed(self) -> bool:
        return self.process.exitcode == -signal.SIGKILL

    @property
    def answer(self) -> Answer:
        assert self._answer is not None, f"killed: {self.job}"
        return self._answer

    @property
    def result(self) -> dict[str, Any]:
        assert not self.answer.error, self.answer.error
        return self.answer.result

    def end(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join(PATIENCE)
        self._ours.close()
        self.process.close()


@contextmanager
def forked(*jobs: Job) -> Iterator[list[Victim]]:
    """Start a process for each job; none outlives the context."""
    victims: list[Victim] = []
    try:
        for job in jobs:
            victims.append(Victim(job))
        yield victims
    finally:
        for victim in victims:
            victim.end()


def run(job: Job) -> Answer | None:
    """Do a job in a process of its own; None: it was killed, as it was told to."""
    with forked(job) as (victim,):
        victim.wait()
        if victim.was_killed:
            assert job.boundary is not None, "killed by somebody else"
            return None
        return victim.answer


# In the process


def _live(job: Job, answer: Connection) -> None:
    retries = _Retries()
    with ExitStack() as stack:
        stack.enter_context(time_machine.travel(job.now, tick=True))
        stack.enter_context(override_settings(**job.settings))
        _prepare(job)
        logging.getLogger("monitoring.transactions").addHandler(retries)
        logging.getLogger("monitoring.transactions").setLevel(logging.INFO)
        logging.lastResort = None
        if job.waits:
            connection.ensure_connection()
            answer.send("ready")
            assert answer.poll(PATIENCE)
            answer.recv()
            # What was waited for is no time that has passed.
            stack.enter_context(time_machine.travel(job.now, tick=True))
        if job.boundary is not None:
            stack.enter_context(_killing(job.boundary))
        result: dict[str, Any] = {}
        error = ""
        try:
            result = _WORK[job.work](job, answer)
        except Exception as caught:
            error = f"{type(caught).__name__}: {caught}"
        answer.send(Answer(result=result, error=error, retries=retries.seen))
    connections.close_all()


def _prepare(job: Job) -> None:
    connections.settings["default"] = as_configured(job.url)
    connections["default"] = connections.create_connection("default")
    rulesets.BATCH_SIZE = job.batch_size
    outbox.BATCH_SIZE = job.claim_size
    if job.most_pages:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {job.most_pages}")


class _Retries(logging.Handler):
    """Counts what is logged when a transaction is done again."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += 1


def _check(job: Job, answer: Connection) -> dict[str, Any]:
    request = Request(task_id=job.task_id) if job.task_id else None
    report = doors.check(job.arguments, job.selection, request=request, hand_over=lambda: None)
    return report.as_dict()


def _check_until_done(job: Job, answer: Connection) -> dict[str, Any]:
    """Check, again while another check of the same rules runs."""
    skipped = 0
    # For as long as it takes: the test does not wait longer than it has patience.
    while (report := _check(job, answer))["state"] == "skipped":
        skipped += 1
        answer.poll(0.01)
    return report | {"skipped": skipped}


def _deliver(job: Job, answer: Connection) -> dict[str, Any]:
    return doors.deliver().as_dict()


def _deliver_until_told(job: Job, answer: Connection) -> dict[str, Any]:
    """Deliver for as long as messages may come; the last pass is after all have."""
    sent = 0
    while not answer.poll(0.01):
        sent += doors.deliver().sent
    return {"sent": sent + doors.deliver().sent}


def _write(job: Job, answer: Connection) -> dict[str, Any]:
    """Write as a person in the admin does."""
    with transaction.atomic():
        changed = MonitorRule.objects.update(description=f"changed at {timezone.now()}")
    return {"changed": changed}


_WORK: dict[str, Callable[[Job, Connection], dict[str, Any]]] = {
    "check": _check,
    "check until done": _check_until_done,
    "deliver": _deliver,
    "deliver until told": _deliver_until_told,
    "write": _write,
}


@contextmanager
def _killing(boundary: Boundary) -> Iterator[None]:
    """Kill this process, without a last word, when it comes to a boundary."""
    seen = 0

    def passing(work: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += 1
        if seen == boundary.number and boundary.when == "before":
            _die()
        result = work()
        if seen == boundary.number:
            _die()
        return result

    def statement(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.lstrip().upper().startswith(_WRITES):
            return execute(sql, params, many, context)
        return passing(lambda: execute(sql, params, many, context))

    if boundary.what == "write":
        with connection.execute_wrapper(statement):
            yield
        return
    database: Any = connection
    commit = database._commit
    database._commit = lambda: passing(commit)
    yield


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
