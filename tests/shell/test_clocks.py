"""Clocks that are wrong, that jump, and that people read in other time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from celery import current_app
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.test import TestCase
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from monitoring import doors, interventions, outbox, periodic_tasks, rule_rows
from monitoring.channels.email import DeliveryError, Mailer
from monitoring.core.retries import Fault
from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    MonitorRule,
    MonitorRun,
    Notification,
    RuleState,
)
from monitoring.reports import Report
from monitoring.runs import Request, lease_time
from monitoring.tasklogs import evidence as task_log
from tests.factories import NOW, ago, execution, rule, superuser
from tests.shell.test_runs import FOUR, MESSAGE, killed_half_way

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("old_log", "clock")]

Clock = time_machine.Traveller
Mailbox = list[EmailMultiAlternatives]
HOUR, QUARTER, DAY = timedelta(hours=1), timedelta(minutes=15), timedelta(days=1)
OPS = {"notify_to": ["ops@example.com"]}
ENTRY = {"expected_statuses": ["Completed"], **OPS}

jumps = pytest.mark.parametrize(
    "jump",
    [
        pytest.param(-HOUR, id="an hour back"),
        pytest.param(DAY, id="a day forward"),
        pytest.param(-DAY, id="a day back", marks=pytest.mark.matrix),
    ],
)
ZONES = [
    "Asia/Kathmandu",
    "America/New_York",
    pytest.param("Pacific/Chatham", marks=pytest.mark.matrix),
    pytest.param("Antarctica/Troll", marks=pytest.mark.matrix),
]
EDGES = [
    pytest.param("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), id="Berlin-23h"),
    pytest.param("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC), id="Berlin-25h"),
    pytest.param(
        "America/New_York",
        datetime(2026, 3, 8, 7, tzinfo=UTC),
        id="New_York-23h",
        marks=pytest.mark.matrix,
    ),
    pytest.param(
        "America/New_York",
        datetime(2026, 11, 1, 6, tzinfo=UTC),
        id="New_York-25h",
        marks=pytest.mark.matrix,
    ),
]


def check(*args: object, request: Request | None = None) -> Report:
    """Check and deliver, as the transaction of the test commits."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return doors.check(args, {}, request=request)


def undelivered_check() -> Report:
    return doors.check([], {}, hand_over=lambda: None)


def check_every_quarter(clock: Clock, since: datetime, until: datetime) -> None:
    """Check every 15 minutes of elapsed time, both ends included."""
    at = since
    while at <= until:
        clock.move_to(at)
        undelivered_check()
        at += QUARTER


def deliver_until_quiet(clock: Clock) -> timedelta:
    """Deliver as a worker does, coming back when told to; return how long that took."""
    since = timezone.now()
    for _ in range(50):
        doors.deliver()
        if not doors.owed_count():
            return timezone.now() - since
        wait = doors.book_wakeup()
        assert wait is not None, "messages are owed and nobody comes back for them"
        clock.shift(wait)
    raise AssertionError("still owed")


def subjects(mailbox: Mailbox) -> list[str]:
    return [mail.subject for mail in mailbox]


ALERT, RESOLVED = "[ALERT] sync Has Not Executed", "[RESOLVED] sync"


