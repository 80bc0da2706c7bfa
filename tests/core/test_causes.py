"""Why a task probably fails, by what is known of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.causes import CAUSES, Cause, probable_cause
from monitoring.core.causes.facts import (
    Beat,
    Due,
    Facts,
    Listener,
    Message,
    Past,
    Queue,
    Schedule,
    is_same_error,
    past_of,
)
from monitoring.core.findings import World
from monitoring.core.statuses import Status
from monitoring.core.values import ContextFilter, Execution, Verdict, VerdictKind
from monitoring.core.wording import ENGLISH, said
from monitoring.core.wording import Text as _
from monitoring.core.workers import Heartbeat
from tests.core.building import NOW, ago, execution, rule
from tests.core.strategies import executions, moments, rules, texts

NOTHING = Verdict(VerdictKind.NO_EXECUTION, "No execution found")
HOURLY = Schedule("Hourly sync", "sync", is_enabled=True, changed_at=ago(days=3))
ALIVE = Heartbeat(booted_at=ago(days=1), seen_at=ago(minutes=1), stopped_at=None)
SILENT = Heartbeat(booted_at=ago(days=1), seen_at=ago(minutes=30), stopped_at=None)
WAITS = Message(Status.PENDING, submitted_at=ago(minutes=20), queue="reports")
SENT = "sent at 2026-03-10 11:40:00 UTC to “reports”"


def cause(verdict: Verdict = NOTHING, **known: Any) -> tuple[str, str] | None:
    """Return id and text of the cause that these facts show."""
    values = {"rule": rule(), "now": NOW}
    found = probable_cause(Facts(verdict=verdict, **(values | known)))
    return (found.id, found.text) if found else None


def stopped(error: str, **fields: Any) -> Verdict:
    values = {"status": Status.STOPPED, "error": error, "worker": "w1@host"}
    found = execution(**(values | fields))
    return Verdict(VerdictKind.STATUS_MISMATCH, found.status.value, execution=found)


def last_ran(**fields: Any) -> Verdict:
    """Return that nothing ran in the window, but something before it."""
    return NOTHING._replace(last_known=execution(**({"started_at": ago(hours=3)} | fields)))


class TestTheExecution:
    def test_was_lost_with_its_worker(self) -> None:
        assert cause(stopped("worker lost"), worker=SILENT) == (
            "worker_lost",
            "Its worker was lost: began at 2026-03-10 11:55:00 UTC, and the worker was last heard "
            "at 2026-03-10 11:30:00 UTC (on w1@host)",
        )

    def test_was_lost_although_a_worker_of_that_name_is_back(self) -> None:
        back = Heartbeat(booted_at=ago(minutes=2), seen_at=ago(minutes=1), stopped_at=None)

        assert cause(stopped("worker lost"), worker=back) == (
            "worker_lost",
            "Its worker was lost: began at 2026-03-10 11:55:00 UTC, and the worker was started "
            "anew at 2026-03-10 11:58:00 UTC (on w1@host)",
        )

    def test_was_lost_with_a_worker_that_nothing_was_ever_heard_of(self) -> None:
        assert cause(stopped("worker lost", worker="")) == (
            "worker_lost",
            "Its worker was lost: began at 2026-03-10 11:55:00 UTC, and no end of it was heard",
        )

    def test_lost_the_process_that_ran_it(self) -> None:
        error = "billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)"

        assert cause(stopped(error)) == (
            "worker_lost",
            "The process that ran it was lost: Worker exited prematurely: signal 9 (SIGKILL) "
            "(on w1@host)",
        )

    def test_was_refused_by_a_worker_that_does_not_know_the_task(self) -> None:
        refused = Message(
            Status.STOPPED,
            submitted_at=ago(minutes=20),
            ended_at=ago(minutes=19),
            worker="w1@host",
            error="NotRegistered: the worker w1@host knows no task named sync",
        )

        assert cause(message=refused) == (
            "not_registered",
            "The worker does not know the task: w1@host refused it at 2026-03-10 11:41:00 UTC: "
            "no task of this name is registered there",
        )

    def test_expired_before_a_worker_took_it(self) -> None:
        dropped = WAITS._replace(
            status=Status.CANCELLED, ended_at=ago(minutes=5), error="expired", sender="Hourly sync"
        )

        assert cause(message=dropped, schedules=(HOURLY._replace(expires=600),)) == (
            "cancelled",
            "Its message expired before a worker took it: sent at 2026-03-10 11:40:00 UTC; dropped "
            "at 2026-03-10 11:55:00 UTC; the periodic task “Hourly sync” gives it 10 min",
        )

    def test_was_revoked_before_it_ran(self) -> None:
        dropped = WAITS._replace(
            status=Status.CANCELLED, ended_at=ago(minutes=5), error="revoked", submitted_at=None
        )

        assert cause(message=dropped) == (
            "cancelled",
            "It was revoked: dropped at 2026-03-10 11:55:00 UTC",
        )

    def test_was_revoked_while_it_ran(self) -> None:
        found = stopped("terminated", status=Status.CANCELLED, finished_at=ago(minutes=2))

        assert cause(found) == (
            "cancelled",
            "It was revoked while it ran: began at 2026-03-10 11:55:00 UTC, ended at "
            "2026-03-10 11:58:00 UTC (on w1@host)",
        )

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            ("ValueError: no figures\nfor <North>", "It raised ValueError: no figures for <North>"),
            ("app.errors.Gone: {x}", "It raised Gone: {x}"),
            ("KeyError", "It raised KeyError: it says no more"),
            ("SoftTimeLimitExceeded()", "It raised SoftTimeLimitExceeded: it says no more"),
            ("the disk is full", "It failed: the disk is full"),
            ("Traceback (most recent call last):\n  x\nOSError: full", "It raised OSError: full"),
        ],
    )
    def test_raised(self, error: str, text: str) -> None:
        assert cause(stopped(error)) == ("raised", text)

    def test_raised_and_waits_to_be_tried_again(self) -> None:
        assert cause(stopped("OSError: full", status=Status.INVALIDATED)) == (
            "raised",
            "It raised OSError: full; it waits to be tried again",
        )

    @pytest.mark.parametrize(
        ("past", "text"),
        [
            (
                Past(same_error=4, first_seen=ago(hours=9)),
                "same error as the last 4 failures, first seen at 2026-03-10 03:00:00 UTC",
            ),
            (
                Past(same_error=1, first_seen=ago(hours=9), was_cut=True),
                "same error as the last failure, first seen at 2026-03-10 03:00:00 UTC or earlier",
            ),
            (Past(other_error=True), "another error than that of the failure before"),
        ],
    )
    def test_raised_as_before_or_not(self, past: Past, text: str) -> None:
        assert cause(stopped("OSError: full"), past=past) == (
            "raised",
            f"It raised OSError: full; {text}",
        )

    def test_that_says_nothing_of_itself_has_no_cause(self) -> None:
        assert cause(stopped("")) is None

    def test_still_runs_far_longer_than_usual(self) -> None:
        runs = execution(Status.RUNNING, ago(hours=2, minutes=5), worker="w1@host")
        found = Verdict(VerdictKind.OVERRUNNING, "Running", execution=runs)

        assert cause(found, past=Past(usual=timedelta(minutes=3)), worker=ALIVE) == (
            "still_running",
            "It still runs: for 2 h 5 min now, since 2026-03-10 09:55:00 UTC; it usually takes "
            "3 min (on w1@host)",
        )

    def test_that_began_before_the_window_and_still_runs_on_a_silent_worker(self) -> None:
        runs = execution(Status.RUNNING, ago(hours=2))

        assert cause(NOTHING._replace(still_running=runs), worker=SILENT) == (
            "still_running",
            "It still runs: for 2 h now, since 2026-03-10 10:00:00 UTC; its worker was last heard "
            "at 2026-03-10 11:30:00 UTC",
        )

    @pytest.mark.parametrize(
        ("found", "was_for"), [("B", "for “B”"), ("", "for nothing that is known")]
    )
    def test_ran_in_another_context(self, found: str, was_for: str) -> None:
        wanted = rule(context=ContextFilter(model="gap.Session", field="kind", type="A"))

        assert cause(rule=wanted, elsewhere=execution(), elsewhere_type=found) == (
            "other_context",
            "It ran, but in another context: its run of 2026-03-10 11:55:00 UTC (Completed) was "
            f"{was_for}, not for “A”",
        )


class TestTheMessage:
    def test_was_sent_to_a_queue_that_no_known_worker_takes_tasks_from(self) -> None:
        assert cause(message=WAITS, queue=Queue(workers_known=2)) == (
            "not_consumed",
            f"No worker is heard that consumes its queue: {SENT}; the 2 workers heard of take no "
            "tasks from there",
        )

    def test_was_sent_to_a_queue_whose_only_worker_was_not_heard_for_long(self) -> None:
        gone = Listener("w1@host", SILENT, ("reports",))

        assert cause(message=WAITS, queue=Queue(listeners=(gone,), workers_known=1)) == (
            "not_consumed",
            f"No worker is heard that consumes its queue: {SENT}; the last that takes tasks from "
            "there was heard at 2026-03-10 11:30:00 UTC (w1@host)",
        )

    @pytest.mark.parametrize(
        "queue",
        [
            Queue(),
            Queue(running=1, workers_known=1),
            Queue(listeners=(Listener("w1@host", ALIVE, ("reports",)),), workers_known=1),
        ],
        ids=["no worker tells its queues", "something of it runs", "a worker is heard"],
    )
    def test_waits_in_a_queue_that_somebody_may_take_tasks_from(self, queue: Queue) -> None:
        found = cause(message=WAITS, queue=queue)

        assert found is not None
        assert found[0] == "queued"

    def test_waits_behind_others(self) -> None:
        assert cause(message=WAITS._replace(ahead=12), queue=Queue(running=2)) == (
            "queued",
            f"It waits in the queue: {SENT}; behind 12 others that wait; 2 executions of this "
            "queue run",
        )

    @pytest.mark.parametrize(
        ("heartbeat", "heard"),
        [(ALIVE, ""), (SILENT, ", and was last heard at 2026-03-10 11:30:00 UTC")],
    )
    def test_waits_in_the_hands_of_a_worker(self, heartbeat: Heartbeat, heard: str) -> None:
        received = WAITS._replace(status=Status.QUEUED, worker="w1@host")
        worker = Listener("w1@host", heartbeat, ("reports",))

        assert cause(message=received, queue=Queue(listeners=(worker,), workers_known=1)) == (
            "queued",
            f"It waits in the queue: {SENT}; w1@host holds it{heard}",
        )

    def test_may_be_older_than_a_short_window(self) -> None:
        early = WAITS._replace(submitted_at=ago(hours=5))

        found = cause(last_ran(started_at=ago(hours=6)), message=early, queue=Queue())

        assert found is not None
        assert found[0] == "queued"

    @pytest.mark.parametrize("submitted", [ago(hours=5), ago(hours=30)], ids=["older", "a day old"])
    def test_that_is_older_than_the_last_run_or_a_day_explains_nothing(
        self, submitted: Any
    ) -> None:
        last = last_ran(started_at=ago(hours=4) if submitted > ago(hours=24) else ago(days=9))

        assert cause(last, message=WAITS._replace(submitted_at=submitted)) is None


class TestTheName:
    def test_is_nowhere_known(self) -> None:
        world = World(now=NOW, in_code=frozenset({"app.sync"}), seen=frozenset())

        assert cause(rule=rule(task_name="app.snyc"), world=world) == (
            "task_unknown",
            'Nobody knows the task: no task "app.snyc" is in the code, scheduled, or has ever run '
            '(did you mean "app.sync"?)',
        )

    @pytest.mark.parametrize("place", ["in_code", "scheduled", "seen"])
    def test_is_known_somewhere(self, place: str) -> None:
        found = {"seen": frozenset[str]()} | {place: frozenset({"sync"})}

        assert cause(world=World(now=NOW, **found)) is None  # type: ignore[arg-type]

    def test_may_be_known_where_nobody_looked(self) -> None:
        assert cause(world=World(now=NOW)) is None


class TestTheSchedule:
    def test_is_disabled(self) -> None:
        assert cause(schedules=(HOURLY._replace(is_enabled=False),)) == (
            "schedule_disabled",
            "Its periodic task is disabled: “Hourly sync”, last changed at 2026-03-07 12:00:00 UTC",
        )

    def test_has_ended(self) -> None:
        assert cause(schedules=(HOURLY._replace(ends_at=ago(hours=2)),)) == (
            "schedule_disabled",
            "Its periodic task is disabled: “Hourly sync” ended at 2026-03-10 10:00:00 UTC",
        )

    def test_is_one_of_many_that_are_all_disabled(self) -> None:
        off = tuple(HOURLY._replace(name=f"{n}", is_enabled=False) for n in range(5))

        found = cause(schedules=off)

        assert found is not None
        assert found[1].startswith("Its periodic tasks are disabled: “0”, last changed")
        assert found[1].endswith("; and 2 more")

    def test_is_disabled_but_the_task_ran_without_it_since(self) -> None:
        last = last_ran(started_at=ago(hours=5))
        off = (HOURLY._replace(is_enabled=False),)

        assert cause(last, schedules=off, sender="") is None
        assert cause(last, schedules=off, sender="Hourly sync") is not None

    def test_is_not_disabled_if_another_one_sends_the_task(self) -> None:
        off = HOURLY._replace(name="Old", is_enabled=False)

        assert cause(schedules=(off, HOURLY)) is None

    def test_was_deleted(self) -> None:
        assert cause(last_ran(), sender="Hourly sync") == (
            "schedule_deleted",
            "Its periodic task was deleted or renamed: “Hourly sync” sent its run of 2026-03-10 "
            "09:00:00 UTC; none of that name is left, and no other sends this task",
        )

    def test_sends_another_task(self) -> None:
        turned = HOURLY._replace(task_name="other")

        assert cause(last_ran(), sender="Hourly sync", schedules=(turned,)) == (
            "schedule_deleted",
            "Its periodic task sends another task: “Hourly sync” sent its run of 2026-03-10 "
            "09:00:00 UTC; now it sends other",
        )

    def test_was_renamed(self) -> None:
        assert cause(last_ran(), sender="Old name", schedules=(HOURLY,)) is None

    def test_waits_for_a_silent_beat(self) -> None:
        beat = Beat(last_sent_at=ago(hours=3), due_at=ago(hours=2))

        assert cause(schedules=(HOURLY,), beat=beat) == (
            "beat_silent",
            "Beat is silent: no periodic task is known to have been sent since 2026-03-10 09:00:00 "
            "UTC, and one was due at 2026-03-10 10:00:00 UTC",
        )

    def test_may_be_a_little_late(self) -> None:
        assert cause(schedules=(HOURLY,), beat=Beat(ago(hours=1), ago(minutes=5))) is None

    def test_is_not_missed_where_nothing_is_scheduled(self) -> None:
        assert cause(beat=Beat(ago(hours=3), ago(hours=2))) is None

    def test_has_done_its_part_if_something_was_sent(self) -> None:
        off = (HOURLY._replace(is_enabled=False),)

        found = cause(schedules=off, message=WAITS, queue=Queue())

        assert found is not None
        assert found[0] == "queued"

    @pytest.mark.parametrize(
        ("due", "often"),
        [
            (Due(ago(minutes=45), 1), "1 run was"),
            (Due(ago(minutes=64), 50), "50 runs were"),
            (Due(ago(minutes=64), 50, is_more=True), "more than 50 runs were"),
        ],
    )
    def test_was_missed(self, due: Due, often: str) -> None:
        assert cause(last_ran(started_at=ago(minutes=65)), schedules=(HOURLY,), due=due) == (
            "schedule_missed",
            "It has missed its schedule: it last ran at 2026-03-10 10:55:00 UTC; "
            f"{often} due since",
        )

    def test_was_missed_long_before_a_beat_that_sends_often_counts_as_silent(self) -> None:
        often = rule(lookback_hours=3 / 60)
        last = last_ran(started_at=NOW - timedelta(minutes=3, seconds=23))
        due = Due(NOW - timedelta(minutes=3, seconds=3), 10)
        beat = Beat(due.first_at, due.first_at)  # type: ignore[arg-type]

        found = cause(last, rule=often, schedules=(HOURLY,), due=due, beat=beat)

        assert found is not None
        assert found[0] == "schedule_missed"

    def test_was_not_missed_by_a_message_that_waits(self) -> None:
        due = Due(ago(minutes=45), 1)

        found = cause(last_ran(), schedules=(HOURLY,), due=due, message=WAITS, queue=Queue())

        assert found is not None
        assert found[0] == "queued"

    @pytest.mark.parametrize(
        "due", [Due(), Due(ago(minutes=4), 1)], ids=["not due yet", "due just now"]
    )
    def test_leaves_more_than_a_window_between_two_runs(self, due: Due) -> None:
        assert cause(last_ran(started_at=ago(minutes=65)), due=due) == (
            "before_window",
            "It ran before the window began: at 2026-03-10 10:55:00 UTC, 5 min before it; is a "
            "window of 1 h too short?",
        )

    @pytest.mark.parametrize(
        ("gap", "more"),
        [
            (timedelta(minutes=61), "; is a window of 1 h too short?"),
            (timedelta(minutes=60), "; its runs before were at most 1 h apart"),
            (None, ""),
        ],
    )
    def test_is_not_known_of_a_task_that_ran_before_the_window_began(
        self, gap: timedelta | None, more: str
    ) -> None:
        assert cause(last_ran(started_at=ago(minutes=65)), longest_gap=gap) == (
            "before_window",
            f"It ran before the window began: at 2026-03-10 10:55:00 UTC, 5 min before it{more}",
        )

    @pytest.mark.parametrize(
        "last", [last_ran(started_at=ago(hours=3)), last_ran(status=Status.STOPPED)]
    )
    def test_says_nothing_of_a_window_where_it_ran_long_before_or_failed(
        self, last: Verdict
    ) -> None:
        assert cause(last) is None


class TestThePast:
    def runs(self, *minutes: float) -> list[Any]:
        return [
            execution(
                started_at=ago(hours=n + 1), finished_at=ago(hours=n + 1) + timedelta(minutes=took)
            )
            for n, took in enumerate(minutes)
        ]

    def failures(self, *errors: str) -> list[Any]:
        return [
            execution(Status.STOPPED, ago(hours=n), error=error, pk=100 - n)
            for n, error in enumerate(errors)
        ]

    def test_tells_how_long_a_task_usually_takes(self) -> None:
        assert past_of(None, self.runs(1, 9, 3), 20) == Past(runs=3, usual=timedelta(minutes=3))

    def test_does_not_tell_it_from_two_runs(self) -> None:
        assert past_of(None, self.runs(1, 9), 20).usual is None

    def test_counts_the_failures_of_the_same_error(self) -> None:
        found = self.failures("E: 1", "E: 2", "E: 3", "F: 1", "E: 4")

        assert past_of(found[0], found, 20) == Past(same_error=2, first_seen=ago(hours=2))

    def test_goes_back_no_further_than_was_read(self) -> None:
        found = self.failures("E: 1", "E: 2", "E: 3")

        assert past_of(found[0], found, 3).was_cut
        assert not past_of(found[0], found, 4).was_cut

    def test_knows_that_the_failure_before_was_another(self) -> None:
        found = self.failures("E: 1", "F: 2")

        assert past_of(found[0], found, 20) == Past(other_error=True)

    def test_takes_errors_for_the_same_that_differ_in_numbers_and_ids(self) -> None:
        one = "E: row 7 of 3a3c1b9e-0000-4b3e-9c5e-1d2f3a4b5c6d at 0x7f01"
        other = "E: row 12 of 00000000-0000-4b3e-9c5e-1d2f3a4b5c6d at 0xbeef"

        assert is_same_error(one, other)
        assert not is_same_error(one, "E: column 7")


@pytest.mark.parametrize(
    ("pattern", "key", "hears"),
    [
        ("reports", "reports", True),
        ("reports", "report", False),
        ("feed.*", "feed.import", True),
        ("feed.*", "feed", False),
        ("feed.#", "feed.import.now", True),
        ("feed.#", "feed", True),
        ("#.now", "feed.import.now", True),
        ("#", "anything", True),
        ("*.import", "import", False),
    ],
)
def test_a_worker_hears_what_its_bindings_take(pattern: str, key: str, hears: bool) -> None:
    assert Listener("w1@host", ALIVE, (pattern,)).hears(key) is hears


def test_some_causes_say_that_no_run_was_due() -> None:
    found = {name for name in CAUSES if Cause(name, _(""), "").is_none_due}

    assert found == {"schedule_disabled", "schedule_deleted", "before_window", "task_unknown"}


odd_texts = texts | st.sampled_from(["expired", "NotRegistered: x", "worker lost", "E: {x}\n%s"])
some_executions = st.builds(
    Execution._replace, executions(), error=odd_texts, worker=st.just("") | texts
)
some_heartbeats = st.builds(Heartbeat, moments, moments, st.none() | moments)
some_listeners = st.builds(Listener, texts, some_heartbeats, st.lists(texts, max_size=2).map(tuple))
some_facts = st.builds(
    Facts,
    now=st.just(NOW),
    rule=rules,
    verdict=st.builds(
        Verdict,
        st.sampled_from(VerdictKind),
        current_status=texts,
        execution=st.none() | some_executions,
        still_running=st.none() | some_executions,
        last_known=st.none() | some_executions,
        measured=st.just(()),
        also_measured=st.just(()),
    ),
    sender=st.none() | texts,
    schedules=st.lists(
        st.builds(
            Schedule,
            texts,
            st.just("sync") | texts,
            st.booleans(),
            moments,
            st.none() | moments,
            st.none() | st.floats(0, 1e6),
            st.booleans(),
        ),
        max_size=5,
    ).map(tuple),
    beat=st.none() | st.builds(Beat, moments, moments),
    due=st.none() | st.builds(Due, st.none() | moments, st.integers(1, 50), st.booleans()),
    world=st.none() | st.builds(World, now=st.just(NOW), seen=st.frozensets(texts, max_size=3)),
    longest_gap=st.none() | st.timedeltas(timedelta(0), timedelta(days=9)),
    message=st.none()
    | st.builds(
        Message,
        st.sampled_from(Status),
        st.none() | moments,
        st.none() | moments,
        texts,
        texts,
        odd_texts,
        texts,
        st.integers(0, 9),
    ),
    queue=st.none()
    | st.builds(Queue, st.integers(0, 3), st.lists(some_listeners).map(tuple), st.integers(0, 3)),
    elsewhere=st.none() | some_executions,
    elsewhere_type=texts,
    worker=st.none() | some_heartbeats,
    past=st.builds(
        Past,
        st.integers(0, 3),
        st.none() | st.timedeltas(timedelta(0), timedelta(days=9)),
        st.integers(0, 3),
        st.none() | moments,
        st.booleans(),
        st.booleans(),
    ),
)


@given(some_facts)
def test_the_cause_is_the_first_that_fits_and_one_line_whatever_is_known(facts: Facts) -> None:
    found = probable_cause(facts)

    fitting = [name for name, explain in CAUSES.items() if explain(facts) is not None]
    if not facts.verdict.is_failing:
        assert found is None
    elif found is None:
        assert fitting == []
    else:
        assert found.id == fitting[0]
        assert found.text == probable_cause(facts).text  # type: ignore[union-attr]
        assert found.evidence
        assert "\n" not in said(found.text, ENGLISH)
        assert len(found.text) < 1200
