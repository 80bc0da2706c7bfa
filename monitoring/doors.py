"""What the periodic task, the management command and the admin all call.

The clock is read here and nowhere further in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from monitoring import delivery, health, metrics, outbox, retention
from monitoring.checker import run_check
from monitoring.core.arguments import parse_arguments
from monitoring.core.health import Facts
from monitoring.core.metrics import Facts as MetricFacts
from monitoring.delivery import Delivered
from monitoring.reports import Report
from monitoring.rulesets import select
from monitoring.runs import Request
from monitoring.transactions import in_transaction

BRIEFLY = timedelta(seconds=10)
"""How long a person waits for the mail server, and for the message that is under way then."""


def check(
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    request: Request | None = None,
    dry_run: bool = False,
    hand_over: Callable[[], object] | None = None,
) -> Report:
    """Check what the arguments ask for and deliver what is owed once that is committed.

    request: who asks; None: a person. hand_over: lets somebody else deliver; None: it is done
    here, before this returns. Nothing is raised for bad arguments or rules that cannot be judged:
    see `Report.problems`.
    """
    periodic_task = request.periodic_task if request else ""
    arguments = parse_arguments(args, kwargs, periodic_task)
    rule_set = in_transaction(lambda: select(arguments, periodic_task))
    report = run_check(rule_set, timezone.now(), request=request, dry_run=dry_run)
    if dry_run:
        return report
    hand_over = hand_over or deliver
    if connection.in_atomic_block:
        # The caller's transaction may still be rolled back, and the alerts with it.
        transaction.on_commit(hand_over, robust=True)
    else:
        hand_over()
    in_transaction(report.read_message_states)
    return report


def deliver() -> Delivered:
    """Send what the outbox owes."""
    return delivery.deliver(timezone.now())


def deliver_briefly() -> Delivered:
    """Send what the outbox owes, as far as a person can wait; the next delivery sends the rest."""
    return delivery.deliver(timezone.now(), BRIEFLY)


def book_wakeup() -> timedelta | None:
    """Return when delivery should come back by itself; None: it need not, or another will."""
    return outbox.book_wakeup(timezone.now())


def has_due() -> bool:
    """Say whether the outbox owes anything now."""
    return outbox.has_due(timezone.now())


def look() -> Facts:
    """Return what can be seen of the monitor itself."""
    return health.look(timezone.now())


def measure() -> MetricFacts:
    """Return what can be seen of the monitor itself, as numbers."""
    return metrics.read(timezone.now())


def send_heartbeat() -> bool:
    """Tell whoever watches from outside that all is well, if it is."""
    return health.send_heartbeat(timezone.now())


def owed_count() -> int:
    """Return how many messages are still to be delivered."""
    return outbox.owed_count()


def prune(seconds: float | None = None) -> tuple[dict[str, int], bool]:
    """Delete old history; return how many rows of each kind, and whether all was done.

    seconds: after which no other batch begins; None: all is done.
    """
    return retention.prune(timezone.now(), seconds)


def would_prune() -> dict[str, int]:
    """Return how many rows of each kind `prune` would delete now."""
    return retention.would_prune(timezone.now())
