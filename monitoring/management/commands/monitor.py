"""`manage.py monitor`: the monitor without worker, broker or browser."""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    no_translations,
)
from django.utils import timezone

from monitoring import doors
from monitoring.core.channels import channel_of
from monitoring.core.gaps import gap_text
from monitoring.health import as_dict
from monitoring.linting import Finding, lint_all
from monitoring.management.commands import _backtest as backtest
from monitoring.management.commands import _channels as channels
from monitoring.management.commands import _discover as discover
from monitoring.management.commands import _exchange as exchange
from monitoring.management.commands import _lint as lint
from monitoring.management.commands import _schedules as schedules
from monitoring.reports import Report

ALL_OK, SOME_FAILING, COULD_NOT_CHECK = 0, 1, 2
SOME_NOT_WRITTEN = 1
SOME_OWED = 1
SOMETHING_WRONG = 1


class Command(BaseCommand):
    help = "Check Celery tasks against their rules; move rules in and out."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        check = commands.add_parser(
            "check",
            help="check rules once and mail what is owed",
            description=(
                "Check rules once and mail what is owed. Exit status: 0 all ok, 1 something is "
                "failing, 2 something could not be checked."
            ),
        )
        check.add_argument("--rule", action="append", metavar="NAME", help="only this rule")
        check.add_argument(
            "--task", action="append", metavar="TASK", help="only rules of this task"
        )
        check.add_argument(
            "--args-file",
            type=Path,
            metavar="FILE",
            help="check documented JSON arguments (a dictionary, or an array of one) from a file",
        )
        check.add_argument(
            "--dry-run", action="store_true", help="say what would be mailed; write nothing"
        )
        check.add_argument("--json", action="store_true", help="print the summary as JSON")
        check.add_argument(
            "--lint",
            action="store_true",
            help="also warn of what is odd about these rules; the exit status stays as it is",
        )

        deliver = commands.add_parser(
            "deliver",
            help="send the messages that are owed and due",
            description="Send what is due. Exit status: 0 nothing is owed any more, else 1.",
        )
        deliver.add_argument("--json", action="store_true", help="print the summary as JSON")

        prune = commands.add_parser(
            "prune",
            help="delete history that is older than RETENTION_DAYS",
            description="Delete what is older than RETENTION_DAYS; never what is still needed.",
        )
        prune.add_argument("--dry-run", action="store_true", help="count; delete nothing")
        prune.add_argument("--json", action="store_true", help="print the numbers as JSON")

        health = commands.add_parser(
            "health",
            help="say whether the monitor itself is well",
            description="Exit status: 0 the monitor is well, 1 something is wrong with it.",
        )
        health.add_argument("--json", action="store_true", help="print it as JSON")

        others = [one.add_subcommand(commands) for one in (backtest, channels, discover, schedules)]
        others += exchange.add_subcommands(commands)
        for subparser in (check, deliver, prune, health, *others):
            _accept_common_options(subparser)

    # What it prints is read by programs and kept in logs.
    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        match options["command"]:
            case "install-schedules":
                schedules.run(options["every"], self.stdout.write)
            case "deliver":
                self._deliver(as_json=options["json"])
            case "health":
                self._health(as_json=options["json"])
            case "backtest":
                self._backtest(options)
            case "discover":
                sys.exit(discover.run(options, self.stdout.write))
            case "reencrypt-channels":
                channels.run(self.stdout.write)
            case "prune":
                self._prune(dry_run=options["dry_run"], as_json=options["json"])
            case "import":
                self._warn(
                    exchange.run_import(
                        options["file"], dry_run=options["dry_run"], write=self.stdout.write
                    )
                )
            case "export":
                self._export(options["format"], options["file"])
            case _:
                self._check(options)

    def _deliver(self, *, as_json: bool) -> None:
        done = doors.deliver().as_dict() | {"owed": doors.owed_count()}
        if as_json:
            self.stdout.write(json.dumps(done, indent=2))
        else:
            self.stdout.write(
                f"{done['sent']} sent, {done['failed']} refused for good, "
                f"{done['deferred']} to be tried again; {done['owed']} still owed"
            )
        sys.exit(SOME_OWED if done["owed"] else ALL_OK)

    def _health(self, *, as_json: bool) -> None:
        found = as_dict(doors.look())
        if as_json:
            self.stdout.write(json.dumps(found, indent=2))
        else:
            self.stdout.write(f"{found['status']}; {found['owed']} messages owed")
            for problem in found["problems"]:
                self.stdout.write(self.style.ERROR(f"  {problem['text']}"))
        sys.exit(SOMETHING_WRONG if found["problems"] else ALL_OK)

    def _backtest(self, options: dict[str, Any]) -> None:
        problems = backtest.run(options, self.stdout.write)
        for problem in problems:
            self.stderr.write(self.style.ERROR(problem))
        if problems:
            sys.exit(COULD_NOT_CHECK)

    def _prune(self, *, dry_run: bool, as_json: bool) -> None:
        found = doors.would_prune() if dry_run else doors.prune()[0]
        if as_json:
            self.stdout.write(json.dumps(found, indent=2))
            return
        counts = ", ".join(f"{number} {kind}" for kind, number in found.items())
        verb = "would be deleted" if dry_run else "deleted"
        self.stdout.write(f"{counts or 'nothing'} {verb}")

    def _export(self, format_: str, path: Path | None) -> None:
        exported = exchange.exported(format_)
        if path is None:
            self.stdout.write(exported.text, ending="")
        elif exported.text:
            exchange.save(path, exported.text)
        for note in exported.notes:
            self.stderr.write(self.style.WARNING(note))
        for complaint in exported.complaints:
            self.stderr.write(self.style.ERROR(complaint))
        if exported.complaints:
            sys.exit(SOME_NOT_WRITTEN)

    def _check(self, options: dict[str, Any]) -> None:
        positional, keywords = _call(options)
        try:
            report = doors.check(positional, keywords, dry_run=options["dry_run"])
        except Exception as error:
            # Python's own exit status for it is 1, which means "something is failing" here.
            text = f"could not check: {type(error).__name__}: {error}"
            raise CommandError(text, returncode=COULD_NOT_CHECK) from error
        if not options["dry_run"]:
            doors.send_heartbeat()
        odd = self._lint(options) if options["lint"] else []
        if options["json"]:
            more = {"lint": lint.as_dicts(odd)} if options["lint"] else {}
            self.stdout.write(json.dumps(report.as_dict() | more, indent=2))
        else:
            self._print(report, options["dry_run"])
            self._warn(odd)
        sys.exit(exit_status(report))

    def _lint(self, options: dict[str, Any]) -> list[Finding]:
        return lint_all(timezone.now(), options["rule"] or (), options["task"] or ())

    def _warn(self, findings: Iterable[Finding]) -> None:
        for line in lint.lines(findings):
            self.stderr.write(self.style.WARNING(line))

    def _print(self, report: Report, dry_run: bool) -> None:
        if report.state == "skipped":
            self.stdout.write(self.style.WARNING(f"skipped: {report.skipped_because}"))
        else:
            self._print_findings(report, dry_run)
        for problem in report.problems:
            self.stderr.write(self.style.ERROR(f"  ERROR    {problem}"))

    def _print_findings(self, report: Report, dry_run: bool) -> None:
        counts = report.counts
        self.stdout.write(
            f"{counts['checked']} checked: {counts['ok']} ok, {counts['failing']} failing, "
            f"{counts['unknown']} unknown, {counts['in_progress']} in progress"
        )
        if report.not_checked_from:
            gap = gap_text(report.not_checked_from, report.checked_at)
            self.stdout.write(self.style.WARNING(f"  GAP      {gap}"))
        for failure in report.failures:
            name = failure["rule"] or failure["task_name"]
            self.stdout.write(self.style.ERROR(f"  FAILING  {name}: {failure['reason']}"))
            if failure["cause"]:
                self.stdout.write(f"           {failure['cause']}")
        for unknown in report.unknown:
            name = unknown["rule"] or unknown["task_name"]
            self.stdout.write(self.style.WARNING(f"  UNKNOWN  {name}: {unknown['reason']}"))
        for message in report.messages:
            what = "would send" if dry_run and message["state"] == "pending" else message["state"]
            recipient = message["recipient"]
            way = "channel" if channel_of(recipient) else "mail"
            self.stdout.write(f"  {way:8} {recipient}: {message['subject']} ({what})")


def _accept_common_options(parser: CommandParser) -> None:
    """Let Django's own options stand behind the subcommand too, where people write them."""
    quiet: dict[str, Any] = {"default": SUPPRESS, "help": SUPPRESS}
    for flag in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(flag, action="store_true", **quiet)
    for option in ("--settings", "--pythonpath"):
        parser.add_argument(option, **quiet)
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), **quiet)


def _call(options: dict[str, Any]) -> tuple[list[object], dict[str, object]]:
    """Return the arguments that the periodic task would be called with."""
    keywords: dict[str, object] = {}
    if options["rule"]:
        keywords["rules"] = options["rule"]
    if options["task"]:
        keywords["tasks"] = options["task"]
    path = options["args_file"]
    if path is None:
        return [], keywords
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CommandError(f"--args-file {path}: {error.strerror}", returncode=2) from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--args-file {path} is not JSON: {error}", returncode=2) from error
    return (value if isinstance(value, list) else [value]), keywords


def exit_status(report: Report) -> int:
    """Return 2 if anything could not be checked, else 1 if anything fails, else 0."""
    if report.problems or report.counts["unknown"] or report.state == "skipped":
        return COULD_NOT_CHECK
    return SOME_FAILING if report.failures else ALL_OK
