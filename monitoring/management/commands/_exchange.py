"""`monitor import` and `monitor export`: rules in and out of version control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from monitoring.core.fields import shown
from monitoring.exchange.documented import to_arguments
from monitoring.exchange.resources import (
    RuleResult,
    changed_fields,
    export_rules,
    import_rules,
    written_rules,
)
from monitoring.exchange.rows import MAX_BYTES, TOO_LARGE, FileError, dump, plain
from monitoring.exchange.tables import read_file
from monitoring.linting import Finding, lint_rows
from monitoring.models import MonitorRule

Write = Callable[[str], object]


def add_subcommands(commands: Any) -> list[CommandParser]:
    """Add both subcommands to the parsers of `monitor`, and return theirs."""
    importing: CommandParser = commands.add_parser(
        "import",
        help="add and change rules as a file says: all of them, or none if one is wrong",
        description=(
            "Add and change rules as a file says: one that `monitor export` wrote, or documented "
            "JSON arguments. If one rule is wrong, none is imported and the exit status is 1."
        ),
    )
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument(
        "--dry-run", action="store_true", help="say what would change; write nothing"
    )

    exporting: CommandParser = commands.add_parser(
        "export",
        help="write all rules as JSON",
        description=(
            "Write all rules as JSON. Exit status: 0 all were written, 1 some cannot be written in "
            "the documented format and are left out; if none can, nothing is written."
        ),
    )
    exporting.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="default: standard output"
    )
    exporting.add_argument(
        "--format",
        choices=["json", "documented"],
        default="json",
        help="json: all of every rule; documented: arguments of monitor_task_status",
    )
    exporting.add_argument(
        "--documented",
        action="store_const",
        const="documented",
        dest="format",
        help="the same as --format documented",
    )
    return [importing, exporting]


def run_import(path: Path, *, dry_run: bool, write: Write) -> list[Finding]:
    """Import a file, write what changed, and return what is odd about those rules.

    Raises CommandError with every problem if nothing was imported.
    """
    try:
        result = import_rules(read_file(_read(path)), dry_run=dry_run)
        problems = result.problems()
    except FileError as error:
        problems = list(error.problems)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise CommandError(f"{path}: nothing was imported{listed}")
    _report(result, dry_run, write)
    return lint_rows(written_rules(result), timezone.now())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise FileError(TOO_LARGE)
    return data


def _report(result: RuleResult, dry_run: bool, write: Write) -> None:
    for row in result:
        if row.is_new():
            write(f"  added    {row.instance.name}")
        elif row.is_update():
            changes = [
                f"{field} {_spelt(row.original, field)} -> {_spelt(row.instance, field)}"
                for field in changed_fields(row)
            ]
            write(f"  changed  {row.instance.name}: {', '.join(changes)}")
    totals = result.totals
    counts = f"{totals['new']} added, {totals['update']} changed, {totals['skip']} unchanged"
    write(f"{counts}; nothing was written, this was a dry run" if dry_run else counts)


def _spelt(rule: MonitorRule, field: str) -> str:
    return shown(plain(getattr(rule, field)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    text: str
    """Empty: there is nothing to write, and no file is made of it."""
    complaints: tuple[str, ...] = ()
    """Rules that are not in the text, and why."""
    notes: tuple[str, ...] = ()
    """What else the text does not say."""


def exported(format_: str) -> Exported:
    """Return all rules in a format."""
    if format_ == "json":
        return Exported(text=export_rules())
    export = to_arguments(MonitorRule.objects.all(), timezone.now())
    complaints = [
        f'rule "{name}" cannot be written as documented arguments: {"; ".join(reasons)}'
        for name, reasons in export.refused.items()
    ]
    if not export.configuration:
        why = "no rule can be written so" if complaints else "there are no rules"
        complaints.append(f"nothing was written: {why}")
    return Exported(
        # An empty configuration is none; without one, the arguments would ask for all rules.
        text=dump(export.arguments) if export.configuration else "",
        complaints=tuple(complaints),
        notes=tuple(
            f'rule "{name}": its description is left out, documented arguments have none'
            for name in export.without_description
        ),
    )


def save(path: Path, text: str) -> None:
    """Write a file; raise CommandError if that is not possible."""
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
