"""`manage.py monitor check`: the same check, and an exit status for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.core.management import CommandError, call_command
from django.utils import timezone

from monitoring import doors
from monitoring.models import AlertEvent, MonitorRule, MonitorRun
from tests.factories import ago, execution, rule

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.any_database,
    pytest.mark.usefixtures("clock", "old_log"),
]

Mailbox = list[EmailMultiAlternatives]
SYNC = {"sync": {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}}


@pytest.fixture
def check(django_capture_on_commit_callbacks: Any) -> Callable[..., tuple[int, str, str]]:
    """Run the command; return its exit status, what it printed and what it complained of."""

    def run(*options: str) -> tuple[int, str, str]:
        output, errors = StringIO(), StringIO()
        with pytest.raises(SystemExit) as ended, django_capture_on_commit_callbacks(execute=True):
            call_command("monitor", "check", *options, stdout=output, stderr=errors)
        return int(str(ended.value.code)), output.getvalue(), errors.getvalue()

    return run


Check = Callable[..., tuple[int, str, str]]


def arguments(path: Path, value: object) -> str:
    """Write a file of JSON arguments and return its name."""
    file = path / "config.json"
    file.write_text(json.dumps(value))
    return str(file)


class TestTheExitStatus:
    def test_is_0_when_all_is_ok(self, check: Check) -> None:
        rule("sync")
        execution("sync")

        status, output, errors = check()

        assert status == 0
        assert output == "1 checked: 1 ok, 0 failing, 0 unknown, 0 in progress\n"
        assert errors == ""

    def test_is_0_when_there_is_nothing_to_check(self, check: Check) -> None:
        assert check()[0] == 0

    def test_is_0_when_something_is_still_in_progress(self, check: Check) -> None:
        rule("sync")
        execution("sync", "Running")

        assert check()[0] == 0

    def test_is_1_when_something_fails(self, check: Check) -> None:
        rule("sync", name="Nightly", notify_to=["ops@example.com"])
        execution("sync", "Stopped")

        status, output, errors = check()

        assert status == 1
        assert output == (
            "1 checked: 0 ok, 1 failing, 0 unknown, 0 in progress\n"
            "  FAILING  Nightly: Stopped instead of Completed\n"
            "  mail     ops@example.com: [ALERT] sync Status Check Failed (pending)\n"
        )
        assert errors == ""

    def test_is_2_when_a_rule_cannot_be_judged(self, check: Check) -> None:
        row = rule("sync", name="Nightly")
        MonitorRule.objects.filter(pk=row.pk).update(expected_statuses=[])

        status, output, errors = check()

        assert status == 2
        assert "  UNKNOWN  Nightly: the rule is not valid: expected_statuses is empty" in output
        assert '  ERROR    rule "Nightly": the rule is not valid: expected_statuses' in errors

    def test_is_2_when_the_log_is_too_young_to_tell(self, check: Check) -> None:
        rule("sync", lookback_hours=25, created_at=ago(hours=3))

        status, output, errors = check()

        assert status == 2
        assert "  UNKNOWN  sync rule: rule has watched for 3 of 25 h\n" in output
        assert errors == ""

    def test_is_2_when_a_message_has_nobody_to_go_to(self, check: Check) -> None:
        rule("sync")

        status, output, errors = check()

        assert status == 2
        assert "  FAILING  sync rule: no execution in the last 1 h\n" in output
        assert errors == ("  ERROR    notify_to is empty but no superuser found for task 'sync'\n")

    def test_is_2_when_a_name_is_unknown(self, check: Check) -> None:
        rule("sync", name="Nightly")

        status, _, errors = check("--rule", "Nigthly")

        assert status == 2
        assert errors == ('  ERROR    there is no rule named "Nigthly" (did you mean "Nightly"?)\n')

    def test_is_2_when_another_check_of_the_same_rules_runs(self, check: Check) -> None:
        identity = doors.select(doors.parse_arguments([], {})).identity
        MonitorRun.objects.create(
            rule_set="all rules",
            lease=identity,
            leased_until=timezone.now() + timedelta(minutes=5),
            started_at=timezone.now(),
        )

        assert check() == (2, "skipped: another check of these rules is running\n", "")

    def test_is_2_when_arguments_are_bad(self, check: Check, tmp_path: Path) -> None:
        status, _, errors = check("--args-file", arguments(tmp_path, [{"sync": {}}]))

        assert status == 2
        assert 'arguments[0]["sync"]: expected_statuses is required' in errors

    def test_is_2_when_the_check_itself_breaks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def check(*_: Any, **__: Any) -> None:
            raise RuntimeError("the database is away")

        monkeypatch.setattr(doors, "check", check)

        with pytest.raises(CommandError) as error:
            call_command("monitor", "check")

        assert str(error.value) == "could not check: RuntimeError: the database is away"
        assert error.value.returncode == 2

    @pytest.mark.process
    def test_of_a_real_process_is_2_when_there_are_no_tables(self, tmp_path: Path) -> None:
        result = subprocess.run(
            [sys.executable, "manage.py", "monitor", "check"],
            env=os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"},
            capture_output=True,
            text=True,
            check=False,
        )

        assert result.returncode == 2
        assert result.stderr.startswith("CommandError: could not check: OperationalError: ")
        assert "Traceback" not in result.stderr


class TestWhatIsChecked:
    def test_one_rule_by_name(self, check: Check) -> None:
        for name in ("A", "B"):
            rule("sync", name=name)
        execution("sync")

        assert check("--rule", "A")[1].startswith("1 checked: 1 ok")

    def test_several_rules_by_name(self, check: Check) -> None:
        for name in ("A", "B", "C"):
            rule("sync", name=name)
        execution("sync")

        assert check("--rule", "A", "--rule", "C")[1].startswith("2 checked: 2 ok")

    def test_the_rules_of_a_task(self, check: Check) -> None:
        rule("sync", name="A")
        rule("sync", name="B")
        rule("other", name="C")
        execution("sync")

        assert check("--task", "sync")[1].startswith("2 checked: 2 ok")

    @pytest.mark.parametrize("value", [SYNC, [SYNC]], ids=["a dictionary", "an array of one"])
    def test_documented_arguments_from_a_file(
        self, check: Check, tmp_path: Path, value: object
    ) -> None:
        rule("other")
        execution("sync")

        assert check("--args-file", arguments(tmp_path, value))[:2] == (
            0,
            "1 checked: 1 ok, 0 failing, 0 unknown, 0 in progress\n",
        )

    def test_arguments_from_a_file_and_a_rule(self, check: Check, tmp_path: Path) -> None:
        rule("other", name="A")
        execution("sync")
        execution("other")

        output = check("--args-file", arguments(tmp_path, SYNC), "--rule", "A")[1]

        assert output.startswith("2 checked: 2 ok")

    @pytest.mark.parametrize("value", [None, 7, "sync", {}, [[]]])
    def test_a_file_that_names_no_task_never_means_all_rules(
        self, check: Check, tmp_path: Path, value: object
    ) -> None:
        rule("sync")

        status, output, errors = check("--args-file", arguments(tmp_path, value))

        assert status == 2
        assert output.startswith("0 checked")
        assert errors.startswith("  ERROR    arguments")

    def test_mails_go_out(self, check: Check, mailoutbox: Mailbox) -> None:
        rule("sync", notify_to=["ops@example.com"])

        check()

        assert [mail.to for mail in mailoutbox] == [["ops@example.com"]]


class TestAFileThatCannotBeUsed:
    def test_a_missing_one(self, tmp_path: Path) -> None:
        assert failure("--args-file", str(tmp_path / "missing.json")) == (
            f"--args-file {tmp_path}/missing.json: No such file or directory",
            2,
        )

    def test_a_directory(self, tmp_path: Path) -> None:
        assert failure("--args-file", str(tmp_path)) == (
            f"--args-file {tmp_path}: Is a directory",
            2,
        )

    def test_one_that_is_not_json(self, tmp_path: Path) -> None:
        file = tmp_path / "config.json"
        file.write_text("{'sync': 1}")

        assert failure("--args-file", str(file)) == (
            f"--args-file {file} is not JSON: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)",
            2,
        )

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"[" * 100_000])
    def test_one_that_is_not_even_text(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "config.json"
        file.write_bytes(content)

        message, status = failure("--args-file", str(file))

        assert message.startswith(f"--args-file {file} is not JSON: ")
        assert status == 2

    def test_one_with_a_byte_order_mark_is_read(self, check: Check, tmp_path: Path) -> None:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(SYNC), encoding="utf-8-sig")
        execution("sync")

        assert check("--args-file", str(file))[0] == 0


def failure(*options: str) -> tuple[str, int]:
    with pytest.raises(CommandError) as error:
        call_command("monitor", "check", *options)
    return str(error.value), error.value.returncode


class TestADryRun:
    def test_says_what_it_would_send(self, check: Check) -> None:
        rule("sync", notify_to=["ops@example.com"])

        status, output, _ = check("--dry-run")

        assert status == 1
        assert "  mail     ops@example.com: [ALERT] sync Has Not Executed (would send)\n" in output

    def test_writes_and_sends_nothing(self, check: Check, mailoutbox: Mailbox) -> None:
        rule("sync", notify_to=["ops@example.com"])

        check("--dry-run")

        assert not AlertEvent.objects.exists()
        assert not MonitorRun.objects.exists()
        assert not mailoutbox

    def test_says_what_a_snooze_would_suppress(self, check: Check) -> None:
        rule("sync", notify_to=["o@example.com"], snoozed_until=timezone.now() + timedelta(hours=1))

        assert "[ALERT] sync Has Not Executed (suppressed)\n" in check("--dry-run")[1]


class TestTheCauseOfWhatStillFails:
    KEPT = "It raised OSError: full"

    @pytest.fixture(autouse=True)
    def _fails_as_it_did_before(self, clock: Any, old_log: None, check: Check) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Stopped", errors="OSError: full")
        check()

    @pytest.mark.parametrize("options", [(), ("--dry-run",)])
    def test_is_said_although_no_message_goes_out(
        self, check: Check, options: tuple[str, ...]
    ) -> None:
        _, output, _ = check(*options)

        assert output == (
            "1 checked: 0 ok, 1 failing, 0 unknown, 0 in progress\n"
            "  FAILING  sync rule: Stopped instead of Completed\n"
            f"           {self.KEPT}\n"
        )

    def test_stands_in_the_json(self, check: Check) -> None:
        assert json.loads(check("--json")[1])["failures"][0]["cause"] == self.KEPT

    def test_is_not_that_of_another_failure(self, check: Check, clock: Any) -> None:
        clock.shift(2 * 3600)

        assert self.KEPT not in check("--dry-run")[1]


class TestJson:
    def test_is_the_summary_of_the_task(self, check: Check) -> None:
        rule("sync", name="Nightly", notify_to=["ops@example.com"])

        status, output, errors = check("--json")

        summary = json.loads(output)
        assert status == 1
        assert (summary["checked"], summary["failing"]) == (1, 1)
        assert summary["failures"][0]["rule"] == "Nightly"
        assert summary["run"] == MonitorRun.objects.get().pk
        assert errors == ""

    def test_holds_the_problems(self, check: Check) -> None:
        rule("sync")

        status, output, _ = check("--json")

        assert status == 2
        assert json.loads(output)["problems"] == [
            "notify_to is empty but no superuser found for task 'sync'"
        ]

    def test_goes_with_a_dry_run(self, check: Check) -> None:
        assert json.loads(check("--json", "--dry-run")[1])["run"] is None


def test_problems_of_a_skipped_check_are_told_too(check: Check) -> None:
    rules = doors.select(doors.parse_arguments([], {"rules": ["missing"]}))
    MonitorRun.objects.create(
        rule_set=rules.name,
        lease=rules.identity,
        leased_until=timezone.now() + timedelta(minutes=5),
        started_at=timezone.now(),
    )

    status, _, errors = check("--rule", "missing")

    assert (status, errors) == (2, '  ERROR    there is no rule named "missing"\n')


def test_a_subcommand_is_required() -> None:
    with pytest.raises(CommandError, match="the following arguments are required: command"):
        call_command("monitor")
