"""`monitor install-schedules`: the periodic tasks that a host needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.urls import NoReverseMatch, reverse
from django_celery_beat.models import PeriodicTask

from monitoring import periodic_tasks
from monitoring.conf import get_settings

DEFAULT_EVERY = 5
"""Minutes."""


def add_subcommand(commands: Any) -> CommandParser:
    """Add the subcommand to the parsers of `monitor`, and return its own."""
    parser: CommandParser = commands.add_parser(
        "install-schedules",
        help="create the periodic tasks that check all rules and delete old history",
        description=(
            "Create the periodic task that checks all rules, and the daily one that deletes "
            "old history. What is there already is left as it is."
        ),
    )
    parser.add_argument(
        "--every",
        type=int,
        metavar="MINUTES",
        help=f"how often to check ({DEFAULT_EVERY})",
    )
    return parser


def run(every: int | None, write: Callable[[str], object]) -> None:
    """Create what is missing and say what is there. every: minutes; None: nobody has said."""
    minutes = DEFAULT_EVERY if every is None else every
    if minutes < 1:
        raise CommandError(f"--every must be at least 1 minute, got {minutes}")
    check, is_new = periodic_tasks.install(minutes)
    write(_told(check, is_new))
    if is_new:
        plural = "" if minutes == 1 else "s"
        write(f"  the first check comes {minutes} minute{plural} after beat has started")
    elif every is not None and not _comes_every(check, minutes):
        write(f"  --every {every} has changed nothing: its schedule is changed {_where(check)}")
    write(_told(*periodic_tasks.install_prune()))


def _told(row: PeriodicTask, is_new: bool) -> str:
    state = "enabled" if row.enabled else "disabled: enable it in the admin"
    what = "created" if is_new else "already there, left as it is"
    return f'periodic task "{row.name}" {what} ({row.scheduler}, {state})'


def _comes_every(row: PeriodicTask, minutes: int) -> bool:
    return row.interval is not None and row.interval.schedule.run_every == timedelta(
        minutes=minutes
    )


def _where(row: PeriodicTask) -> str:
    try:
        path = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])
    except NoReverseMatch:  # a host without the admin
        return f"where it is kept, the periodic task with the id {row.pk}"
    return f"in the admin, at {get_settings().BASE_URL.rstrip('/')}{path}"
