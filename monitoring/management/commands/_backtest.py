"""`monitor backtest`: what rules would have done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from monitoring.backtests import DEFAULT_DAYS, DEFAULT_EVERY, over_days
from monitoring.contexts import ContextError
from monitoring.core.arguments import parse_arguments
from monitoring.core.backtest import Backtest, Incident, in_words
from monitoring.core.messages import iso
from monitoring.core.values import Rule
from monitoring.rulesets import RuleSet, select
from monitoring.tasklogs.host_model import TaskLogError

MOST_DAYS = 400
MOST_INCIDENTS = 10
"""Lines about one rule; `--json` has all."""
_MINUTE = timedelta(minutes=1)


def add_subcommand(commands: Any) -> CommandParser:
    """Add the subcommand to the parsers of `monitor`, and return its own."""
    parser: CommandParser = commands.add_parser(
        "backtest",
        help="say what rules would have done over the past days; write nothing",
        description=(
            "Replay checks over past executions and say which alert events rules would have "
            "opened. Exit status: 0, or 2 if a rule could not be replayed."
        ),
    )
    parser.add_argument("--rule", action="append", metavar="NAME", help="only this rule")
    parser.add_argument(
        "--days", type=int, default=DEFAULT_DAYS, help=f"how far back (default: {DEFAULT_DAYS})"
    )
    every = DEFAULT_EVERY // _MINUTE
    parser.add_argument(
        "--every",
        type=int,
        default=every,
        metavar="MINUTES",
        help=f"time between checks (default: {every})",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def run(options: dict[str, Any], write: Callable[[str], object]) -> list[str]:
    """Print what each rule would have done; return why others could not be replayed."""
    days, every = options["days"], options["every"]
    if not 1 <= days <= MOST_DAYS:
        raise CommandError(f"--days must be from 1 to {MOST_DAYS}, got {days}", returncode=2)
    if every < 1:
        raise CommandError(f"--every must be at least 1 minute, got {every}", returncode=2)
    names = {"rules": options["rule"]} if options["rule"] else {}
    rule_set = select(parse_arguments((), names, ""))
    problems = list(rule_set.problems)
    told = []
    for rule, found in _replayed(rule_set, days, every * _MINUTE, problems):
        if options["json"]:
            told.append({"rule": rule.name, **_as_dict(found)})
        else:
            write(f"{rule.name}: {in_words(found)}")
            for line in _lines(found):
                write(f"  {line}")
    if options["json"]:
        write(json.dumps(told, indent=2))
    return problems


def _replayed(
    rule_set: RuleSet, days: int, every: timedelta, problems: list[str]
) -> Iterator[tuple[Rule, Backtest]]:
    now = timezone.now().replace(second=0, microsecond=0)
    for batch in rule_set.batches():
        for rule in batch.rules:
            if rule.key in batch.unusable:
                problems.append(f"{rule.name}: {batch.unusable[rule.key]}")
                continue
            try:
                yield rule, over_days(rule, now, days, every)
            except (ContextError, TaskLogError) as error:
                problems.append(f"{rule.name}: {error}")


def _lines(found: Backtest) -> Iterator[str]:
    for incident in found.incidents[:MOST_INCIDENTS]:
        until = f"{incident.resolved_at:%Y-%m-%d %H:%M} UTC" if incident.resolved_at else "now"
        late = ", a late run" if incident.was_a_late_run else ""
        plural = "" if incident.messages == 1 else "s"
        yield (
            f"{incident.opened_at:%Y-%m-%d %H:%M} to {until}: {incident.current_status}{late}, "
            f"{incident.messages} message{plural}"
        )
    left = len(found.incidents) - MOST_INCIDENTS
    if left > 0:
        yield f"and {left} more"


def _as_dict(found: Backtest) -> dict[str, Any]:
    return {
        "from": found.start.isoformat(),
        "to": found.end.isoformat(),
        "covered_from": iso(found.covered_from),
        "checks": found.checks,
        "unknown_checks": found.unknown_checks,
        "messages": found.messages,
        "late_runs": found.late_runs,
        "events": [_incident(one) for one in found.incidents],
    }


def _incident(one: Incident) -> dict[str, Any]:
    return {
        "opened_at": one.opened_at.isoformat(),
        "resolved_at": iso(one.resolved_at),
        "verdict": one.verdict.value,
        "current_status": one.current_status,
        "messages": one.messages,
        "late_run": one.was_a_late_run,
    }
