"""The rules that are fine, and were at the last check, as the database alone can tell.

Nearly all rules are, at nearly every check. To read ten thousand of them and the newest execution
of each only to find that nothing has changed takes several times as long as finding it where they
are stored. Whatever the database is not sure of is left to `judging`: it takes for fine only what
`core.verdicts.is_plainly_ok` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import Error, connections, models, transaction
from django.db.models import Case, Count, F, FilteredRelation, Func, OuterRef, Q, Value, When
from django.db.models.functions import Cast, Collate
from django.db.models.lookups import In

from monitoring.core.fields import InvalidValueError, read_names, read_statuses
from monitoring.core.statuses import FINISHED
from monitoring.core.verdicts import MAX_CLOCK_SKEW
from monitoring.models import MonitorRule, RuleState
from monitoring.models.fields import exact_collation
from monitoring.rule_rows import list_of
from monitoring.tasklogs.base import TaskLog
from monitoring.tasklogs.host_model import TaskLogError
from monitoring.tasklogs.seek import named
from monitoring.tasklogs.source import task_log

T = TypeVar("T")

logger = logging.getLogger("monitoring.checker")

NOTE_FINE_EVERY = timedelta(minutes=15)
"""How old the time of the last check may get on a rule that stays fine: that every such rule was
checked stands in the record of the check, and writing it on each would cost more than the check."""
MOST_LISTS = 1000
"""Different lists in one statement; rules that have others are looked at one by one."""
_LONGEST = 255
"""Characters of a list; what is longer is cut, so that it is none, and left to `judging`."""
_EPOCH_AS_DAYS = 2_440_587.5
"""1970 as SQLite counts days."""
_SLACK = timedelta(seconds=1)
"""Executions this close to the start of a window are left to `judging`: databases round."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sifted:
    """What the database has found of all enabled rules."""

    fine: int
    """How many are fine, as they were."""
    stale: list[int]
    """Primary keys of the states of those on which to note again that they were checked."""
    rest: list[int]
    """Primary keys of the rules that have to be looked at."""


def sift(now: datetime) -> Sifted | None:
    """Tell the enabled rules that are fine, as they were, from those to look at.

    None: the database cannot tell. now: aware, UTC.
    """
    try:
        log = task_log()
        if not _can_tell(log):
            return None
        # A transaction of its own would keep everybody else from writing into SQLite.
        is_part = connections[log.alias].in_atomic_block
        with transaction.atomic(log.alias) if is_part else nullcontext():
            return _sift(log, now)
    except TaskLogError:  # whoever reads executions will say so
        return None
    except Error:
        logger.warning("all rules are read: the database could not sift them", exc_info=True)
        return None


def _can_tell(log: TaskLog) -> bool:
    """Say whether rules and executions can be read together, and points in time be compared.

    PostgreSQL knows them. Elsewhere they count in the zone of the connection, where an hour may be
    missing; and in SQLite they are whatever text somebody has written. A host's column with a
    collation of its own may take one name for another.
    """
    if not log.alias == MonitorRule.objects.db == RuleState.objects.db:
        return False
    connection = connections[log.alias]
    if connection.vendor == "postgresql":
        name: Any = log.model._meta.get_field(log.fields["task_name"])
        return getattr(name, "db_collation", None) is None
    is_comparable = connection.vendor == "mysql" or log.is_own
    return is_comparable and connection.timezone is UTC


def _sift(log: TaskLog, now: datetime) -> Sifted:
    enabled = MonitorRule.objects.filter(enabled=True).order_by()
    text = models.CharField(max_length=_LONGEST)
    rules = enabled.annotate(
        expected=Cast("expected_statuses", text), dependents=Cast("dependent_tasks", text)
    )
    lists = list(rules.values_list("expected", "dependents").annotate(Count("pk")))
    is_fine = _is_plain() & _depends_on_names({dependents for _, dependents, _ in lists})
    is_fine &= _was_fine() & _ended_as_expected(log, {expected for expected, _, _ in lists}, now)
    same = Q(states__task_name=F("task_name"), states__has_context=False)
    is_stale = Q(state__last_checked_at__lt=now - NOTE_FINE_EVERY)
    looked_at = rules.annotate(
        state=FilteredRelation("states", condition=same),
        is_fine=Case(When(is_fine, then=True), default=False),
        is_stale=Case(When(is_stale, then=True), default=False),
    ).filter(Q(is_stale=True) | Q(is_fine=False))
    rows = list(looked_at.values_list("pk", Case(When(is_fine=True, then="state__pk"))))
    rest = sorted({pk for pk, state in rows if state is None})
    # A rule that was made in between is in the rest and not in the sum.
    fine = max(sum(count for *_, count in lists) - len(rest), 0)
    return Sifted(fine=fine, stale=[state for _, state in rows if state is not None], rest=rest)


