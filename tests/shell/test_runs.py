"""One check at a time, messages that come again, backlogs and gaps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command
from django.test import TestCase
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring import doors, judging, ledger, runs
from monitoring.models import AlertEvent, MonitorRun, Notification
from monitoring.runs import MOST_ATTEMPTS, Request
from tests.factories import NOW, ago, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("old_log", "clock")]

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
Mailbox = list[EmailMultiAlternatives]
ENTRY = {"expected_statuses": ["Completed"], "notify_to": ["ops@example.com"]}
FOUR = {f"task-{number}": ENTRY for number in range(4)}
MESSAGE = Request(task_id="11111111-2222")


def check(*args: Any, **kwargs: Any) -> doors.Report:
    """Check and let the transaction of the test commit."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return doors.check(*args, **kwargs)


def found_fine() -> doors.Report:
    """Let four tasks run, and check them for the first time."""
    for name in FOUR:
        execution(name)
    return check([FOUR], {})


def beat(name: str = "Every minute", every: int = 60) -> Request:
    """Store a periodic task and return what its messages ask with."""
    schedule, _ = IntervalSchedule.objects.get_or_create(every=every, period="seconds")
    PeriodicTask.objects.get_or_create(
        name=name, defaults={"task": "monitor_task_status", "interval": schedule}
    )
    return Request(periodic_task=name)


