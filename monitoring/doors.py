"""What the periodic task, the management command and the admin all call.

The clock is read here and nowhere further in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connection, transaction
from django.utils import timezone

from monitoring import delivery
from monitoring.checker import run_check
from monitoring.core.arguments import parse_arguments
from monitoring.delivery import Delivered
from monitoring.reports import Report
from monitoring.rulesets import select


def check(
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    periodic_task: str = "",
    dry_run: bool = False,
) -> Report:
    """Check what the arguments ask for and deliver what is owed once that is committed.

    Nothing is raised for bad arguments or rules that cannot be judged: see `Report.problems`.
    """
    arguments = parse_arguments(args, kwargs, periodic_task)
    report = run_check(select(arguments, periodic_task), timezone.now(), dry_run=dry_run)
    if dry_run:
        return report
    if connection.in_atomic_block:
        # The caller's transaction may still be rolled back, and the alerts with it.
        transaction.on_commit(_deliver_quietly, robust=True)
    else:
        deliver()
    report.read_message_states()
    return report


def deliver() -> Delivered:
    """Send what the outbox owes."""
    return delivery.deliver(timezone.now())


def _deliver_quietly() -> None:
    deliver()
