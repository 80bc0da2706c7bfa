"""The executions of one task as months of them are kept: by column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate, compress, pairwise
from typing import Any, overload

from monitoring.core.statuses import FINISHED, Status
from monitoring.core.values import Execution

NEVER = datetime.max.replace(tzinfo=UTC)


class Successes:
    """The executions that completed, in the order in which they ended, by column."""

    def __init__(
        self,
        places: Sequence[int],
        ends: Sequence[datetime],
        starts: Sequence[datetime],
        took: Sequence[float],
    ) -> None:
        self.places, self.ends, self.starts, self.took = places, ends, starts, took
        self.end_as_they_began = all(earlier <= later for earlier, later in pairwise(starts))


class Past(Sequence[Execution]):
    """Executions by start; one is made of its columns only when it is asked for.

    A hundred thousand tuples keep the garbage collector busy for longer than it takes to read them
    and to replay what a rule would have made of them.
    """

    def __init__(
        self,
        task_name: str,
        pks: Sequence[Any],
        statuses: Sequence[Status],
        starts: Sequence[datetime],
        finishes: Sequence[datetime | None],
        *,
        made: Sequence[Execution] | None = None,
    ) -> None:
        self.task_name, self.pks, self.statuses = task_name, pks, statuses
        self.starts, self.finishes = starts, finishes
        self._made = made

    @classmethod
    def of(cls, executions: Sequence[Execution]) -> Past:
        """Return executions, by start, with their columns."""
        if isinstance(executions, Past):
            return executions
        return cls(
            executions[0].task_name if executions else "",
            [one.pk for one in executions],
            [one.status for one in executions],
            [one.started_at for one in executions],
            [one.finished_at for one in executions],
            made=executions,
        )

    @overload
    def __getitem__(self, place: int) -> Execution: ...
    @overload
    def __getitem__(self, place: slice) -> Past: ...
    def __getitem__(self, place: int | slice) -> Execution | Past:
        if isinstance(place, slice):
            made = None if self._made is None else self._made[place]
            columns = (self.pks, self.statuses, self.starts, self.finishes)
            pks, statuses, starts, finishes = (column[place] for column in columns)
            return Past(self.task_name, pks, statuses, starts, finishes, made=made)  # type: ignore[arg-type]
        if self._made is not None:
            return self._made[place]
        return Execution(
            self.pks[place],
            self.task_name,
            self.statuses[place],
            self.starts[place],
            self.finishes[place],
        )

    def __len__(self) -> int:
        return len(self.starts)

    def after(self, earlier: Iterable[Execution]) -> Past:
        """Return these with others, by start, before them."""
        others = Past.of(list(earlier))
        if not others:
            return self
        return Past(
            self.task_name,
            [*others.pks, *self.pks],
            [*others.statuses, *self.statuses],
            [*others.starts, *self.starts],
            [*others.finishes, *self.finishes],
        )

    def newest_over(self, begun: int, now: datetime) -> Execution | None:
        """Return the newest of the first so many that had finished."""
        for place in range(begun - 1, -1, -1):
            if self.statuses[place] in FINISHED and self.ends[place] <= now:
                return self[place]
        return None

    def newest_running(self, begun: int, now: datetime) -> Execution | None:
        """Return the newest of the first so many that ran, as the log had it."""
        for place in range(begun - 1, -1, -1):
            if self.latest_ends[place] <= now:
                return None  # nor does any before it run
            if (seen := as_seen(self[place], now)).status is Status.RUNNING:
                return seen
        return None

    @cached_property
    def ends(self) -> Sequence[datetime]:
        """When each was over; one that still runs, never."""
        return [
            finish or (start if status in FINISHED else NEVER)
            for finish, start, status in zip(self.finishes, self.starts, self.statuses, strict=True)
        ]

    @cached_property
    def latest_ends(self) -> Sequence[datetime]:
        """The latest end of each and all before it."""
        return list(accumulate(self.ends, max))

    @cached_property
    def known_finishes(self) -> Sequence[datetime]:
        return sorted(finish for finish in self.finishes if finish is not None)

    @cached_property
    def successes(self) -> Successes:
        places = [
            place
            for place, (status, finish) in enumerate(zip(self.statuses, self.finishes, strict=True))
            if status is Status.COMPLETED and finish is not None
        ]
        over = [max(self.ends[place], self.starts[place]) for place in places]
        if any(earlier > later for earlier, later in pairwise(over)):
            order = sorted(range(len(places)), key=over.__getitem__)
            places, over = [places[at] for at in order], [over[at] for at in order]
        starts = [self.starts[place] for place in places]
        took = [(end - start).total_seconds() for start, end in zip(starts, over, strict=True)]
        return Successes(places, over, starts, took)

    @cached_property
    def finished(self) -> Mapping[Status, Past]:
        """Those that ended in each of the statuses that end an execution."""
        return {status: self._of(status) for status in FINISHED}

    def _of(self, status: Status) -> Past:
        chosen = [one is status for one in self.statuses]
        columns = (self.pks, self.statuses, self.starts, self.finishes)
        return Past(self.task_name, *(list(compress(column, chosen)) for column in columns))

    @cached_property
    def sorted_ends(self) -> Sequence[datetime]:
        """When they were over; an end before the start, by two clocks, is the start."""
        return sorted(map(max, self.ends, self.starts))

    @cached_property
    def longest(self) -> timedelta:
        lengths = (end - start for end, start in zip(self.ends, self.starts, strict=True))
        return max(lengths, default=timedelta(0))


def is_over(one: Execution, now: datetime) -> bool:
    """Say whether the log had the outcome at that time."""
    return one.status in FINISHED and (one.finished_at is None or one.finished_at <= now)


def as_seen(one: Execution, now: datetime) -> Execution:
    """Return an execution as the log had it at that time."""
    if one.finished_at is not None and one.finished_at > now:
        return one._replace(status=Status.RUNNING, finished_at=None)
    return one
