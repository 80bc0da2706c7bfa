"""What the faults happen to, and what must be true afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

import time_machine
from django.conf import settings as django_settings
from django.test import override_settings

from monitoring import doors
from monitoring.delivery import Delivered
from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, Notification
from monitoring.outbox import CLAIM
from monitoring.reports import Report
from monitoring.runs import Request, lease_time
from tests.doors.servers import Database
from tests.factories import NOW, ago, execution, rule
from tests.faults import figures
from tests.faults.databases import Rows, restore, snapshot
from tests.faults.victim import Answer, Boundary, Job, run
from tests.mail_server import Moody

OPS, DEV = "ops@example.com", "dev@example.com"
AFTER_THE_CLAIM = CLAIM + timedelta(seconds=1)
MOST_BOUNDARIES = 400

Decided = tuple[str, str, str]
"""Task, kind and recipient of one message."""


class Scene:
    """One database with its mail server."""

    def __init__(self, kind: str, database: Database, server: Moody) -> None:
        self.kind, self.database, self.server = kind, database, server
        self._rows: Rows = []

    # What happens

    def check(
        self, at: datetime, *arguments: object, task_id: str = "", **selection: object
    ) -> Report:
        """Check in this process, at an instant, without delivering."""
        request = Request(task_id=task_id) if task_id else None
        with time_machine.travel(at, tick=True):
            report = doors.check(arguments, selection, request=request, hand_over=lambda: None)
        figures.count(self.kind, checks=1)
        return report

    def deliver(self, at: datetime) -> Delivered:
        """Make one pass over the outbox in this process, at an instant."""
        with time_machine.travel(at, tick=True):
            return doors.deliver()

    def deliver_all(self, at: datetime, passes: int = 10) -> datetime:
        """Deliver until nothing is owed, each pass when the claims of the last have run out."""
        for _ in range(passes):
            self.deliver(at)
            if not doors.owed_count():
                return at
            at += AFTER_THE_CLAIM
        owed = list(Notification.objects.owed().values("pk", "kind", "recipient", "error"))
        raise AssertionError(f"still owed after {passes} passes: {owed[:5]}")

    def job(self, work: Any, at: datetime = NOW, **options: Any) -> Job:
        """Return what a process of its own does with this database and this mail server."""
        settings = {
            "MONITORING": django_settings.MONITORING,
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": self.server.port,
            "EMAIL_TIMEOUT": django_settings.EMAIL_TIMEOUT,
            **options.pop("settings", {}),
        }
        return Job(url=self.database.url, work=work, now=at, settings=settings, **options)

    def run(self, job: Job) -> Answer | None:
        """Run a process to its end; None: it was killed."""
        if job.work.startswith("check"):
            figures.count(self.kind, checks=1)
        answer = run(job)
        figures.count(self.kind, faults=answer is None)
        return answer

    def keep(self) -> None:
        """Remember what the database holds, as the start of every kill."""
        self._rows = snapshot()

    def kills(self, job: Job, what: Any, when: Any) -> Iterator[Boundary]:
        """Run a job again and again, killed at each boundary in turn, until it is not killed.

        Yields after each kill; each starts with what `keep` has remembered and an empty mailbox.
        """
        for number in range(1, MOST_BOUNDARIES):
            restore(self._rows)
            self.server.messages.clear()
            boundary = Boundary(what, when, number)
            answer = self.run(replace(job, boundary=boundary))
            if answer is not None:
                assert not answer.error, answer.error
                assert number > 4, "this job has more boundaries than that"
                return
            yield boundary
        raise AssertionError("no end of boundaries")

    # What is there

    @property
    def arrived(self) -> Counter[str]:
        """How often each Message-ID has arrived."""
        with self.server.lock:
            return Counter(str(one["Message-ID"]) for one in self.server.messages)

    @property
    def rows(self) -> list[Notification]:
        """What the outbox holds since `NOW`; what was before is history."""
        return list(Notification.objects.filter(created_at__gte=NOW).order_by("pk"))

    def decided(self) -> Counter[Decided]:
        """Return what is in the outbox, digests aside."""
        rows = [row for row in self.rows if "tasks" not in row.facts]
        return Counter((row.facts["task_name"], row.kind, row.recipient) for row in rows)

    def in_doubt(self) -> list[str]:
        """Return what has arrived without being marked: it may arrive once more."""
        return [row.message_id for row in self.mails() if self.is_in_doubt(row)]

    def is_in_doubt(self, row: Notification) -> bool:
        return row.state != "sent" and bool(row.message_id) and row.message_id in self.arrived

    def mails(self) -> list[Notification]:
        """Return the rows that are a mail each: digests, and what is in none."""
        return [row for row in self.rows if row.digest_id is None and row.state != "suppressed"]

    # What must be true

    def assert_settled(self, where: object, *, repeatable: Sequence[str] = ()) -> None:
        """Everything owed was sent, arrived, and arrived once.

        repeatable: Message-IDs that may have arrived twice.
        """
        states = Counter(row.state for row in self.rows)
        assert set(states) <= {"sent", "suppressed"}, f"{where}: {states}"
        arrived = self.arrived
        wanted = {row.message_id for row in self.mails()}
        lost = wanted - set(arrived)
        repeated = {one: number for one, number in arrived.items() if number > 1}
        self.count(owed=len(wanted), delivered=sum(arrived.values()))
        self.count(repeated=len(repeated), lost=len(lost))
        assert len(wanted) == len(self.mails()), f"{where}: two rows have one Message-ID"
        assert not lost, f"{where}: lost {lost}"
        assert set(arrived) == wanted, f"{where}: arrived without a row"
        assert set(repeated) <= set(repeatable), f"{where}: repeated {repeated}"
        assert all(number == 2 for number in repeated.values()), f"{where}: {repeated}"

    def assert_one_event_each(self, tasks: Sequence[str], where: object = "") -> None:
        """Every failing task has one open event, and no other task has one."""
        found = Counter(AlertEvent.objects.open().values_list("task_name", flat=True))
        assert found == dict.fromkeys(tasks, 1), f"{where}: open events {found}"

    def count(self, **numbers: int) -> None:
        figures.count(self.kind, **numbers)


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of a mail that arrived."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def next_check(at: datetime = NOW) -> datetime:
    """Return when a check that was killed at an instant keeps others out no more."""
    return at + lease_time() + timedelta(seconds=30)


def long_log() -> None:
    """Make the log long enough to tell "did not run" from "not recorded yet"."""
    execution("heartbeat", started=ago(days=30))


def failing_rules(number: int, *recipients: str, **fields: Any) -> list[MonitorRule]:
    """Store rules whose tasks have failed; their tasks are `task-000` and so on."""
    tasks = [f"task-{index:03}" for index in range(number)]
    MonitorRule.objects.bulk_create(
        MonitorRule(
            name=f"{task} rule",
            task_name=task,
            notify_to=list(recipients),
            created_at=ago(days=30),
            **fields,
        )
        for task in tasks
    )
    BackgroundTask.objects.bulk_create(
        BackgroundTask(
            task_id=f"stopped-{task}",
            task_name=task,
            status="Stopped",
            started_at=ago(minutes=5),
            submitted_at=ago(minutes=5),
        )
        for task in tasks
    )
    return list(MonitorRule.objects.order_by("pk"))


def a_bit_of_everything(scene: Scene) -> list[Decided]:
    """Set up rules of which a check at `NOW` has something different to do for each.

    Returns the messages that it decides. With two rules to a batch there are four batches.
    """
    long_log()
    before = NOW - timedelta(hours=2)
    rule("opens", notify_to=[OPS, DEV])
    rule("recovers", notify_to=[OPS], lookback_hours=4)
    rule("reminds", notify_to=[OPS], lookback_hours=4, remind_hours=1)
    rule("fine", notify_to=[OPS], lookback_hours=4)
    rule("keeps failing", notify_to=[OPS], lookback_hours=4)
    rule("counts", notify_to=[OPS], alert_after=3)
    rule("opens too", notify_to=[OPS])
    dropped = rule("dropped", notify_to=[OPS], lookback_hours=4)
    old = before - timedelta(minutes=5)
    for task in ("recovers", "reminds", "keeps failing", "dropped"):
        execution(task, "Stopped", started=old)
    for task in ("opens", "fine", "counts", "opens too"):
        execution(task, started=old)
    scene.check(before)
    scene.deliver_all(before + timedelta(seconds=10))
    assert AlertEvent.objects.open().count() == 4
    MonitorRule.objects.filter(pk=dropped.pk).update(enabled=False)
    for task in ("opens", "opens too", "counts"):
        execution(task, "Stopped")
    for task in ("recovers", "fine"):
        execution(task)
    scene.keep()
    return [
        ("opens", "alert", OPS),
        ("opens", "alert", DEV),
        ("recovers", "recovery", OPS),
        ("reminds", "reminder", OPS),
        ("opens too", "alert", OPS),
    ]


def owed_messages(scene: Scene) -> int:
    """Let a check owe single messages and one digest; return how many mails that is."""
    long_log()
    rule("single", notify_to=[OPS, DEV])
    execution("single", "Stopped")
    failing_rules(3, "team@example.com")
    with override_settings(MONITORING=django_settings.MONITORING | {"DIGEST_ABOVE": 2}):
        scene.check(NOW)
    assert len(scene.mails()) == 3
    scene.keep()
    return 3


FAILING_OF_EVERYTHING = ("opens", "reminds", "keeps failing", "opens too")
