"""The admin in the language of whoever looks."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import translation
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.models import AlertEvent, MonitorRule, MonitorRun, Notification
from tests.admin.browser import failing
from tests.admin.data import MODELS, event, message, run, url
from tests.admin.test_rule_form import form
from tests.catalogues import EACH_LANGUAGE, fixed_phrases
from tests.factories import NOW, execution, rule

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PLACES = ("templates/admin", "monitoring/")
STORED = {"Status Check Failed", "Has Not Executed"}
"""Subjects, which are in the language of mails."""


@pytest.fixture(params=EACH_LANGUAGE)
def language(request: pytest.FixtureRequest, settings: Any, root: Client) -> Iterator[str]:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    root.defaults["HTTP_ACCEPT_LANGUAGE"] = str(request.param)
    yield str(request.param)
    translation.deactivate()  # the middleware leaves a thread in the language of its last request


def visible(page: str) -> str:
    """Return what a person reads or hears of a page, on one line."""
    body = re.sub(
        r"<(script|style|pre)\b.*?</\1>", " ", page.partition("<body")[2], flags=re.DOTALL
    )
    spoken = re.findall(r'(?:title|aria-label|placeholder|value|data-choose)="([^"]*)"', body)
    text = re.sub(r"<[^>]+>", " ", body)
    return " ".join(html.unescape(" ".join([text, *spoken])).split())


def read(client: Client, address: str, query: dict[str, str] | None = None) -> str:
    response = client.get(address, query or {})
    assert response.status_code == 200, address
    return visible(response.content.decode())


def left_over(language: str, text: str) -> list[str]:
    return sorted(one for one in fixed_phrases(language, *PLACES) - STORED if one in text)


LISTS = {
    "de": (
        "Regel",
        "Alarmereignis",
        "Benachrichtigung",
        "Ausführung",
        "Prüfung",
        "Worker",
        "Kanal",
    ),
    "es": (
        "regla",
        "evento de alerta",
        "notificación",
        "ejecución",
        "comprobación",
        "worker",
        "canal",
    ),
    "fr": ("règle", "événement d", "notification", "exécution", "contrôle", "worker", "canal"),
}
NEVER_CHECKED = {"de": "Nie geprüft", "es": "Nunca comprobada", "fr": "Jamais contrôlée"}
STOPPED = {"de": "Gestoppt", "es": "Detenida", "fr": "Arrêtée"}
SNOOZE = {"de": "Stummschalten", "es": "Silenciar", "fr": "Mettre en sourdine"}
ADDED = {
    "de": "Dies fügt 1 Regel hinzu, die dasselbe tut",
    "es": "Esto añade 1 regla que hace lo mismo",
    "fr": "Ceci ajoute 1 règle qui fait ce que fait",
}
NOT_A_STATUS = {
    "de": '"Fertig" ist kein Status: Verwenden Sie Pending',
    "es": '"Fertig" no es un estado: use Pending',
    "fr": '"Fertig" n\N{RIGHT SINGLE QUOTATION MARK}est pas un statut : utilisez',
}
CHANGED = {"de": "Stummgeschaltet bis", "es": "Silenciada hasta", "fr": "En sourdine jusqu"}


class TestPages:
    def test_every_list(self, language: str, root: Client) -> None:
        failing()

        for model, name in zip(MODELS, LISTS[language], strict=True):
            text = read(root, url(model, "changelist"))
            assert name in text
            assert left_over(language, text) == []

    def test_every_page_of_one_row(self, language: str, root: Client) -> None:
        for model, row in failing().items():
            text = read(root, url(model, "change", row.pk))
            assert left_over(language, text) == []

    def test_the_words_of_a_list(self, language: str, root: Client) -> None:
        rule("sync")
        event("sync")

        assert NEVER_CHECKED[language] in read(root, url(MonitorRule, "changelist"))
        assert STOPPED[language] in read(root, url(AlertEvent, "changelist"))

    def test_the_form_of_a_rule(self, language: str, root: Client) -> None:
        row = rule("sync")

        text = read(root, url(MonitorRule, "change", row.pk))
        assert SNOOZE[language] in text
        assert left_over(language, text + read(root, url(MonitorRule, "add"))) == []

    def test_the_overview(self, language: str, root: Client) -> None:
        execution("unwatched")
        empty = read(root, "/admin/monitoring/")
        failing()

        assert left_over(language, empty + read(root, "/admin/monitoring/")) == []

    def test_the_timeline(self, language: str, root: Client) -> None:
        row = failing()[MonitorRule]

        with time_machine.travel(NOW, tick=False):
            text = read(root, url(MonitorRule, "timeline"), {"rule": str(row.pk)})
        assert STOPPED[language] in text
        assert left_over(language, text) == []

    def test_the_import_of_rules(self, language: str, root: Client) -> None:
        assert left_over(language, read(root, url(MonitorRule, "import"))) == []

    def test_the_preview(self, language: str, root: Client) -> None:
        execution("hourly_data_sync", "Stopped")

        answer = root.post(url(MonitorRule, "preview"), form(lookback_hours="1")).json()
        notes = json.dumps(answer["notes"], ensure_ascii=False)
        panel = visible(f"<body>{answer['panel']}")
        # The mail in it is in the language of mails.
        assert STOPPED[language] in panel
        assert left_over(language, panel + notes) == []

    def test_arguments_that_become_rules(self, language: str, root: Client) -> None:
        row = PeriodicTask.objects.create(
            name="Old",
            task="monitor_task_status",
            interval=IntervalSchedule.objects.create(every=5, period="minutes"),
            args='[{"sync": {"expected_statuses": ["Completed"]}}]',
        )

        text = read(root, f"/admin/django_celery_beat/periodictask/{row.pk}/to-rules/")
        assert ADDED[language] in text
        assert left_over(language, text) == []

    def test_what_was_asked_to_be_checked(self, language: str, root: Client) -> None:
        for asked in ("all rules", "rules with name sync", "rules with task_name sync"):
            run(rule_set=asked)

        text = read(root, url(MonitorRun, "changelist"))
        assert "all rules" not in text
        assert "rules with" not in text

    def test_why_a_message_was_suppressed(self, language: str, root: Client) -> None:
        for reason in ("snooze", "acknowledgement", "upstream"):
            message(None, state="suppressed", suppressed_by=reason, sent_at=None)

        text = read(root, url(Notification, "changelist"))
        assert not re.search("snooze|acknowledgement|upstream", text)


class TestAnswers:
    def test_of_a_form_that_is_refused(self, language: str, root: Client) -> None:
        response = root.post(
            url(MonitorRule, "add"), form(expected_statuses='["Fertig"]', lookback_hours="0")
        )

        text = visible(response.content.decode())
        assert NOT_A_STATUS[language] in text
        assert left_over(language, text) == []

    def test_of_the_model_that_refuses_a_row(self, language: str, root: Client) -> None:
        response = root.post(
            url(MonitorRule, "add"), form(context_model="gap", context_type="x", notify_to='["x"]')
        )

        assert left_over(language, visible(response.content.decode())) == []

    def test_of_the_buttons(self, language: str, root: Client) -> None:
        row = rule("sync")
        execution("sync", "Stopped")
        opened = event("sync")

        said = [
            visible(root.post(address, data, follow=True).content.decode())
            for address, data in (
                (url(MonitorRule, "check", row.pk), {}),
                (url(MonitorRule, "snooze", row.pk), {"length": "4"}),
                (url(MonitorRule, "test_mail", row.pk), {}),
                (url(AlertEvent, "acknowledge", opened.pk), {"until": "2000-01-01T00:00"}),
                (url(AlertEvent, "acknowledge", opened.pk), {}),
                (url(AlertEvent, "resolve", opened.pk), {}),
            )
        ]
        assert left_over(language, " ".join(said)) == []

    def test_of_the_history_of_a_rule(self, language: str, root: Client) -> None:
        row = rule("sync")
        root.post(url(MonitorRule, "snooze", row.pk), {"length": "4"})

        text = read(root, url(MonitorRule, "history", row.pk))
        assert CHANGED[language] in text
        assert "Snoozed until" in LogEntry.objects.get().change_message