@jumps
class TestAClockThatJumpsBetweenTwoChecks:
    def test_opens_no_second_event_and_repeats_no_alert(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        rule("sync", **OPS)
        check()
        clock.shift(jump)
        check()

        assert AlertEvent.objects.count() == 1
        assert subjects(mailoutbox) == [ALERT]

    def test_loses_no_recovery(self, jump: timedelta, clock: Clock, mailoutbox: Mailbox) -> None:
        rule("sync", **OPS)
        check()
        clock.shift(jump)
        execution("sync", started=timezone.now())
        check()

        assert subjects(mailoutbox) == [ALERT, RESOLVED]

    def test_loses_no_failure(self, jump: timedelta, clock: Clock, mailoutbox: Mailbox) -> None:
        rule("sync", **OPS)
        execution("sync")
        check()
        clock.shift(jump)
        execution("sync", "Stopped", started=timezone.now())
        BackgroundTask.objects.filter(status="Completed", task_name="sync").delete()
        check()

        assert subjects(mailoutbox) == ["[ALERT] sync Status Check Failed"]

    def test_does_not_forget_the_state_of_a_rule(self, jump: timedelta, clock: Clock) -> None:
        rule("sync", alert_after=3, **OPS)
        check()
        check()
        clock.shift(jump)
        check()

        assert RuleState.objects.get().failing_checks == 3
        assert AlertEvent.objects.count() == 1

    def test_costs_json_arguments_neither_a_message_nor_their_event(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        check({"sync": ENTRY})
        clock.shift(jump)
        check({"sync": ENTRY})

        assert AlertEvent.objects.get().is_open
        assert subjects(mailoutbox) == [ALERT] * 2

    def test_does_not_leave_the_lease_of_a_dead_check_for_ever(
        self, jump: timedelta, clock: Clock
    ) -> None:
        report = check()
        MonitorRun.objects.update(
            state="running", lease="x", leased_until=NOW + lease_time(), finished_at=None
        )
        identity = MonitorRun.objects.get(pk=report.run_id).identity
        MonitorRun.objects.update(lease=identity)
        clock.shift(jump)

        assert check().state == "complete"

    def test_reminds_once_at_the_jump_and_then_as_before(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        rule("sync", remind_hours=1, **OPS)
        check()
        clock.shift(jump)
        for _ in range(2):
            check()
        assert subjects(mailoutbox) == [ALERT] * 2
        clock.shift(HOUR)
        check()

        assert subjects(mailoutbox) == [ALERT] * 3

    def test_repeats_nothing_of_a_check_that_was_killed_before_it(
        self, jump: timedelta, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        killed_half_way(MESSAGE, monkeypatch)
        clock.shift(jump)
        check(FOUR, request=MESSAGE)

        told = Notification.objects.values_list("alert_event__task_name", flat=True)
        assert sorted(told) == sorted(FOUR)

    def test_ends_a_snooze_at_the_time_it_was_given(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        rule("sync", snoozed_until=NOW + 2 * HOUR, **OPS)
        check()
        clock.shift(jump)
        check()
        is_over = timezone.now() >= NOW + 2 * HOUR
        assert subjects(mailoutbox) == [ALERT] * is_over
        clock.move_to(max(timezone.now(), NOW + 2 * HOUR))
        check()

        assert subjects(mailoutbox) == [ALERT]

    def test_ends_an_acknowledgement_at_the_time_it_was_given_and_says_so_once(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        rule("sync", **OPS)
        check()
        clock.shift(60)
        event = AlertEvent.objects.get()
        interventions.acknowledge(event, superuser(), "", timezone.now(), NOW + 2 * HOUR)
        clock.shift(jump)
        for _ in range(2):
            check()
        assert len(mailoutbox) == (2 if timezone.now() >= NOW + 2 * HOUR else 1)
        clock.move_to(max(timezone.now(), NOW + 2 * HOUR))
        for _ in range(2):
            check()

        assert subjects(mailoutbox) == [ALERT] * 2

    def test_admits_a_gap_only_if_time_went_forward(self, jump: timedelta, clock: Clock) -> None:
        every, _ = IntervalSchedule.objects.get_or_create(every=15, period="minutes")
        PeriodicTask.objects.create(name="Beat", task="monitor_task_status", interval=every)
        check(request=Request(periodic_task="Beat"))
        clock.shift(jump)

        report = check(request=Request(periodic_task="Beat"))

        assert report.not_checked_from == (NOW if jump > HOUR else None)

    def test_does_not_take_the_next_scheduled_check_for_a_backlog(
        self, jump: timedelta, clock: Clock
    ) -> None:
        request = Request(periodic_task="Beat")
        check(request=request)
        clock.shift(jump)

        assert check(request=request).state == "complete"


class TestAClockThatWasAheadForADayAndWasPutRight:
    @pytest.fixture(autouse=True)
    def _ahead(self, old_log: None, clock: Clock) -> None:
        clock.shift(DAY)

    def test_silences_no_rule_that_speaks_at_every_check(
        self, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        rule("sync", remind_hours=0, **OPS)
        check()
        clock.shift(-DAY)
        for _ in range(3):
            check()

        assert subjects(mailoutbox) == [ALERT] * 4

    def test_does_not_hide_that_an_acknowledgement_has_ended(
        self, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        rule("sync", **OPS)
        check()
        clock.shift(-DAY)
        event = AlertEvent.objects.get()
        interventions.acknowledge(event, superuser(), "", timezone.now(), NOW + HOUR)
        clock.shift(2 * HOUR)
        check()

        assert subjects(mailoutbox) == [ALERT] * 2

    def test_holds_no_alert_for_longer_than_an_hour(
        self, clock: Clock, mailoutbox: Mailbox, settings: Any
    ) -> None:
        settings.MONITORING = settings.MONITORING | {"INHIBIT_DEPENDENTS": True}
        rule("upstream", dependent_tasks=["sync"], **OPS)
        check()
        rule("sync", **OPS)
        check()
        clock.shift(-DAY)
        check()
        clock.shift(HOUR)
        check()

        assert subjects(mailoutbox) == ["[ALERT] upstream Has Not Executed", ALERT]

    def test_hides_no_gap(self, clock: Clock) -> None:
        schedule_by("Beat", "UTC", "*/15", "*")
        request = Request(periodic_task="Beat")
        check(request=request)
        clock.shift(-DAY)
        check(request=request)
        clock.shift(5 * HOUR)

        assert check(request=request).not_checked_from == NOW

    def test_keeps_no_lease_until_then(self, clock: Clock) -> None:
        check()
        run = MonitorRun.objects.get()
        run.lease, run.leased_until, run.state = run.identity, NOW + DAY, "running"
        run.save()
        clock.shift(-DAY)

        assert check().state == "complete"

    def test_keeps_no_message_until_then(self, clock: Clock, mailoutbox: Mailbox) -> None:
        rule("sync", **OPS)
        undelivered_check()
        clock.shift(-DAY)

        assert deliver_until_quiet(clock) == timedelta(0)
        assert subjects(mailoutbox) == [ALERT]


@jumps
class TestAClockThatJumpsBetweenTwoDeliveries:
    @pytest.fixture(autouse=True)
    def _owed(self, jump: timedelta, old_log: None, clock: Clock) -> None:
        rule("sync", **OPS)
        undelivered_check()

    def test_loses_no_message_that_waits_for_its_retry(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Mailer, "open", away)
            doors.deliver()
        assert Notification.objects.get().attempts == 1
        clock.shift(jump)

        took = deliver_until_quiet(clock)

        assert subjects(mailoutbox) == [ALERT]
        assert took <= HOUR + QUARTER

    def test_loses_no_message_that_a_dead_delivery_has_claimed(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        outbox.claim(NOW)
        clock.shift(jump)

        took = deliver_until_quiet(clock)

        assert subjects(mailoutbox) == [ALERT]
        assert took <= HOUR + QUARTER

    def test_books_another_wakeup_for_one_that_was_booked_before(
        self, jump: timedelta, clock: Clock
    ) -> None:
        assert outbox.book_wakeup(NOW) is not None
        Notification.objects.update(next_attempt_at=timezone.now() + jump + 4 * HOUR)
        clock.shift(jump)

        assert doors.book_wakeup() == outbox.LONGEST_SLEEP

    def test_keeps_a_recovery_behind_its_alert(
        self, jump: timedelta, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        clock.shift(jump)
        execution("sync", started=timezone.now())
        undelivered_check()
        deliver_until_quiet(clock)

        assert subjects(mailoutbox) == [ALERT, RESOLVED]


def away(mailer: Mailer) -> None:
    raise DeliveryError("no route to host", Fault.UNREACHABLE, connection_lost=True)


@pytest.mark.fault
@pytest.mark.parametrize(("zone", "edge"), EDGES)
class TestADayOf23Or25Hours:
    @pytest.fixture(autouse=True)
    def _there(self, zone: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        live_in(zone, settings, monkeypatch)

    def test_does_not_change_the_length_of_a_window(
        self, zone: str, edge: datetime, clock: Clock
    ) -> None:
        rule("sync", lookback_hours=1, **OPS)
        execution("sync", started=edge - QUARTER)
        check_every_quarter(clock, edge - QUARTER, edge + 2 * HOUR)

        assert AlertEvent.objects.get().opened_at == edge + HOUR

    def test_raises_no_false_alarm_about_a_daily_task(
        self, zone: str, edge: datetime, clock: Clock
    ) -> None:
        rule("sync", lookback_hours=25, **OPS)
        days = [clock_time(edge, zone, 2, day=day) for day in (-1, 0, 1)]
        for day, following in pairwise(days):
            execution("sync", started=day)
            check_every_quarter(clock, day, following)

        assert not AlertEvent.objects.exists()

    def test_hides_no_missing_run_of_a_daily_task(
        self, zone: str, edge: datetime, clock: Clock
    ) -> None:
        rule("sync", lookback_hours=25, **OPS)
        ran = clock_time(edge, zone, 9, day=-1)
        execution("sync", started=ran)
        check_every_quarter(clock, ran, ran + 27 * HOUR)

        assert AlertEvent.objects.get().opened_at == ran + timedelta(hours=25, minutes=15)
        assert Notification.objects.count() == 1

    def test_ends_a_snooze_until_tomorrow_at_nine_on_the_clock(
        self, zone: str, edge: datetime, clock: Clock
    ) -> None:
        row = rule("sync", **OPS)
        clock.move_to(evening := clock_time(edge, zone, 20, day=-1))
        interventions.snooze([row], interventions.tomorrow_morning(evening))
        check_every_quarter(clock, evening, evening + 15 * HOUR)

        told = Notification.objects.get(state="pending").created_at.astimezone(ZoneInfo(zone))
        assert (told.date(), told.hour, told.minute) == (edge.astimezone(told.tzinfo).date(), 9, 0)

    def test_does_not_bring_a_reminder_early_or_late(
        self, zone: str, edge: datetime, clock: Clock
    ) -> None:
        rule("sync", remind_hours=24, **OPS)
        check_every_quarter(clock, edge - 12 * HOUR, edge + 13 * HOUR)

        told = Notification.objects.order_by("pk").values_list("kind", "created_at")
        assert list(told) == [("alert", edge - 12 * HOUR), ("reminder", edge + 12 * HOUR)]

    def test_gives_gaps_in_utc(
        self, zone: str, edge: datetime, clock: Clock, mailoutbox: Mailbox
    ) -> None:
        rule("sync", **OPS)
        PeriodicTask.objects.create(
            name="Beat",
            task="monitor_task_status",
            interval=IntervalSchedule.objects.get_or_create(every=15, period="minutes")[0],
        )
        clock.move_to(edge - HOUR)
        check(request=Request(periodic_task="Beat"))
        AlertEvent.objects.all().delete()
        clock.move_to(edge + HOUR)
        check(request=Request(periodic_task="Beat"))

        gap = f"not checked between {edge.hour - 1:02}:00 and {edge.hour + 1:02}:00 UTC"
        assert gap in str(mailoutbox[-1].body).lower().replace("utc", "UTC")

    @pytest.mark.parametrize(("minute", "hour"), [("30", "2"), ("0", "9"), ("0", "*/6")])
    def test_is_known_to_the_wait_of_a_crontab(
        self, zone: str, edge: datetime, minute: str, hour: str
    ) -> None:
        schedule_by("Beat", zone, minute, hour)
        at = clock_time(edge, zone, 9, day=-1)
        hours = []
        for _ in range(12):
            wait = periodic_tasks.wait_after("Beat", at)
            assert wait is not None
            assert timedelta(0) < wait <= 25 * HOUR
            at += wait
            local = at.astimezone(ZoneInfo(zone))
            if local.utcoffset() == (at + HOUR).astimezone(local.tzinfo).utcoffset():
                hours.append((str(local.minute), local.hour))
        wanted = range(0, 24, 6) if hour == "*/6" else [int(hour)]
        skipped = (str(minute), 3)  # 2:30 on a day on which it is not
        assert set(hours) - {skipped} <= {(minute, one) for one in wanted}

    @pytest.mark.parametrize("minute", ["*/15", "0"])
    def test_is_no_gap_if_the_schedule_is_kept(
        self, zone: str, edge: datetime, minute: str, clock: Clock
    ) -> None:
        schedule_by("Beat", zone, minute, "*")
        at = edge - 3 * HOUR
        while at < edge + 3 * HOUR:
            clock.move_to(at)
            assert check(request=Request(periodic_task="Beat")).not_checked_from is None
            wait = periodic_tasks.wait_after("Beat", at)
            assert wait is not None
            assert timedelta(0) < wait <= 2 * HOUR + QUARTER
            at += wait


def live_in(zone: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Django and Celery live in a time zone."""
    settings.TIME_ZONE = zone
    app = current_app._get_current_object()
    monkeypatch.setattr(app.conf, "timezone", zone)
    monkeypatch.setitem(vars(app), "timezone", ZoneInfo(zone))
    assert timezone.get_current_timezone_name() == str(app.timezone) == zone


def clock_time(edge: datetime, zone: str, hour: int, *, day: int) -> datetime:
    """Return an hour on the clock, on the day of the edge or some days from it, in UTC."""
    local = edge.astimezone(ZoneInfo(zone)) + timedelta(days=day)
    at = local.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0)
    return at.astimezone(UTC)


def schedule_by(name: str, zone: str, minute: str, hour: str) -> None:
    crontab = CrontabSchedule.objects.create(minute=minute, hour=hour, timezone=zone)
    PeriodicTask.objects.create(name=name, task="monitor_task_status", crontab=crontab)


@pytest.mark.parametrize("zone", ZONES)
class TestATimeZone:
    @pytest.fixture(autouse=True)
    def _there(self, zone: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        live_in(zone, settings, monkeypatch)

    @pytest.mark.parametrize(
        ("model", "columns"),
        [
            (MonitorRun, ("started_at", "finished_at")),
            (AlertEvent, ("opened_at", "last_checked_at", "last_message_at")),
            (Notification, ("created_at", "next_attempt_at")),
            (RuleState, ("last_checked_at",)),
        ],
        ids=lambda one: getattr(one, "__name__", ""),
    )
    def test_does_not_change_what_is_stored(
        self, zone: str, model: Any, columns: tuple[str, ...]
    ) -> None:
        rule("sync", **OPS)
        check()

        assert set(raw(model, columns)) == set(raw_now())

    def test_is_not_that_of_the_mails(self, zone: str, mailoutbox: Mailbox) -> None:
        rule("sync", **OPS)
        check()

        (mail,) = mailoutbox
        assert "2026-03-10 12:00:00 UTC" in mail.body

    def test_does_not_move_the_edge_of_a_window(self, zone: str) -> None:
        execution("inside", started=ago(hours=1))
        execution("outside", started=ago(hours=1, seconds=1))

        report = check({"inside": ENTRY, "outside": ENTRY})

        assert [one["task_name"] for one in report.failures] == ["outside"]

    def test_does_not_move_the_times_of_a_rule(self, zone: str) -> None:
        rule("sync", snoozed_until=NOW + HOUR)

        (read,) = rule_rows.read_rows(rule_rows.as_rows(MonitorRule.objects.all())).rules

        assert (read.watched_since, read.snoozed_until) == (ago(days=30), NOW + HOUR)

    def test_is_not_that_of_a_time_without_one_in_the_log(self, zone: str) -> None:
        row = execution("sync")
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {BackgroundTask._meta.db_table} SET started_at = %s WHERE id = %s",
                ["2026-03-10 11:30:00", row.pk],
            )
        row_rule = rule("sync")
        (read,) = rule_rows.read_rows(
            rule_rows.as_rows(MonitorRule.objects.filter(pk=row_rule.pk))
        ).rules

        found = task_log.read_latest([read], NOW).executions["sync"]

        assert (found.started_at, found.started_at.tzinfo) == (ago(minutes=30), UTC)

    @pytest.mark.parametrize("hours", range(0, 24, 5))
    def test_has_a_tomorrow_that_begins_at_nine_on_its_clock(self, zone: str, hours: int) -> None:
        now = NOW + timedelta(hours=hours)

        ends = interventions.tomorrow_morning(now).astimezone(ZoneInfo(zone))

        tomorrow = now.astimezone(ZoneInfo(zone)).date() + DAY
        assert (ends.date(), ends.hour, ends.minute) == (tomorrow, 9, 0)


def raw(model: Any, columns: tuple[str, ...]) -> list[Any]:
    """Return what the only row of a table holds, as the driver says it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM {model._meta.db_table}")
        ((*values,),) = cursor.fetchall()
    return values


def raw_now() -> list[Any]:
    """Return `NOW` as a driver says it that was given it in UTC."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {BackgroundTask._meta.db_table} SET finished_at = %s",
            ["2026-03-10 12:00:00"],
        )
    return raw(BackgroundTask, ("finished_at",))
