"""`monitor discover`: which rules are worth having."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from monitoring.core.discovery import REASONS, Proposal, Reason
from monitoring.core.names import did_you_mean
from monitoring.discovery import Accepted, accept, discover
from monitoring.tasklogs.host_model import TaskLogError

NOTHING_LEFT, SOME_PROPOSED, COULD_NOT = 0, 1, 2
_FIELDS = {"lookback_hours": "look back", "expected_statuses": "expect"}


def add_subcommand(commands: Any) -> CommandParser:
    """Add the subcommand to the parsers of `monitor`, and return its own."""
    parser: CommandParser = commands.add_parser(
        "discover",
        help="propose rules for tasks that nobody watches, and changes of rules that no longer fit",
        description=(
            "Propose a rule for every task that runs regularly and that nobody watches, and a "
            "change of each rule that its schedule has left behind. Exit status: 0 nothing is "
            "proposed, or all of it was accepted; 1 something is proposed; 2 a name was not "
            "proposed, or nothing could be read: then nothing is accepted."
        ),
    )
    parser.add_argument(
        "--accept",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="add or change this rule, named as it is proposed or by its task",
    )
    parser.add_argument("--accept-all", action="store_true", help="add and change all of them")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    return parser


def run(options: dict[str, Any], write: Callable[[str], object]) -> int:
    """Print what is proposed, accept what is asked for, and return the exit status.

    Raises CommandError if a name is not proposed; nothing is accepted then.
    """
    try:
        found = discover(timezone.now())
    except TaskLogError as error:
        raise CommandError(f"the task log cannot be read: {error}", returncode=COULD_NOT) from error
    chosen = list(found) if options["accept_all"] else _chosen(found, options["accept"])
    try:
        accepted = accept(chosen)
    except ValidationError as error:
        text = f"nothing was accepted: {'; '.join(error.messages)}"
        raise CommandError(text, returncode=COULD_NOT) from error
    if options["format"] == "json":
        write(json.dumps([_as_dict(one, one in chosen) for one in found], indent=2))
    else:
        for line in _lines(found, chosen, accepted):
            write(line)
    return SOME_PROPOSED if len(chosen) < len(found) else NOTHING_LEFT


def _chosen(found: Sequence[Proposal], names: Iterable[str]) -> list[Proposal]:
    wanted = set(names)
    known = {name for one in found for name in (one.name, one.task_name)}
    unknown = [
        f'nothing is proposed for "{name}"{did_you_mean(name, known)}'
        for name in sorted(wanted - known)
    ]
    if unknown:
        text = "; ".join(unknown) + ": nothing was accepted"
        raise CommandError(text, returncode=COULD_NOT)
    return [one for one in found if wanted & {one.name, one.task_name}]


def _lines(
    found: Sequence[Proposal], chosen: Sequence[Proposal], accepted: Accepted
) -> Iterator[str]:
    # Whoever accepts some has read the list; what is left is counted below.
    for one in chosen or found:
        yield f"{'accepted ' if chosen else ''}{_headline(one)}"
        yield f"    {REASONS[one.reason]}"
        for ground in one.grounds:
            yield f"    {_FIELDS[ground.field]}: {ground.text}"
        if one.followers:
            yield f"    hint: {', '.join(one.followers)} mostly start right after it"
    if chosen:
        yield (
            f"{len(accepted.added)} added, {len(accepted.changed)} changed, "
            f"{len(accepted.disabled)} disabled; {len(found) - len(chosen)} left"
        )
    else:
        yield f"{len(found) or 'nothing'} proposed"


def _headline(one: Proposal) -> str:
    if one.is_new:
        statuses = ", ".join(one.expected_statuses)
        hours = f"look back {one.lookback_hours:g} h, expect {statuses}"
        return f"new      {one.name} ({one.task_name}): {hours}"
    if one.reason is Reason.GONE:
        return f"disable  {one.name} ({one.task_name})"
    hours = f"look back {one.was_hours:g} h -> {one.lookback_hours:g} h"
    return f"change   {one.name} ({one.task_name}): {hours}"


def _as_dict(one: Proposal, is_accepted: bool) -> dict[str, Any]:
    return {
        "name": one.name,
        "task_name": one.task_name,
        "rule": one.rule_id,
        "reason": one.reason.value,
        "lookback_hours": one.lookback_hours,
        "was_hours": one.was_hours,
        "expected_statuses": [status.value for status in one.expected_statuses],
        "grounds": [{"field": ground.field, "text": ground.text} for ground in one.grounds],
        "starts_right_after": list(one.followers),
        "accepted": is_accepted,
    }
