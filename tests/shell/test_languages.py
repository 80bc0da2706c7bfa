"""Mails in the language of `MONITORING["LANGUAGE_CODE"]`, whatever that of anybody else is."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import pytest
from django.core import mail
from django.test import override_settings
from django.utils import translation

from monitoring import doors, rendering
from monitoring.channels.email import DeliveryError, Mailer
from monitoring.core.digests import Topic, digest_facts
from monitoring.core.incidents import MessageKind
from monitoring.core.messages import facts
from monitoring.core.retries import Fault
from monitoring.core.statuses import Status
from monitoring.core.values import Evidence, Execution, Rule, Verdict, Waiting
from monitoring.core.verdicts import judge
from monitoring.models import Notification
from tests.catalogues import EACH_LANGUAGE, LANGUAGES, fixed_phrases
from tests.factories import NOW, ago, execution, rule, superuser

RULE = Rule(
    key="key",
    name="Nightly",
    task_name="sync",
    expected_statuses=(Status.COMPLETED, Status.CANCELLED),
    lookback_hours=1.5,
    dependent_tasks=("report", "export"),
    max_runtime_minutes=5,
)
BEFORE = Execution(pk=1, task_name="sync", status=Status.RUNNING, started_at=ago(hours=3))
STOPPED = BEFORE._replace(status=Status.STOPPED, started_at=ago(minutes=20))
STATES = [
    {"task_name": f"{state}{since}", "state": state, "since": since}
    for state in ("failing", "ok", "unknown", "not_watched")
    for since in (None, ago(hours=1).isoformat())
]
EVERYTHING: dict[str, Any] = {
    "opened_at": ago(hours=3),
    "failing_checks": 3,
    "held_behind": "up",
    "not_checked_from": ago(hours=2),
    "dependent_states": STATES,
}


def verdict(case: str) -> Verdict:
    """Return one verdict of each kind that mails tell of."""
    if case == "no_execution":
        found = judge(replace(RULE, max_runtime_minutes=None), Evidence(latest=BEFORE), NOW)
        return found._replace(waiting=Waiting(count=2, since=ago(hours=1)))
    if case == "overrunning":
        return judge(RULE, Evidence(latest=BEFORE._replace(started_at=ago(hours=1))), NOW)
    if case == "unknown":
        return judge(replace(RULE, watched_since=ago(hours=1)), Evidence(), NOW)
    if case == "ok":
        latest = STOPPED._replace(status=Status.COMPLETED, finished_at=ago(minutes=10))
        return judge(RULE, Evidence(latest=latest), NOW)
    return judge(RULE, Evidence(latest=STOPPED), NOW)


MAILS = (
    ("mismatch", MessageKind.ALERT),
    ("mismatch", MessageKind.REMINDER),
    ("no_execution", MessageKind.ALERT),
    ("overrunning", MessageKind.ALERT),
    ("unknown", MessageKind.ALERT),
    ("ok", MessageKind.RECOVERY),
)


def told(case: str, kind: MessageKind) -> dict[str, Any]:
    """Return all that a message may say, in the language of mails."""
    with rendering.mail_language():
        return facts(RULE, verdict(case), kind, NOW, words=translation, **EVERYTHING) | {
            "description": "See the wiki",
            "undeliverable": [{"recipient": "ops@example.com", "error": "550"}],
        }


def digest(topic: Topic, many: int = 101) -> dict[str, Any]:
    case, kind = {
        Topic.FAILED: ("mismatch", MessageKind.ALERT),
        Topic.UNKNOWN: ("unknown", MessageKind.ALERT),
        Topic.RECOVERED: ("ok", MessageKind.RECOVERY),
    }[topic]
    with rendering.mail_language():
        return digest_facts(topic, [(1, told(case, kind))] * many, NOW, translation)


def seen(found: rendering.Mail) -> list[str]:
    """Return what a reader sees: the subject, the text, and the HTML without its tags."""
    page = html.unescape(re.sub(r"<[^>]+>", " ", found.html_body.partition("</head>")[2]))
    return [" ".join(part.split()) for part in (found.subject, found.text_body, page)]


def left_over(language: str, *parts: str) -> list[str]:
    phrases = fixed_phrases(language, "templates/emails", "monitoring/core", "monitoring/outbox")
    return sorted(phrase for phrase in phrases if any(phrase in part for part in parts))


@pytest.fixture(params=EACH_LANGUAGE)
def language(request: pytest.FixtureRequest, settings: Any) -> str:
    code = str(request.param)
    settings.MONITORING = {"LANGUAGE_CODE": code, "SITE_NAME": "Example"}
    return code


class TestNoEnglishIsLeft:
    @pytest.mark.parametrize(("case", "kind"), MAILS)
    def test_in_a_mail_about_one_task(self, language: str, case: str, kind: MessageKind) -> None:
        parts = seen(rendering.render(told(case, kind), 1))

        assert all(parts)
        assert left_over(language, *parts) == []

    @pytest.mark.parametrize("topic", Topic)
    def test_in_a_digest(self, language: str, topic: Topic) -> None:
        parts = seen(rendering.render(digest(topic), None))

        assert all(parts)
        assert left_over(language, *parts) == []

    @pytest.mark.parametrize(("case", "kind"), MAILS)
    def test_in_the_text_that_stands_in_for_a_template(
        self, language: str, case: str, kind: MessageKind, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rendering, "TEMPLATE", "no_such.html")
        monkeypatch.setattr(rendering, "DIGEST_TEMPLATE", "no_such.html")

        parts = [
            rendering.render(said, None).text_body
            for said in (told(case, kind), digest(Topic.FAILED), {}, {"tasks": [{}]})
            if said.setdefault("subject", "S")
        ]

        assert all(parts)
        assert left_over(language, *parts) == []


SUBJECTS = {
    "en": ("[ALERT] sync Status Check Failed", "[ALERT] sync Has Not Executed", "[RESOLVED] sync"),
    "de": (
        "[ALARM] sync: Statusprüfung nicht bestanden",
        "[ALARM] sync wurde nicht ausgeführt",
        "[BEHOBEN] sync",
    ),
    "fr": (
        "[ALERTE] sync : échec du contrôle de statut",
        "[ALERTE] sync ne s\N{RIGHT SINGLE QUOTATION MARK}est pas exécutée",
        "[RÉSOLU] sync",
    ),
    "es": (
        "[ALERTA] sync: comprobación de estado fallida",
        "[ALERTA] sync no se ha ejecutado",
        "[RESUELTO] sync",
    ),
}


@pytest.mark.parametrize("code", SUBJECTS)
def test_the_subjects_of_each_language(code: str) -> None:
    with override_settings(MONITORING={"LANGUAGE_CODE": code}):
        found = tuple(
            rendering.render(told(case, kind), None).subject
            for case, kind in (MAILS[0], MAILS[2], MAILS[5])
        )

    assert found == SUBJECTS[code]


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_subject_is_longer_than_its_column_in_any_language(code: str) -> None:
    named = replace(RULE, task_name="x" * 255)

    with translation.override(code):
        lengths = {
            len(facts(named, verdict(case), kind, NOW, words=translation)["subject"])
            for case, kind in MAILS
        }

    assert lengths == {255}


def test_what_a_german_alert_says() -> None:
    with override_settings(MONITORING={"LANGUAGE_CODE": "de"}):
        text = rendering.render(told(*MAILS[0]), None).text_body

    assert "Aktueller Status  Gestoppt\nErwarteter Status Abgeschlossen, Abgebrochen\n" in text
    assert "Zeitfenster       Letzte 1.5 Stunde(n)\n" in text
    assert "Letztes Ende      kein Ende erfasst\n" in text
    assert "Geprüft           2026-03-10 12:00:00 UTC\n" in text


def test_mails_are_english_without_the_setting() -> None:
    with override_settings(MONITORING={}, LANGUAGE_CODE="de"), translation.override("fr"):
        found = rendering.render(told(*MAILS[0]), None)

    assert found.subject == "[ALERT] sync Status Check Failed"
    assert "no finish recorded" in found.text_body


@pytest.mark.parametrize("code", ["xx", "not-a-language", "d e"])
def test_a_language_that_nobody_speaks_costs_no_mail(code: str) -> None:
    with override_settings(MONITORING={"LANGUAGE_CODE": code}):
        found = rendering.render(told(*MAILS[0]), None)

    assert found.subject == "[ALERT] sync Status Check Failed"
    assert found.html_body


def test_a_catalogue_that_cannot_be_read_costs_no_mail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    activate = translation.activate

    def refuse(code: str) -> None:
        if code == "de":
            raise OSError("bad magic number")
        activate(code)

    monkeypatch.setattr(translation, "activate", refuse)

    with override_settings(MONITORING={"LANGUAGE_CODE": "de"}):
        found = rendering.render(told(*MAILS[0]), None)

    assert found.subject == "[ALERT] sync Status Check Failed"
    assert "the catalogue of de cannot be loaded" in caplog.text


@pytest.mark.django_db(transaction=True)
class TestFromTheCheckToTheMail:
    @pytest.fixture(autouse=True)
    def german(self, settings: Any, clock: object) -> None:
        settings.MONITORING = {"LANGUAGE_CODE": "de", "DIGEST_ABOVE": 2}

    def checked(self, *task_names: str) -> list[str]:
        """Check tasks that failed for somebody who speaks French; return the subjects sent."""
        for name in task_names:
            rule(name, notify_to=["ops@example.com"])
            execution(name, "Stopped")
        with translation.override("fr"):
            doors.check((), {})
            assert translation.get_language() == "fr"
        return [str(sent.subject) for sent in mail.outbox]

    def test_an_alert(self) -> None:
        assert self.checked("sync") == ["[ALARM] sync: Statusprüfung nicht bestanden"]
        assert "sync: Gestoppt" in str(mail.outbox[0].body)

    def test_a_digest(self) -> None:
        names = ("a", "b", "c")

        assert self.checked(*names) == ["[ALARM] 3 Tasks haben die Statusprüfung nicht bestanden"]

    def test_a_message_that_superusers_get_instead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_mailer: Mailer, row: Notification) -> None:
            raise DeliveryError("550 no such user", Fault.REFUSED)

        monkeypatch.setattr(Mailer, "send", refuse)
        superuser()
        self.checked("sync")

        row = Notification.objects.get(stands_in_for__isnull=False)
        assert row.subject == "[ALARM] sync: Statusprüfung nicht bestanden (unzustellbar)"

    def test_the_report_of_the_check_stays_english(self) -> None:
        rule("sync", notify_to=["ops@example.com"])
        execution("sync", "Stopped")

        with translation.override("de"):
            report = doors.check((), {})

        assert [one["reason"] for one in report.failures] == ["Stopped instead of Completed"]
