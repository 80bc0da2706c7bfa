"""How the signals of one execution add up to its row, in whatever order they arrive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.lifecycle import (
    MAX_ATTEMPT,
    PHASES,
    TO_LOST,
    WORKER_LOST,
    Record,
    lost,
    merge,
    position,
    recorded_status,
    retries_at,
)
from monitoring.core.statuses import FINISHED, Status
from tests.core.building import NOW

PENDING, QUEUED, RUNNING = Status.PENDING, Status.QUEUED, Status.RUNNING
COMPLETED, STOPPED, CANCELLED = Status.COMPLETED, Status.STOPPED, Status.CANCELLED
INVALIDATED = Status.INVALIDATED


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def signal(
    status: Status,
    minute: int = 0,
    *,
    retries: int = 0,
    redelivered: bool = False,
    same_message: bool = False,
    **columns: Any,
) -> Record:
    """Return a signal as the recorder makes it from what Celery tells."""
    now = at(minute)
    if status is PENDING and not retries:
        columns = {"submitted_at": now} | columns
    if status in {PENDING, RUNNING}:
        columns = {"parameters": "(42,) {}", "context_id": "42", "queue": "celery"} | columns
    if status is QUEUED:
        columns = {"queue": "celery", "worker": "a@host"} | columns
    if status is RUNNING:
        started = {"started_at": now, "first_started_at": now, "worker": "a@host"}
        columns = started | columns
    if status in FINISHED:
        columns = {"finished_at": now} | columns
    place = position(status, retries, redelivered=redelivered, same_message=same_message)
    return Record(
        task_id="id", task_name="sync", status=status, position=place, last_update=now, **columns
    )


def row_of(signals: Iterable[Record]) -> Record:
    row = reduce(merge, signals, None)
    assert row is not None
    return row


# Positions


ORDERED = {
    "one attempt": [
        position(PENDING, 0),
        position(QUEUED, 0),
        position(RUNNING, 0),
        position(STOPPED, 0),
        position(COMPLETED, 0),
        position(CANCELLED, 0),
    ],
    "a retry": [
        position(RUNNING, 0),
        position(PENDING, 1),
        position(QUEUED, 1),
        position(INVALIDATED, 0),
        position(RUNNING, 1),
        position(COMPLETED, 1),
    ],
    "a failed retry": [
        position(STOPPED, 0),
        position(INVALIDATED, 0),
        position(RUNNING, 1),
        position(STOPPED, 1),
        position(INVALIDATED, 1),
        position(RUNNING, 2),
    ],
    "a redelivery": [
        position(RUNNING, 0),
        position(STOPPED, 0),
        position(RUNNING, 0, redelivered=True),
        position(COMPLETED, 0, redelivered=True),
        position(PENDING, 1),
    ],
    "a message given back": [
        position(RUNNING, 0),
        position(INVALIDATED, 0, same_message=True),
        position(RUNNING, 0, redelivered=True),
        position(INVALIDATED, 0, same_message=True, redelivered=True),
        position(COMPLETED, 0, redelivered=True),
    ],
    "a lost worker": [
        position(RUNNING, 0),
        position(RUNNING, 0) + TO_LOST,
        position(INVALIDATED, 0, same_message=True),
        position(STOPPED, 0),
        position(RUNNING, 0, redelivered=True),
        position(RUNNING, 0, redelivered=True) + TO_LOST,
        position(STOPPED, 0, redelivered=True),
        position(PENDING, 1),
    ],
    "a message given back to a broker that does not mark it": [
        position(RUNNING, 0),
        position(INVALIDATED, 0, same_message=True),
        position(STOPPED, 0),
        position(COMPLETED, 0),
        position(CANCELLED, 0),
    ],
}


@pytest.mark.parametrize("places", ORDERED.values(), ids=ORDERED.keys())
def test_positions_follow_the_life_of_an_execution(places: list[int]) -> None:
    assert places == sorted(set(places))


@pytest.mark.parametrize("status", [PENDING, QUEUED], ids=str)
def test_a_redelivered_message_that_waits_again_says_nothing_new(status: Status) -> None:
    assert position(status, 3, redelivered=True) == position(status, 3)


def test_every_status_has_a_phase_of_its_own() -> None:
    assert set(PHASES) == set(Status)
    assert len(set(PHASES.values())) == len(Status)


@given(
    st.sampled_from(Status),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.booleans(),
)
def test_every_phase_of_a_later_attempt_is_later_except_what_closed_the_one_before(
    status: Status, one: int, other: int, redelivered: bool
) -> None:
    earlier, later = sorted((min(one, MAX_ATTEMPT), min(other, MAX_ATTEMPT)))

    if earlier < later:
        assert position(status, earlier, redelivered=redelivered) < position(PENDING, later) or (
            status is INVALIDATED and later == earlier + 1
        )


@pytest.mark.parametrize(
    ("status", "retries", "counted"),
    [
        (PENDING, 0, 0),
        (RUNNING, 2, 2),
        (STOPPED, 2, 2),
        (INVALIDATED, 2, 3),
        (RUNNING, -1, 0),
    ],
    ids=["sent", "running", "failed", "waits for its third retry", "nonsense"],
)
@pytest.mark.parametrize("redelivered", [False, True], ids=["delivered", "redelivered"])
def test_retries_are_counted_by_the_position(
    status: Status, retries: int, counted: int, redelivered: bool
) -> None:
    assert retries_at(position(status, retries, redelivered=redelivered)) == counted


def test_a_message_given_back_is_no_retry() -> None:
    assert retries_at(position(INVALIDATED, 2, same_message=True)) == 2


@given(st.sampled_from(Status), st.integers(), st.booleans(), st.booleans())
def test_a_position_fits_a_column_of_32_bits(
    status: Status, retries: int, redelivered: bool, same_message: bool
) -> None:
    place = position(status, retries, redelivered=redelivered, same_message=same_message)

    assert 0 <= place < 2**31


# One more signal


def test_the_first_signal_is_the_row() -> None:
    first = signal(RUNNING)

    assert merge(None, first) == first


@pytest.mark.parametrize("late", [PENDING, QUEUED], ids=str)
@pytest.mark.parametrize("status", [RUNNING, *sorted(FINISHED), INVALIDATED], ids=str)
def test_a_late_pending_or_queued_never_overwrites_what_came_after_it(
    status: Status, late: Status
) -> None:
    row = merge(signal(status, 5, errors="so it went"), signal(late, 6))

    assert (row.status, row.errors) == (status, "so it went")


@pytest.mark.parametrize("late", [s for s in Status if s is not RUNNING], ids=str)
def test_nothing_but_a_run_changes_when_it_started(late: Status) -> None:
    row = merge(signal(RUNNING, 5), signal(late, 9))

    assert (row.started_at, row.first_started_at) == (at(5), at(5))


def test_the_late_record_of_the_publisher_fills_in_what_it_alone_knows() -> None:
    running = signal(RUNNING, 5, parameters="", queue="", context_id="")
    published = signal(PENDING, 4, periodic_task_name="Nightly")

    row = merge(running, published)

    assert row == replace(
        running,
        submitted_at=at(4),
        parameters="(42,) {}",
        context_id="42",
        queue="celery",
        periodic_task_name="Nightly",
    )


def test_a_description_once_known_stands() -> None:
    row = merge(signal(PENDING, queue="urgent"), signal(RUNNING, 1, queue="celery"))

    assert row.queue == "urgent"


def test_the_first_submission_stands() -> None:
    again = signal(PENDING, 7, submitted_at=at(7))

    assert row_of([signal(PENDING, 1), again]).submitted_at == at(1)
    assert row_of([again, signal(PENDING, 1)]).submitted_at == at(1)


def test_the_time_of_the_last_news_is_kept() -> None:
    assert row_of([signal(COMPLETED, 9), signal(PENDING, 1)]).last_update == at(9)


def test_the_worker_that_runs_it_is_named_not_the_one_that_held_it_before() -> None:
    held = signal(QUEUED, 1, worker="a@host")
    runs = signal(RUNNING, 2, worker="b@host")

    assert {row_of(order).worker for order in permutations([held, runs])} == {"b@host"}


@pytest.mark.parametrize("status", sorted(FINISHED), ids=str)
def test_the_same_outcome_told_twice_keeps_the_first(status: Status) -> None:
    first = signal(status, 5, errors="TimeLimitExceeded(60,)")

    row = merge(first, signal(status, 6, errors="another word for it"))

    assert (row.finished_at, row.errors) == (at(5), "TimeLimitExceeded(60,)")


def test_a_merge_changes_neither_of_the_two() -> None:
    one, other = signal(PENDING), signal(RUNNING, 1)

    merge(one, other)

    assert (one, other) == (signal(PENDING), signal(RUNNING, 1))


# Lives as Celery tells them


FAILURE = {"errors": "ValueError: no", "stack_trace_errors": "Traceback ..."}


def lives() -> dict[str, tuple[list[Record], dict[str, Any]]]:
    """Return signals in the order in which they happen, and what the row must say."""
    sent = [signal(PENDING, 0), signal(QUEUED, 1)]
    first = [*sent, signal(RUNNING, 2)]
    retried = [
        *first,
        signal(PENDING, 3, retries=1),
        signal(INVALIDATED, 3, retries=0, **FAILURE),
    ]
    second = [*retried, signal(QUEUED, 4, retries=1), signal(RUNNING, 5, retries=1)]
    return {
        "waits": (sent, {"status": QUEUED, "started_at": None, "retries": 0}),
        "runs": (first, {"status": RUNNING, "finished_at": None}),
        "completes": (
            [*first, signal(COMPLETED, 9)],
            {"status": COMPLETED, "finished_at": at(9), "submitted_at": at(0)},
        ),
        "fails": (
            [*first, signal(STOPPED, 9, **FAILURE)],
            {"status": STOPPED, "errors": "ValueError: no"},
        ),
        "is terminated": (
            [*first, signal(CANCELLED, 9, errors="terminated")],
            {"status": CANCELLED, "errors": "terminated", "started_at": at(2)},
        ),
        "is revoked before it starts": (
            [*sent, signal(CANCELLED, 9, errors="revoked")],
            {"status": CANCELLED, "started_at": None, "finished_at": at(9)},
        ),
        "is unknown to the worker": (
            [signal(PENDING, 0), signal(STOPPED, 1, errors="NotRegistered", worker="a@host")],
            {"status": STOPPED, "worker": "a@host", "started_at": None},
        ),
        "is called eagerly": (
            [signal(RUNNING, 0, submitted_at=at(0)), signal(COMPLETED, 1)],
            {"status": COMPLETED, "submitted_at": at(0)},
        ),
        "waits for its retry": (
            retried,
            {
                "status": INVALIDATED,
                "retries": 1,
                "errors": "ValueError: no",
                "finished_at": None,
                "started_at": at(2),
                "submitted_at": at(0),
            },
        ),
        "waits for its retry, taken by a worker": (
            [*retried, signal(QUEUED, 4, retries=1)],
            {"status": INVALIDATED, "retries": 1, "started_at": at(2)},
        ),
        "runs again": (
            second,
            {
                "status": RUNNING,
                "retries": 1,
                "errors": "",
                "stack_trace_errors": "",
                "started_at": at(5),
                "first_started_at": at(2),
            },
        ),
        "is retried to success": (
            [*second, signal(COMPLETED, 9, retries=1)],
            {
                "status": COMPLETED,
                "retries": 1,
                "errors": "",
                "started_at": at(5),
                "first_started_at": at(2),
                "finished_at": at(9),
            },
        ),
        "is retried to failure": (
            [*second, signal(STOPPED, 9, retries=1, errors="OSError: still no")],
            {"status": STOPPED, "retries": 1, "errors": "OSError: still no"},
        ),
        "runs again because its worker died": (
            [
                *first,
                signal(QUEUED, 4, redelivered=True, worker="b@host"),
                signal(RUNNING, 5, redelivered=True, worker="b@host"),
            ],
            {
                "status": RUNNING,
                "worker": "b@host",
                "started_at": at(5),
                "first_started_at": at(2),
                "retries": 0,
            },
        ),
        "runs again although it was thought lost": (
            [
                *first,
                signal(STOPPED, 4, errors="WorkerLostError"),
                signal(RUNNING, 5, redelivered=True),
                signal(COMPLETED, 9, redelivered=True),
            ],
            {"status": COMPLETED, "errors": "", "finished_at": at(9)},
        ),
        "is given back to the queue": (
            [*first, signal(INVALIDATED, 4, same_message=True, errors="Reject")],
            {"status": INVALIDATED, "retries": 0, "finished_at": None},
        ),
        "is given back and completes": (
            [
                *first,
                signal(INVALIDATED, 4, same_message=True, errors="Reject"),
                signal(QUEUED, 5, redelivered=True),
                signal(RUNNING, 6, redelivered=True),
                signal(COMPLETED, 9, redelivered=True),
            ],
            {"status": COMPLETED, "errors": "", "started_at": at(6), "retries": 0},
        ),
        "is given back to a broker that does not mark it": (
            [
                *first,
                signal(INVALIDATED, 4, same_message=True, errors="Reject"),
                signal(RUNNING, 6, worker="b@host"),
            ],
            {"status": INVALIDATED, "started_at": at(6), "worker": "b@host"},
        ),
        "is given back to a broker that does not mark it, and completes": (
            [
                *first,
                signal(INVALIDATED, 4, same_message=True, errors="Reject"),
                signal(RUNNING, 6),
                signal(COMPLETED, 9),
            ],
            {"status": COMPLETED, "errors": "", "started_at": at(6), "finished_at": at(9)},
        ),
        "is given back, runs again and is retried": (
            [
                *first,
                signal(INVALIDATED, 4, same_message=True, errors="Reject"),
                signal(RUNNING, 5, redelivered=True),
                signal(INVALIDATED, 6, redelivered=True, errors="ValueError: no"),
            ],
            {"status": INVALIDATED, "retries": 1, "errors": "ValueError: no"},
        ),
    }


LIVES = lives()


@pytest.mark.parametrize(("signals", "expected"), LIVES.values(), ids=LIVES.keys())
def test_an_execution_ends_in_the_same_row_in_every_order_of_its_signals(
    signals: list[Record], expected: dict[str, Any]
) -> None:
    row = row_of(signals)

    assert {name: getattr(row, name) for name in expected} == expected
    for order in permutations(signals[-6:]):
        assert row_of([*order, *signals[:-6]]) == row


def test_a_row_looks_right_after_every_signal_of_a_retried_execution() -> None:
    signals, _ = LIVES["is retried to failure"]
    seen = [row_of(signals[: count + 1]).status for count in range(len(signals))]

    assert seen == [PENDING, QUEUED, RUNNING, PENDING, *[INVALIDATED] * 2, RUNNING, STOPPED]


def test_a_row_never_moves_backwards_while_signals_arrive_out_of_order() -> None:
    signals, _ = LIVES["is retried to success"]
    for order in permutations(signals[-6:]):
        places = [row_of(order[: count + 1]).position for count in range(len(order))]
        assert places == sorted(places)


# A worker that is taken for dead


@pytest.mark.parametrize("status", [s for s in Status if s is not RUNNING], ids=str)
def test_only_a_running_execution_loses_its_worker(status: Status) -> None:
    row = signal(status, 5)

    assert lost(row, at(9)) == row


def test_an_execution_that_lost_its_worker_is_stopped_and_says_so() -> None:
    row = lost(signal(RUNNING, 5), at(9))

    assert (row.status, row.errors, row.finished_at) == (STOPPED, WORKER_LOST, at(9))
    assert (row.started_at, row.worker, row.context_id) == (at(5), "a@host", "42")


@pytest.mark.parametrize("outcome", sorted(FINISHED), ids=str)
def test_the_real_outcome_of_an_execution_thought_lost_wins_however_late(outcome: Status) -> None:
    told = signal(outcome, 30, errors="so it went")

    row = merge(lost(signal(RUNNING, 5), at(9)), told)

    assert (row.status, row.errors, row.finished_at) == (outcome, "so it went", at(30))


@pytest.mark.parametrize(
    "news",
    [
        signal(INVALIDATED, 30),
        signal(INVALIDATED, 30, same_message=True),
        signal(RUNNING, 30, redelivered=True),
        signal(RUNNING, 30, retries=1),
    ],
    ids=["is retried", "is given back", "is handed out again", "runs again"],
)
def test_an_execution_thought_lost_goes_on_when_it(news: Record) -> None:
    row = merge(lost(signal(RUNNING, 5), at(9)), news)

    assert (row.status, row.errors, row.finished_at) == (news.status, "", None)


@pytest.mark.parametrize("late", [PENDING, QUEUED, RUNNING], ids=str)
def test_an_execution_thought_lost_is_not_revived_by_a_late(late: Status) -> None:
    row = merge(lost(signal(RUNNING, 5), at(9)), signal(late, 4))

    assert (row.status, row.errors) == (STOPPED, WORKER_LOST)


# All lives


@dataclass
class Telling:
    """Tells a life signal by signal, each a moment after the one before."""

    signals: list[Record] = field(default_factory=list)
    minute: int = 0

    def tell(self, status: Status, **facts: Any) -> None:
        self.minute += 1
        self.signals.append(signal(status, self.minute, **facts))

    def lose(self) -> None:
        """Let the worker of the last run be taken for dead."""
        self.minute += 1
        running = self.signals[-1]
        self.signals.append(
            Record(
                task_id=running.task_id,
                task_name=running.task_name,
                status=STOPPED,
                position=running.position + TO_LOST,
                last_update=at(self.minute),
                finished_at=at(self.minute),
                errors=WORKER_LOST,
            )
        )


@st.composite
def whole_lives(draw: st.DrawFn) -> list[Record]:
    """Draw the signals of one execution as they happen, up to some moment of its life."""
    life = Telling()
    workers = st.sampled_from(["a@host", "b@host", "c@host"])
    attempts = draw(st.integers(1, 4))
    for attempt in range(attempts):
        if draw(st.booleans()):  # the publisher's record may be turned off
            life.tell(PENDING, retries=attempt)
        received = draw(st.booleans())
        worker = draw(workers)
        if received:
            life.tell(QUEUED, retries=attempt, worker=worker)
        life.tell(RUNNING, retries=attempt, worker=worker)
        if draw(st.booleans()):  # it was only slow, or its message comes again
            life.lose()
        again = draw(st.sampled_from(["", "", "redelivered", "given back"]))
        if again:
            if again == "given back":
                life.tell(INVALIDATED, retries=attempt, same_message=True, errors="Reject")
            worker = draw(workers)
            if received:
                life.tell(QUEUED, retries=attempt, redelivered=True, worker=worker)
            life.tell(RUNNING, retries=attempt, redelivered=True, worker=worker)
        if attempt + 1 < attempts:
            life.tell(INVALIDATED, retries=attempt, errors=f"attempt {attempt}")
    end = draw(st.none() | st.sampled_from(sorted(FINISHED)))
    if end is not None:
        life.tell(
            end,
            retries=attempts - 1,
            redelivered=bool(again),
            errors="" if end is COMPLETED else "the end",
        )
    return life.signals[: draw(st.integers(1, len(life.signals)))]


@given(whole_lives(), st.data())
def test_any_order_of_a_real_life_ends_in_the_same_row(
    signals: list[Record], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(signals))

    assert row_of(shuffled) == row_of(signals)


@given(whole_lives(), st.data())
def test_signals_that_arrive_twice_change_nothing(
    signals: list[Record], data: st.DataObject
) -> None:
    doubled = data.draw(st.permutations([*signals, *data.draw(st.lists(st.sampled_from(signals)))]))

    assert row_of(doubled) == row_of(signals)


@given(whole_lives(), st.data())
def test_parts_of_a_life_may_be_merged_before_they_meet(
    signals: list[Record], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(signals))
    cut = data.draw(st.integers(0, len(shuffled)))
    parts = [row_of(part) for part in (shuffled[:cut], shuffled[cut:]) if part]

    assert row_of(parts) == row_of(signals)


@given(whole_lives())
def test_the_row_tells_the_outcome_of_the_last_attempt_and_the_start_of_the_first(
    signals: list[Record],
) -> None:
    row = row_of(signals)

    last = max(signals, key=lambda one: one.position)
    runs = [one for one in signals if one.status is RUNNING]
    assert (row.status, row.errors, row.finished_at) == (
        last.status,
        last.errors,
        last.finished_at,
    )
    assert row.first_started_at == (runs[0].started_at if runs else None)
    assert row.started_at == (runs[-1].started_at if runs else None)
    assert row.worker == (
        runs[-1].worker if runs else next((s.worker for s in signals if s.worker), "")
    )
    assert (row.finished_at is not None) == (row.status in FINISHED)
    assert row.last_update == signals[-1].last_update


@pytest.mark.parametrize("status", [Status.PENDING, Status.QUEUED], ids=str)
def test_what_waits_for_a_retry_is_recorded_as_invalidated(status: Status) -> None:
    assert recorded_status(status, 1) is Status.INVALIDATED


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_the_first_attempt_is_recorded_with_the_status_of_its_signal(status: Status) -> None:
    assert recorded_status(status, 0) is status