def _is_plain() -> Q:
    """Return the condition that a rule is judged by the latest execution of its task alone."""
    return Q(
        context_model="",
        context_field="",
        context_type="",
        max_duration_factor=None,
        min_success_rate=None,
    )


def _depends_on_names(lists: Iterable[str]) -> Q:
    """Return the condition that a rule's list of dependent tasks holds what it may."""
    readable = [text for text in lists if _read(text, read_names) is not None]
    return Q(dependents__in=readable[:MOST_LISTS])


def nothing_counted(prefix: str = "") -> Q:
    """Return the condition that a state is fine: see `StateRow.is_fine`."""
    return Q(
        **{
            f"{prefix}verdict": "ok",
            f"{prefix}failing_checks": 0,
            f"{prefix}unknown_checks": 0,
        }
    )


def _was_fine() -> Q:
    """Return the condition that a rule was fine at the last check, so that nothing is to write."""
    return nothing_counted("state__") & Q(state__last_checked_at__isnull=False)


def _ended_as_expected(log: TaskLog, lists: Iterable[str], now: datetime) -> Q:
    """Return the condition that the latest execution of the window ended as the rule expects."""
    texts: dict[tuple[str, ...], list[str]] = {}
    for text in lists:
        expected = _read(text, read_statuses) or ()
        ends = [
            str(stored)
            for stored, status in log.statuses.items()
            if status in FINISHED and status in expected
        ]
        texts.setdefault(tuple(ends), []).append(text)
    found = Q(pk__in=[])
    for statuses, some in texts.items():
        if statuses:
            # In this order, in which databases work: the look into the log is dear.
            found |= Q(expected__in=some[:MOST_LISTS]) & Q(In(_how_ended(log, now), statuses))
    return found


def _read(text: str, read: Callable[[Any], T]) -> T | None:
    try:
        found: T = list_of(text, read)
    except InvalidValueError:  # whoever looks at the rule will say so
        return None
    return found


def _how_ended(log: TaskLog, now: datetime) -> models.expressions.Combinable:
    """Return the status of the latest execution of the window, as text."""
    vendor = connections[log.alias].vendor
    # One that is ahead of every clock is left to `judging`, which says so.
    status = Case(When(log_start__lte=now + MAX_CLOCK_SKEW, then=F(log.fields["status"])))
    text: Any = Cast(status, models.CharField(max_length=_LONGEST))
    if vendor == "mysql":
        text = Collate(text, exact_collation(connections[log.alias]))
    latest = named(log, log.started_rows(), OuterRef("task_name"))
    latest = latest.filter(log_start__gte=_window_start(vendor, now))
    return models.Subquery(latest.order_by("-log_start", "-pk").values(log_ended=text)[:1])


def _window_start(vendor: str, now: datetime) -> Func:
    """Return the start of a rule's window, up to a second late, so that an index is used."""
    hours, from_ = OuterRef("lookback_hours"), now + _SLACK
    if vendor == "sqlite":
        at: Any = Value(_EPOCH_AS_DAYS + from_.timestamp() / 86_400)
        template, joiner = (
            "strftime('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%S', %(expressions)s / 24.0)",
            " - ",
        )
    elif vendor == "postgresql":
        at = Value(from_, models.DateTimeField())
        template, joiner = "(%(expressions)s * interval '1 hour')", " - "
    else:
        at = Value(from_, models.DateTimeField())
        template, joiner = "(%(expressions)s * 3600) SECOND)", " - INTERVAL ("
    return Func(
        at, hours, template=template, arg_joiner=joiner, output_field=models.DateTimeField()
    )