def die_in_batch(number: int, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let checks be killed when they begin to write their n-th batch of two."""
    patch = pytest.MonkeyPatch()
    monkeypatch.setattr("monitoring.rulesets.BATCH_SIZE", 2)
    seen = []

    def renew(*_: Any) -> None:
        seen.append(1)
        if len(seen) == number:
            raise SystemError("killed")

    patch.setattr("monitoring.runs.renew", renew)
    # A killed process does not record its end, and does not look at rules one by one.
    patch.setattr("monitoring.runs.end", lambda *_: None)
    patch.setattr("monitoring.checker._Check._without_the_poisoned", _kill)
    return patch


def _kill(*_: Any) -> None:
    raise KeyboardInterrupt


def killed_half_way(request: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = die_in_batch(2, monkeypatch)
    try:
        with pytest.raises(KeyboardInterrupt):
            check([FOUR], {}, request=request)
    finally:
        patch.undo()
    assert AlertEvent.objects.count() == 2


class TestAMessageThatComesAgain:
    def test_after_its_check_ended_does_nothing(self, mailoutbox: Mailbox) -> None:
        check([FOUR], {}, request=MESSAGE)

        again = check([FOUR], {}, request=MESSAGE)

        assert (again.state, again.skipped_because) == (
            "skipped",
            "this message was obeyed already",
        )
        assert len(mailoutbox) == 4

    def test_after_a_kill_goes_on_at_once_where_it_stopped(
        self,
        mailoutbox: Mailbox,
        monkeypatch: pytest.MonkeyPatch,
        clock: time_machine.Traveller,
    ) -> None:
        killed_half_way(MESSAGE, monkeypatch)
        clock.shift(1)

        again = check([FOUR], {}, request=MESSAGE)

        assert again.state == "complete"
        assert sorted(mail.subject for mail in mailoutbox) == [
            f"[ALERT] task-{number} Has Not Executed" for number in range(4)
        ]
        assert set(AlertEvent.objects.values_list("failing_checks", flat=True)) == {1}

    def test_the_check_that_was_killed_is_recorded_as_failed(
        self, monkeypatch: pytest.MonkeyPatch, clock: time_machine.Traveller
    ) -> None:
        killed_half_way(MESSAGE, monkeypatch)
        clock.shift(1)
        check([FOUR], {}, request=MESSAGE)

        rows = MonitorRun.objects.order_by("pk").values_list("state", "error")
        assert list(rows) == [("failed", "never ended: the process was killed"), ("complete", "")]

    def test_and_kills_every_time_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch, clock: time_machine.Traveller
    ) -> None:
        for _ in range(MOST_ATTEMPTS):
            patch = die_in_batch(1, monkeypatch)
            with pytest.raises(KeyboardInterrupt):
                check([FOUR], {}, request=MESSAGE)
            patch.undo()
            clock.shift(1)

        report = check([FOUR], {}, request=MESSAGE)

        assert report.state == "skipped"
        assert report.skipped_because == "this message was tried 3 times, and no check of it ended"

    def test_is_not_confused_with_another(self, mailoutbox: Mailbox) -> None:
        check([FOUR], {}, request=MESSAGE)
        check([FOUR], {}, request=Request(task_id="other"))

        assert len(mailoutbox) == 8


class TestACheckThatWasKilled:
    def test_keeps_others_out_until_its_lease_ends(
        self, monkeypatch: pytest.MonkeyPatch, clock: time_machine.Traveller
    ) -> None:
        killed_half_way(Request(), monkeypatch)

        clock.shift(4 * 60)
        report = check([FOUR], {})
        assert report.skipped_because == "another check of these rules is running"
        clock.shift(2 * 60)
        assert check([FOUR], {}).state == "complete"

    def test_loses_nothing(
        self,
        monkeypatch: pytest.MonkeyPatch,
        clock: time_machine.Traveller,
        mailoutbox: Mailbox,
    ) -> None:
        killed_half_way(Request(), monkeypatch)
        clock.shift(6 * 60)

        check([FOUR], {})

        # The two it had decided, and one for each entry from the check after it.
        assert len(mailoutbox) == 2 + 4
        assert not Notification.objects.owed().exists()

    def test_and_comes_back_writes_nothing_more(
        self, monkeypatch: pytest.MonkeyPatch, mailoutbox: Mailbox
    ) -> None:
        """It was only slow: another has taken its lease in the meantime."""
        renew = runs.renew

        def lose_the_lease(run: MonitorRun, now: Any) -> None:
            MonitorRun.objects.update(lease=None, state="failed")
            renew(run, now)

        monkeypatch.setattr("monitoring.runs.renew", lose_the_lease)

        report = check([FOUR], {})

        assert (report.state, report.skipped_because) == ("skipped", "another check has taken over")
        assert not AlertEvent.objects.exists()
        assert not mailoutbox

    def test_and_comes_back_to_find_all_fine_says_that_another_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, clock: time_machine.Traveller
    ) -> None:
        assert found_fine().counts["ok"] == 4
        clock.shift(60)
        judge = judging.judge_batch

        def judge_and_be_taken_for_dead(*args: Any, **kwargs: Any) -> Any:
            runs._take_from_the_dead(
                MonitorRun.objects.latest("pk").identity, NOW + HOUR, Request()
            )
            return judge(*args, **kwargs)

        monkeypatch.setattr("monitoring.judging.judge_batch", judge_and_be_taken_for_dead)

        report = check([FOUR], {})

        assert (report.state, report.skipped_because) == ("skipped", "another check has taken over")
        assert MonitorRun.objects.latest("pk").error == "never ended: the process was killed"

    def test_at_a_wrong_hour_does_not_keep_others_out_until_then(
        self, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        killed_half_way(Request(), monkeypatch)
        clock.shift(-3600)

        assert check([FOUR], {}).state == "complete"


class TestTheLease:
    def test_is_renewed_by_each_batch_that_writes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("monitoring.rulesets.BATCH_SIZE", 2)

        assert renewals(monkeypatch) == 2

    def test_is_left_alone_by_batches_that_change_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found_fine()

        assert renewals(monkeypatch) == 0

    def test_is_renewed_by_these_too_when_the_half_of_it_is_over(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found_fine()
        monkeypatch.setattr("monitoring.checker._Check._clock", lambda _: NOW + 3 * MINUTE)

        assert renewals(monkeypatch) == 1

    def test_is_recorded_as_ended_once_although_the_connection_was_lost_at_that_moment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        end = runs.end

        def end_twice(*args: Any) -> bool:
            end(*args)
            return end(*args)

        monkeypatch.setattr("monitoring.runs.end", end_twice)

        assert check([FOUR], {}).state == "complete"


def renewals(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how often a check of four tasks renews its lease."""
    renew, times = runs.renew, []

    def count(run: MonitorRun, now: Any) -> None:
        times.append(now)
        renew(run, now)

    monkeypatch.setattr("monitoring.runs.renew", count)
    check([FOUR], {})
    return len(times)


class TestABacklogOfBeat:
    def test_collapses_into_one_check(
        self, mailoutbox: Mailbox, clock: time_machine.Traveller
    ) -> None:
        request = beat()
        states = []
        for _ in range(10):
            states.append(check([FOUR], {}, request=request).state)
            clock.shift(0.2)

        assert states == ["complete", *["skipped"] * 9]
        assert len(mailoutbox) == 4

    def test_says_why(self, clock: time_machine.Traveller) -> None:
        check([FOUR], {}, request=beat())
        clock.shift(0.2)

        report = check([FOUR], {}, request=beat())

        assert report.skipped_because == "the same was checked 0.2 s ago"

    def test_includes_what_read_the_clock_first_and_came_second(
        self, clock: time_machine.Traveller
    ) -> None:
        request = beat()
        clock.shift(0.2)
        assert check([FOUR], {}, request=request).state == "complete"
        clock.shift(-0.2)

        assert check([FOUR], {}, request=request).state == "skipped"

    def test_is_not_what_a_person_asks_for(self, mailoutbox: Mailbox) -> None:
        for _ in range(2):
            assert check([FOUR], {}).state == "complete"

    def test_is_not_the_next_message_on_time(self, clock: time_machine.Traveller) -> None:
        request = beat("Every second", every=1)
        for _ in range(3):
            assert check([FOUR], {}, request=request).state == "complete"
            clock.shift(1)


class TestAGap:
    @pytest.fixture
    def request_(self) -> Request:
        return beat()

    def after_a_gap(self, request: Request, clock: time_machine.Traveller) -> doors.Report:
        check([FOUR], {}, request=request)
        clock.shift(55 * 60)
        return check([FOUR], {}, request=request)

    def test_is_admitted_in_the_record_of_the_check(
        self, request_: Request, clock: time_machine.Traveller
    ) -> None:
        report = self.after_a_gap(request_, clock)

        assert report.not_checked_from == NOW
        assert MonitorRun.objects.latest("pk").not_checked_from == NOW

    def test_is_admitted_in_the_mails_of_that_check(
        self, request_: Request, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        self.after_a_gap(request_, clock)
        clock.shift(60)
        check([FOUR], {}, request=request_)

        said = ["ot checked between 12:00 and 12:55 UTC" in mail.body for mail in mailoutbox]
        assert said == [False] * 4 + [True] * 4 + [False] * 4

    def test_is_admitted_by_the_command(
        self, clock: time_machine.Traveller, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for _ in range(8):
            check([], {})
            clock.shift(60)
        clock.shift(54 * 60)
        with pytest.raises(SystemExit):
            call_command("monitor", "check")

        assert "GAP      not checked between 12:07 and 13:02 UTC" in capsys.readouterr().out

    def test_of_a_skipped_weekend_is_none_if_the_schedule_has_it(
        self, clock: time_machine.Traveller
    ) -> None:
        request = beat("Daily", every=86_400)
        check([FOUR], {}, request=request)
        clock.shift(86_400)

        assert check([FOUR], {}, request=request).not_checked_from is None

    def test_ends_with_a_check_by_hand(
        self, request_: Request, clock: time_machine.Traveller
    ) -> None:
        rule("sync")
        check([], {}, request=request_)
        clock.shift(54 * 60)
        check([], {})
        clock.shift(60)

        assert check([], {}, request=request_).not_checked_from is None


class TestOneThatCannotBeWritten:
    def test_does_not_cost_the_others_their_check(
        self, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(20):
            rule(f"task-{number}", notify_to=["ops@example.com"])
            execution(f"task-{number}", "Stopped")
        write = ledger.write

        def refuse_one(outcome: Any, *args: Any) -> Any:
            if any(decision.rule.task_name == "task-13" for decision in outcome.decisions):
                raise ValueError("no such thing")
            return write(outcome, *args)

        monkeypatch.setattr(ledger, "write", refuse_one)

        report = check([], {})

        assert report.problems == [
            'rule "task-13 rule": cannot be checked: ValueError: no such thing'
        ]
        assert AlertEvent.objects.open().count() == 19
        assert (report.counts["checked"], report.counts["failing"]) == (20, 19)


class TestJsonArgumentsThatListATaskNoMore:
    def check(self, *names: str, request: Request | None = None) -> None:
        check([dict.fromkeys(names, ENTRY)], {}, request=request)

    def test_close_its_event_after_a_time_without_a_message(
        self, clock: time_machine.Traveller, mailoutbox: Mailbox
    ) -> None:
        request = beat()
        self.check("kept", "gone", request=request)
        for _ in range(2):
            clock.shift(40 * 60)
            self.check("kept", request=request)

        event = AlertEvent.objects.get(task_name="gone")
        assert (event.resolution, event.resolved_at) == ("unwatched", timezone.now())
        assert [mail.subject for mail in mailoutbox].count("[ALERT] gone Has Not Executed") == 1

    def test_keep_it_for_an_hour(self, clock: time_machine.Traveller) -> None:
        request = beat()
        self.check("kept", "gone", request=request)
        clock.shift(59 * 60)
        self.check("kept", request=request)

        assert AlertEvent.objects.get(task_name="gone").is_open

    def test_say_nothing_of_what_another_periodic_task_lists(
        self, clock: time_machine.Traveller
    ) -> None:
        self.check("theirs", request=beat("Theirs"))
        clock.shift(2 * 3600)
        self.check("ours", request=beat("Ours"))

        assert AlertEvent.objects.get(task_name="theirs").is_open

    def test_that_nobody_checks_any_more_close_after_eight_days(
        self, clock: time_machine.Traveller
    ) -> None:
        self.check("gone", request=beat("Deleted"))
        clock.shift(timedelta(days=7, hours=23))
        self.check("ours", request=beat("Ours"))
        assert AlertEvent.objects.get(task_name="gone").is_open
        clock.shift(timedelta(hours=2))
        self.check("ours", request=beat("Ours"))

        assert AlertEvent.objects.get(task_name="gone").resolution == "unwatched"

    def test_do_not_close_what_they_list_however_long_ago_it_was_checked(
        self, clock: time_machine.Traveller
    ) -> None:
        self.check("sync", request=beat())
        clock.shift(timedelta(days=9))
        self.check("sync", request=beat())

        assert AlertEvent.objects.get(task_name="sync").is_open


def test_old_runs_of_other_rules_say_nothing() -> None:
    MonitorRun.objects.create(rule_set="all rules", started_at=ago(days=2), state="complete")

    assert check([FOUR], {}, request=beat()).not_checked_from is None
