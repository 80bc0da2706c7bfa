"""The record of each check, and the lease that keeps two of the same apart."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from monitoring import periodic_tasks
from monitoring.conf import get_settings
from monitoring.core.gaps import EARLIER_CHECKS, SAME_CHECK, is_backlog, not_checked_from
from monitoring.models import MonitorRun, RunState

logger = logging.getLogger("monitoring.checker")

MOST_ATTEMPTS = 3
"""Checks that one message may begin: one that kills its worker is delivered again for ever."""
_KILLED = "never ended: the process was killed"


class LeaseLostError(Exception):
    """Another check of the same rules has taken this one for dead and goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Who asks for a check, as far as that decides whether it has to be done."""

    task_id: str = ""
    """Of the message; empty: a person asks, and is never refused for having asked before."""
    periodic_task: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A check that may go on."""

    run: MonitorRun
    wait: timedelta | None = None
    """What the schedule lets pass between two of them; None: nobody can tell."""
    done_since: datetime | None = None
    """An earlier delivery of the same message did part of it from here on."""
    orphans: tuple[int, ...] = ()
    """Checks of the same rules that were killed; their messages may still wait to be released."""
    last: datetime | None = None
    """When the newest complete check of the same rules began; None: there is none."""


def begin(name: str, identity: str, now: datetime, request: Request) -> Begun | str:
    """Record the start of a check, or say in a few words why it is not done.

    Part of a transaction that sees what others commit. The lease is taken first: who had to wait
    for it must judge by what the other check has left.
    """
    orphans = _take_from_the_dead(identity, now, request)
    try:
        with transaction.atomic():
            run = MonitorRun.objects.create(
                rule_set=name,
                identity=identity,
                task_id=request.task_id,
                lease=identity,
                leased_until=now + lease_time(),
                started_at=now,
            )
    except IntegrityError:
        return "another check of these rules is running"
    attempts = _attempts(run)
    earlier, wait = _rhythm(identity, now, request)
    reason = _needless(attempts, earlier, wait, now, request)
    if reason:
        run.delete()
        return reason
    run.not_checked_from = not_checked_from(earlier, now, wait)
    if run.not_checked_from:
        run.save(update_fields=["not_checked_from"])
    done_since = attempts[0].started_at if attempts else None
    last = earlier[0] if earlier else None
    return Begun(run=run, wait=wait, done_since=done_since, orphans=orphans, last=last)


def _attempts(run: MonitorRun) -> list[MonitorRun]:
    """Return what earlier deliveries of the same message have begun."""
    if not run.task_id:
        return []
    return list(MonitorRun.objects.filter(task_id=run.task_id).exclude(pk=run.pk).order_by("pk"))


def _needless(
    attempts: list[MonitorRun],
    earlier: list[datetime],
    wait: timedelta | None,
    now: datetime,
    request: Request,
) -> str:
    if any(run.state == RunState.COMPLETE for run in attempts):
        return "this message was obeyed already"
    if len(attempts) >= MOST_ATTEMPTS:
        return f"this message was tried {len(attempts)} times, and no check of it ended"
    if request.periodic_task and earlier and is_backlog(earlier[0], now, wait):
        return f"the same was checked {abs(now - earlier[0]).total_seconds():.1f} s ago"
    return ""


def last_complete(identity: str) -> datetime | None:
    """Return when the newest complete check of the same began; None: there is none."""
    done = MonitorRun.objects.filter(identity=identity, state=RunState.COMPLETE)
    return done.order_by("-started_at").values_list("started_at", flat=True).first()


def is_recorded(run: MonitorRun) -> bool:
    """Say whether a start was committed although the connection was lost at that moment."""
    rows = MonitorRun.objects.filter(pk=run.pk, lease=run.lease, started_at=run.started_at)
    return rows.exists()


def _rhythm(
    identity: str, now: datetime, request: Request
) -> tuple[list[datetime], timedelta | None]:
    """Return when the same was checked before, newest first, and the wait its schedule sets."""
    earlier = _earlier(now, identity=identity)
    if not earlier or not request.periodic_task:
        return earlier, None
    return earlier, periodic_tasks.wait_after(request.periodic_task, earlier[0])


def gap_of_all(begun: Begun, now: datetime) -> datetime | None:
    """Return the last check of whatever rules before a gap that ends now, or None if there is none.

    For what every check judges, whichever rules it is about.
    """
    return not_checked_from(_earlier(now), now, begun.wait)


def _earlier(now: datetime, **asked: str) -> list[datetime]:
    """Return when complete checks began before, the newest first. asked: of which only."""
    done = MonitorRun.objects.filter(
        **asked,
        state=RunState.COMPLETE,
        # Those that were ahead in the queue, but not what a clock that was ahead has written: that
        # must not hide a gap.
        started_at__lt=now + SAME_CHECK,
    )
    return list(done.order_by("-started_at").values_list("started_at", flat=True)[:EARLIER_CHECKS])


def _take_from_the_dead(identity: str, now: datetime, request: Request) -> tuple[int, ...]:
    """End checks of the same rules that no longer move; return them.

    A message that comes again says itself that its first delivery is dead. A lease that ends
    later than any can was given by a clock gone wrong.
    """
    is_dead = Q(leased_until__lt=now) | Q(leased_until__gt=now + 2 * lease_time())
    if request.task_id:
        is_dead |= Q(task_id=request.task_id)
    dead = MonitorRun.objects.filter(is_dead, lease=identity)
    pks = tuple(dead.values_list("pk", flat=True))
    if pks:
        logger.warning("a check that never ended is taken over: run %s", pks[0])
        dead.filter(pk__in=pks).update(lease=None, state=RunState.FAILED, error=_KILLED)
    return pks


def lease_time() -> timedelta:
    return timedelta(minutes=get_settings().CHECK_LEASE_MINUTES)


def is_due(run: MonitorRun, now: datetime) -> bool:
    """Say whether the half of a check's lease is over, so that it has to say that it moves."""
    return run.leased_until is None or run.leased_until - now < lease_time() / 2


def renew(run: MonitorRun, now: datetime) -> None:
    """Say that the check still moves; part of the transaction of each batch that is written.

    Raises LeaseLostError if it was taken for dead, which undoes the batch.
    """
    run.leased_until = now + lease_time()
    mine = MonitorRun.objects.filter(pk=run.pk, lease=run.lease)
    if not mine.update(leased_until=run.leased_until):
        raise LeaseLostError


def end(run: MonitorRun, state: str, error: str, messages: int, counts: dict[str, int]) -> bool:
    """Record what a check found; return False, and do nothing, if it was taken for dead."""
    ended = MonitorRun.objects.filter(pk=run.pk, lease=run.lease).update(
        lease=None,
        leased_until=None,
        state=state,
        finished_at=timezone.now(),
        messages=messages,
        error=error,
        **counts,
    )
    # Or this was recorded before, and the connection lost when that was to be told.
    return bool(ended) or not MonitorRun.objects.filter(pk=run.pk, error=_KILLED).exists()
