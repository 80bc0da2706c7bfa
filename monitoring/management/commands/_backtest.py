"""`monitor backtest`: what rules would have done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from monitoring.backtests import DEFAULT_DAYS, History, history_of, interval_of_checks
from monitoring.contexts import ContextError
from monitoring.core.arguments import parse_arguments
from monitoring.core.backtest import Backtest, in_words
from monitoring.core.messages import iso, number
from monitoring.core.replay import Incident
from monitoring.core.suggestion import Refusal, Suggestion
from monitoring.core.values import MAX_LOOKBACK_HOURS, Rule
from monitoring.rulesets import RuleSet, select
from monitoring.tasklogs.host_model import TaskLogError

MOST_DAYS = 400
MOST_INCIDENTS = 10
"""Lines about one rule; `--json` has all."""
_MINUTE = timedelta(minutes=1)
_GROUNDS = {
    "chosen": "as --every says",
    "scheduled": "as it is scheduled",
    "assumed": "because no check is scheduled",
}
"""Why so much time is taken to pass between two checks."""


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
    parser.add_argument(
        "--every",
        type=int,
        metavar="MINUTES",
        help="time between checks (default: as they are scheduled; 5 if they are not)",
    )
    parser.add_argument(
        "--suggest",
        action="store_true",
        help="say which window and threshold would have raised no false alarm",
    )
    parser.add_argument(
        "--delay",
        type=float,
        metavar="HOURS",
        help="how much later than usual a run may come without an alarm (with --suggest)",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def run(options: dict[str, Any], write: Callable[[str], object]) -> list[str]:
    """Print what each rule would have done; return why others could not be replayed."""
    complaint = _complaint(options)
    if complaint:
        raise CommandError(complaint, returncode=2)
    delay = None if options["delay"] is None else timedelta(hours=options["delay"])
    names = {"rules": options["rule"]} if options["rule"] else {}
    rule_set = select(parse_arguments((), names, ""))
    problems = list(rule_set.problems)
    told = []
    now = timezone.now().replace(second=0, microsecond=0)
    length, ground = _interval(options["every"], now)
    if not options["json"]:
        write(f"as if checked every {_long(length)}, {_GROUNDS[ground]}")
    for rule, history in _histories(rule_set, now, options["days"], length, problems):
        found = history.replay(rule)
        suggested = history.suggest(rule, delay) if options["suggest"] else None
        if options["json"]:
            said = {"suggestion": _suggested(suggested)} if suggested else {}
            checks = {"every_minutes": length / _MINUTE, "every_is": ground}
            told.append({"rule": rule.name, **checks, **_as_dict(found), **said})
        else:
            write(f"{rule.name}: {in_words(found)}")
            for line in (*_lines(found), *_advice(suggested)):
                write(f"  {line}")
    if options["json"]:
        write(json.dumps(told, indent=2))
    return problems


def _complaint(options: dict[str, Any]) -> str:
    """Return what is wrong with the options; empty: nothing."""
    days, every, delay = options["days"], options["every"], options["delay"]
    if not 1 <= days <= MOST_DAYS:
        return f"--days must be from 1 to {MOST_DAYS}, got {days}"
    if every is not None and every < 1:
        return f"--every must be at least 1 minute, got {every}"
    if delay is not None and not 0 < delay <= MAX_LOOKBACK_HOURS:
        return f"--delay must be above 0 and at most {MAX_LOOKBACK_HOURS} hours, got {delay:g}"
    return "--delay needs --suggest" if delay is not None and not options["suggest"] else ""


def _interval(minutes: int | None, now: datetime) -> tuple[timedelta, str]:
    """Return how much time passes between two checks, and which of `_GROUNDS` says so."""
    if minutes is not None:
        return minutes * _MINUTE, "chosen"
    every, is_scheduled = interval_of_checks(now)
    return every, "scheduled" if is_scheduled else "assumed"


def _histories(
    rule_set: RuleSet, now: datetime, days: int, every: timedelta, problems: list[str]
) -> Iterator[tuple[Rule, History]]:
    for batch in rule_set.batches():
        for rule in batch.rules:
            if rule.key in batch.unusable:
                problems.append(f"{rule.name}: {batch.unusable[rule.key]}")
                continue
            try:
                yield rule, history_of(rule, now, days, every)
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


def _advice(found: Suggestion | Refusal | None) -> Iterator[str]:
    if isinstance(found, Refusal):
        yield f"no suggestion: {found.text}"
    elif found is not None:
        window = f"look back {number(found.lookback_hours)} h"
        yield (
            f"suggested: {window}, alert after {found.alert_after}: "
            f"it usually runs every {_long(found.usual)}, at most {_long(found.latest)} late"
        )
        yield f"  a missing run is told of within {_long(found.told_after)}"
        if found.runs:
            yield f"  it holds {found.runs} runs, so that what usually fails is no low success rate"
        if found.max_duration_factor:
            yield (
                f"  a duration of {number(found.max_duration_factor)} times the usual is a limit "
                f"without a false alarm; {found.slower} runs took longer"
            )
        if found.beyond:
            yield f"  {found.beyond} of {found.gaps} gaps were longer than {_long(found.longest)}"
        yield f"  with it: {in_words(found.backtest)}"


def _long(length: timedelta) -> str:
    minutes = round(length / _MINUTE)
    return f"{number(round(minutes / 60, 1))} h" if minutes >= 120 else f"{minutes} min"


def _suggested(found: Suggestion | Refusal) -> dict[str, Any]:
    if isinstance(found, Refusal):
        return {"refused": found.reason.value, "text": str(found.text)}
    return {
        "lookback_hours": found.lookback_hours,
        "alert_after": found.alert_after,
        "max_duration_factor": found.max_duration_factor,
        "slower_runs": found.slower,
        "runs_in_window": found.runs,
        "usual_hours": _hours(found.usual),
        "delay_hours": _hours(found.delay),
        "latest_hours": _hours(found.latest),
        "told_after_hours": _hours(found.told_after),
        "gaps": found.gaps,
        "longer_gaps": found.beyond,
        **_as_dict(found.backtest),
    }


def _hours(length: timedelta) -> float:
    return round(length / timedelta(hours=1), 4)


def _as_dict(found: Backtest) -> dict[str, Any]:
    return {
        "from": found.start.isoformat(),
        "to": found.end.isoformat(),
        "covered_from": iso(found.covered_from),
        "checks": found.checks,
        "unknown_checks": found.unknown_checks,
        "messages": found.messages,
        "failures": found.failures,
        "late_runs": found.late_runs,
        "still_open": found.still_open,
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
