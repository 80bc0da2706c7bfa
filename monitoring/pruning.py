"""Deleting many rows in batches: by primary key, each batch a short transaction of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When

from monitoring.core.retention import FIRST_BATCH, next_size
from monitoring.transactions import in_transaction

SLICE = 2000
"""Rows that are looked at with one query."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Rows of one table, and which of them may go."""

    rows: QuerySet[Any]
    """All of the table."""
    may_go: Q
    """Those that nobody needs any more."""
    still_may_go: Q
    """The part of it that can have changed when they go, in columns of the table itself."""
    came_early: Q | None
    """Rows beyond which none may go, where those with greater primary keys came later: the walk
    ends with the last. None: primary keys say nothing, and the whole table is walked."""
    references: Sequence[tuple[type[Any], str]] = ()
    """Nullable foreign keys to these rows, as (model, field)."""
    spared_by: str = "pk"
    """Column whose values are compared with `spared`."""
    spared: frozenset[Any] = field(default=frozenset())
    """Values of rows that stay."""
    is_referred_to: bool = False
    """Models of the host may refer to these rows: Django does what these models say."""


class Pace:
    """How much is done at once and for how long: shared by all tables of one prune."""

    def __init__(self, seconds: float | None) -> None:
        """seconds: after which no other batch begins; None: all is done."""
        self._ends = None if seconds is None else time.monotonic() + seconds
        self.size = FIRST_BATCH
        self.longest = 0.0
        """Seconds of the longest transaction."""

    @property
    def is_over(self) -> bool:
        return self._ends is not None and time.monotonic() > self._ends

    def write(self, work: Callable[[], int]) -> int:
        """Do one transaction, then leave others as much time as it took."""
        began = 0.0

        def timed() -> int:
            nonlocal began
            began = time.monotonic()  # now that nobody else has to be waited for
            return work()

        count = in_transaction(timed)
        seconds = time.monotonic() - began
        self.longest = max(self.longest, seconds)
        self.size = next_size(self.size, seconds)
        # SQLite has one writer, and no queue: without a pause, who waits for it might never get in.
        time.sleep(seconds)
        return count


def delete(target: Target, pace: Pace) -> int:
    """Delete what may go until nothing is left or the time is over; return how many rows.

    The number of statements per batch does not depend on its size. Where somebody else deletes
    the same, each row is deleted, and counted, by one of the two.
    """
    deleted = 0
    for found in _slices(target):
        done = 0
        if pace.is_over:
            break
        while done < len(found) and not pace.is_over:
            part = found[done : done + pace.size]
            done += len(part)
            deleted += _delete(target, part, pace)
    return deleted


def count(target: Target) -> int:
    """Return how many rows `delete` would delete, and write nothing."""
    return sum(len(pks) for pks in _slices(target))


def _slices(target: Target) -> Iterator[list[Any]]:
    """Yield the primary keys of what may go, in order, slice by slice of the table.

    Read outside of a transaction: on SQLite, one that reads would keep writers out.
    """
    came_early = Q() if target.came_early is None else target.came_early
    rows = target.rows.order_by("pk").annotate(
        goes=_as_flag(target.may_go), early=_as_flag(came_early)
    )
    rest = rows
    while True:
        found = list(rest.values_list("pk", "goes", "early", target.spared_by)[:SLICE])
        yield [pk for pk, goes, _, name in found if goes and name not in target.spared]
        if len(found) < SLICE or not any(early for _, _, early, _ in found):
            return
        rest = rows.filter(pk__gt=found[-1][0])


def _as_flag(condition: Q) -> Any:
    """Return a condition as a column; nothing is asked of the database for one that is empty."""
    if not condition:
        return Value(True)
    return Case(When(condition, then=True), default=False, output_field=BooleanField())


def _delete(target: Target, pks: Sequence[Any], pace: Pace) -> int:
    for model, name in target.references:
        _forget(model, name, pks, pace)
    rows = target.rows.filter(target.still_may_go, pk__in=pks)
    if target.is_referred_to:
        return pace.write(lambda: rows.delete()[1].get(rows.model._meta.label, 0))
    # Not delete(): it would load every row that refers to one of these.
    return pace.write(lambda: rows._raw_delete(rows.db))


def _forget(model: type[Any], name: str, pks: Sequence[Any], pace: Pace) -> None:
    """Empty a foreign key to rows that go; one of them may be referred to by thousands."""
    referring = model._base_manager.filter(**{f"{name}__in": pks})
    while True:
        size = pace.size
        found = list(referring.values_list("pk", flat=True)[:size])
        if found:
            rows = model._base_manager.filter(pk__in=found)
            pace.write(lambda rows=rows: rows.update(**{name: None}))  # type: ignore[misc]
        if len(found) < size:
            return
