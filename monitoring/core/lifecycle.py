"""How the signals of one execution add up to its row, in whatever order they arrive.

Every signal carries its position: the attempt it belongs to and its phase within the attempt.
The row keeps the greatest position it has seen, and status, outcome and errors come from the
signal at that position alone, so a late signal changes nothing that a later one has said.
`merge` is the specification; the task log's upsert does the same in one statement, and a
property test holds one against the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from monitoring.core.statuses import NOT_STARTED, Status

PHASES: dict[Status, int] = {
    Status.PENDING: 0,
    Status.QUEUED: 1,
    # Closes the attempt before: the row says "waits for its retry" until the retry runs.
    Status.INVALIDATED: 2,
    Status.RUNNING: 3,
    Status.STOPPED: 6,
    Status.COMPLETED: 7,
    Status.CANCELLED: 8,
}
_LOST = 4
"""Phase of `Stopped` when its worker is taken for dead: a guess, so whatever is told wins."""
_HANDED_BACK = 5
"""Phase of `Invalidated` when the same message comes again: after its run, before any outcome.

Not every broker marks the message when it hands it out again, so an unmarked outcome must win.
"""
TO_LOST = _LOST - PHASES[Status.RUNNING]
"""How much later than a run the loss of its worker stands, in any attempt."""
WORKER_LOST = "worker lost"
"""The error of an execution whose worker is taken for dead."""
_REDELIVERED = 10
_ATTEMPT = 20
MAX_ATTEMPT = 100_000_000
"""Keeps a position within 32 bits; Celery's own retry counts stay far below."""


def position(
    status: Status, retries: int, *, redelivered: bool = False, same_message: bool = False
) -> int:
    """Return where a signal stands in the life of an execution; greater is later.

    retries: Celery's count for the attempt the signal belongs to (0 for the first).
    redelivered: the broker handed the message out again, so a run of it is a new attempt.
    A redelivered message that merely waits again says nothing new: its former run may go on.
    same_message: `Invalidated` because the same message comes back, not a new one for a retry.
    """
    attempt = min(max(retries, 0), MAX_ATTEMPT)
    phase = PHASES[status]
    if status is Status.INVALIDATED:
        if same_message:
            phase = _HANDED_BACK
        else:
            attempt += 1
    again = redelivered and phase >= PHASES[Status.RUNNING]
    return attempt * _ATTEMPT + (_REDELIVERED if again else 0) + phase


def recorded_status(status: Status, retries: int) -> Status:
    """Return the status to record for a signal of one attempt.

    What waits for a retry is `Invalidated`, not `Pending` or `Queued` again: it has begun.
    """
    return Status.INVALIDATED if retries > 0 and status in NOT_STARTED else status


def retries_at(at_position: int) -> int:
    """Return how many retries lie behind a position."""
    return at_position // _ATTEMPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One signal as a row, or the sum of several."""

    task_id: str
    task_name: str
    status: Status
    position: int
    last_update: datetime
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    """Start of the latest attempt."""
    first_started_at: datetime | None = None
    finished_at: datetime | None = None
    parameters: str = ""
    context_id: str = ""
    errors: str = ""
    stack_trace_errors: str = ""
    worker: str = ""
    queue: str = ""
    periodic_task_name: str = ""

    @property
    def retries(self) -> int:
        return retries_at(self.position)


def merge(row: Record | None, signal: Record) -> Record:
    """Return the row after one more signal.

    The outcome follows the greatest position; the first submission and first start stand; the
    latest start stands, with its worker; descriptions fill what is empty.
    """
    if row is None:
        return signal
    latest = signal if signal.position > row.position else row
    started_at = _latest(row.started_at, signal.started_at)
    return replace(
        row,
        status=latest.status,
        position=latest.position,
        finished_at=latest.finished_at,
        errors=latest.errors,
        stack_trace_errors=latest.stack_trace_errors,
        last_update=max(row.last_update, signal.last_update),
        submitted_at=_earliest(row.submitted_at, signal.submitted_at),
        first_started_at=_earliest(row.first_started_at, signal.first_started_at),
        started_at=started_at,
        worker=_worker(row, signal),
        parameters=row.parameters or signal.parameters,
        context_id=row.context_id or signal.context_id,
        queue=row.queue or signal.queue,
        periodic_task_name=row.periodic_task_name or signal.periodic_task_name,
    )


def lost(row: Record, now: datetime) -> Record:
    """Return a running row after its worker was taken for dead; any other row as it is.

    A later attempt moves the row on, and so does the real outcome of this one, however late.
    """
    if row.status is not Status.RUNNING:
        return row
    guess = Record(
        task_id=row.task_id,
        task_name=row.task_name,
        status=Status.STOPPED,
        position=row.position + TO_LOST,
        last_update=now,
        finished_at=now,
        errors=WORKER_LOST,
    )
    return merge(row, guess)


def _worker(row: Record, signal: Record) -> str:
    began = signal.started_at
    if began is not None and (row.started_at is None or began >= row.started_at):
        return signal.worker
    return row.worker or signal.worker


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)
