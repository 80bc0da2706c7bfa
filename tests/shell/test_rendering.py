"""From the facts of a message to its subject, text and HTML, with the host's template or ours."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from django.utils import timezone, translation

from monitoring import rendering
from monitoring.core.incidents import MessageKind
from monitoring.core.messages import facts, plain_text
from monitoring.core.statuses import Status
from monitoring.core.values import ContextFilter, Evidence, Execution, Rule, Verdict, Waiting
from monitoring.core.verdicts import judge
from tests.factories import NOW, ago

RULE = Rule(
    key="key",
    task_name="sync",
    expected_statuses=(Status.COMPLETED, Status.RUNNING),
    lookback_hours=1.5,
    dependent_tasks=("report", "export"),
)
STOPPED = Execution(
    pk=1,
    task_name="sync",
    status=Status.STOPPED,
    started_at=ago(minutes=20),
    finished_at=ago(minutes=10),
    task_id="abc-123",
    worker="w1@host",
    error="ValueError: no",
)


def said(
    rule: Rule = RULE,
    execution: Execution | None = STOPPED,
    kind: MessageKind = MessageKind.ALERT,
    **changes: Any,
) -> dict[str, Any]:
    """Return the facts of one message."""
    verdict: Verdict = judge(rule, Evidence(latest=execution), NOW)
    return facts(rule, verdict._replace(**changes), kind, NOW, opened_at=ago(hours=3))


def words(text: str) -> str:
    """Return what a reader sees of a part, on one line."""
    if text.startswith("<!DOCTYPE"):
        text = html.unescape(re.sub(r"<[^>]+>", "", text.split("</head>")[1]))
    return " ".join(text.split())


Host = Callable[[str], None]


@pytest.fixture
def host(tmp_path: Path, settings: Any) -> Host:
    """Put a template of the host's before ours."""

    def write(text: str) -> None:
        path = tmp_path / "emails" / "task_status_alert.html"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        ours = settings.TEMPLATES[0]
        settings.TEMPLATES = [{**ours, "DIRS": [tmp_path, *ours["DIRS"]]}]

    return write


DOCUMENTED = (
    "{% block subject %}{{ task_name }}{% endblock %}"
    "{% block text_body %}"
    "{{ task_name }}|{{ current_status }}|{{ expected_statuses }}|{{ lookback_hours }}|"
    '{{ started_at|date:"c" }}|{{ finished_at|date:"c" }}|{{ check_time|date:"c" }}|'
    "{{ has_dependent_tasks }}|{% for name in dependent_tasks %}<{{ name }}>{% endfor %}"
    "{% endblock %}"
    "{% block html_body %}<p>{{ task_name }}</p>{% endblock %}"
)


class TestTheDocumentedVariables:
    def test_all_nine_reach_the_template_of_a_host(self, host: Host) -> None:
        host(DOCUMENTED)

        mail = rendering.render(said(), None)

        assert mail.text_body == (
            "sync|Stopped|Completed, Running|1.5|2026-03-10T11:40:00+00:00|"
            "2026-03-10T11:50:00+00:00|2026-03-10T12:00:00+00:00|True|<report><export>"
        )

    def test_they_say_so_when_there_is_nothing(self, host: Host) -> None:
        host(DOCUMENTED)

        mail = rendering.render(said(replace(RULE, dependent_tasks=()), None), None)

        assert mail.text_body == (
            "sync|No execution found|Completed, Running|1.5|||2026-03-10T12:00:00+00:00|False|"
        )

    def test_they_have_the_documented_types(self) -> None:
        context = rendering.template_context(said(), None)

        types = {name: type(context[name]) for name in DOCUMENTED_TYPES}
        assert types == DOCUMENTED_TYPES

    def test_times_are_none_when_there_is_no_execution(self) -> None:
        context = rendering.template_context(said(execution=None), None)

        assert (context["started_at"], context["finished_at"]) == (None, None)

    def test_times_know_their_zone(self) -> None:
        context = rendering.template_context(said(), None)

        assert context["check_time"] == NOW
        assert context["check_time"].tzinfo is UTC


DOCUMENTED_TYPES = {
    "task_name": str,
    "current_status": str,
    "expected_statuses": str,
    "lookback_hours": float,
    "started_at": datetime,
    "finished_at": datetime,
    "check_time": datetime,
    "has_dependent_tasks": bool,
    "dependent_tasks": list,
}


class TestTheTemplateOfAHost:
    def test_its_three_parts_are_used(self, host: Host) -> None:
        host(
            "{% block subject %}S {{ task_name }}{% endblock %}"
            "{% block text_body %}T {{ task_name }}{% endblock %}"
            "{% block html_body %}<p>H {{ task_name }}</p>{% endblock %}"
        )

        mail = rendering.render(said(), None)

        assert (mail.subject, mail.text_body) == ("S sync", "T sync")
        assert mail.html_body == "<p>H sync</p>"

    def test_without_blocks_it_is_all_html_with_our_subject_and_text(self, host: Host) -> None:
        host("<h1>{{ task_name }}</h1><p>{{ current_status }}</p>")

        mail = rendering.render(said(), None)

        assert mail.html_body == "<h1>sync</h1><p>Stopped</p>"
        assert mail.subject == "[ALERT] sync Status Check Failed"
        assert "Current status: Stopped" in mail.text_body

    def test_one_that_extends_another_is_no_empty_mail(self, host: Host, tmp_path: Path) -> None:
        host('{% extends "emails/frame.html" %}{% block body %}{{ task_name }}{% endblock %}')
        (tmp_path / "emails" / "frame.html").write_text(
            "<html>{% block body %}{% endblock %}</html>"
        )

        mail = rendering.render(said(), None)

        assert mail.html_body == "<html>sync</html>"
        assert "Current status: Stopped" in mail.text_body

    @pytest.mark.parametrize(
        "text",
        [
            "{% block html_body %}<p>H</p>{% endblock %}",
            "{% block text_body %} {% endblock %}{% block html_body %}<p>H</p>{% endblock %}",
        ],
    )
    def test_without_a_text_part_our_plain_text_stands_in(self, host: Host, text: str) -> None:
        host(text)

        mail = rendering.render(said(), None)

        assert mail.subject == "[ALERT] sync Status Check Failed"
        assert mail.text_body == plain_text(rendering.template_context(said(), None))
        assert mail.html_body == "<p>H</p>"

    def test_without_an_html_part_there_is_none(self, host: Host) -> None:
        host("{% block text_body %}T{% endblock %}")

        mail = rendering.render(said(), None)

        assert (mail.text_body, mail.html_body) == ("T", "")

    def test_three_empty_parts_are_no_empty_mail(self, host: Host) -> None:
        host(
            "{% block subject %}{% endblock %}{% block text_body %}{% endblock %}"
            "{% block html_body %}{% endblock %}"
        )

        mail = rendering.render(said(), None)

        assert mail.subject == "[ALERT] sync Status Check Failed"
        assert "Current status: Stopped" in mail.text_body

    def test_an_empty_file_is_no_empty_mail(self, host: Host) -> None:
        host("")

        mail = rendering.render(said(), None)

        assert mail.subject == "[ALERT] sync Status Check Failed"
        assert "Current status: Stopped" in mail.text_body
        assert mail.html_body == ""

    @pytest.mark.parametrize(
        "text",
        [
            "{% load no_such_library %}",
            "{% block subject %}{% if %}{% endblock %}",
            '{% block text_body %}{% include "emails/missing.html" %}{% endblock %}',
            "{% block html_body %}{{ task_name|no_such_filter }}{% endblock %}",
        ],
    )
    def test_one_that_fails_is_replaced_by_our_plain_text(self, host: Host, text: str) -> None:
        host(text)

        mail = rendering.render(said(), None)

        assert mail.subject == "[ALERT] sync Status Check Failed"
        assert "Current status: Stopped" in mail.text_body
        assert mail.html_body == ""

    def test_its_failure_is_logged(self, host: Host, caplog: pytest.LogCaptureFixture) -> None:
        host("{% load no_such_library %}")

        rendering.render(said(), None)

        (record,) = [one for one in caplog.records if one.name == "monitoring.rendering"]
        assert record.levelno == logging.ERROR
        assert record.getMessage() == (
            "the mail template emails/task_status_alert.html failed; the plain text is sent instead"
        )

    def test_a_subject_of_several_lines_becomes_one(self, host: Host) -> None:
        host("{% block subject %}\n a\r\n b\u2028c \n{% endblock %}")

        assert rendering.render(said(), None).subject == "a b c"

    def test_a_long_subject_is_cut_to_its_column(self, host: Host) -> None:
        host(f"{{% block subject %}}{'x' * 300}{{% endblock %}}")

        assert len(rendering.render(said(), None).subject) == 255


class TestPlainText:
    def test_it_names_every_documented_item(self, host: Host) -> None:
        host("{% load no_such_library %}")

        mail = rendering.render(said(), None)

        assert mail.text_body == (
            f"{said()['headline']}\n"
            f"{said()['explanation']}\n"
            "\n"
            "Task: sync\n"
            "Current status: Stopped\n"
            "Expected: Completed, Running\n"
            "Lookback window: Last 1.5 hour(s)\n"
            "Started: 2026-03-10 11:40:00 UTC\n"
            "Finished: 2026-03-10 11:50:00 UTC\n"
            "Checked: 2026-03-10 12:00:00 UTC\n"
            "Tasks that depend on it: report, export\n"
            "Error: ValueError: no\n"
        )


class TestOurTemplate:
    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    @pytest.mark.parametrize(
        "item",
        [
            "sync",
            "Stopped",
            "Completed, Running",
            "Last 1.5 hour(s)",
            "2026-03-10 11:40:00 UTC",
            "2026-03-10 11:50:00 UTC",
            "2026-03-10 12:00:00 UTC",
            "report",
            "export",
            "abc-123",
            "w1@host",
            "ValueError: no",
            "Example",
        ],
    )
    def test_both_parts_say(self, part: str, item: str) -> None:
        assert item in getattr(rendering.render(said(), None), part)

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_both_parts_warn_of_dependent_tasks(self, part: str) -> None:
        text = words(getattr(rendering.render(said(), None), part)).casefold()

        assert "warning: these tasks depend on it and may run late or break" in text

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_without_dependent_tasks_neither_warns(self, part: str) -> None:
        text = getattr(rendering.render(said(replace(RULE, dependent_tasks=())), None), part)

        assert "depend" not in text

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_both_note_that_the_task_did_not_execute(self, part: str) -> None:
        text = words(getattr(rendering.render(said(execution=None), None), part))

        assert "No execution found" in text
        assert "The task was due in this time frame but did not execute." in text

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_both_say_how_many_wait_and_since_when(self, part: str) -> None:
        waiting = Waiting(count=3, since=ago(minutes=40))

        text = words(getattr(rendering.render(said(waiting=waiting), None), part))

        assert (
            "3 executions are waiting in the queue, the oldest since 2026-03-10 11:20:00 UTC."
            in text
        )

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_both_say_what_still_runs(self, part: str) -> None:
        running = STOPPED._replace(status=Status.RUNNING, started_at=ago(hours=9), finished_at=None)

        text = words(getattr(rendering.render(said(execution=running), None), part))

        assert (
            "An execution that began before this window is still running, "
            "since 2026-03-10 03:00:00 UTC." in text
        )

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_both_show_the_runbook(self, part: str) -> None:
        rule = replace(RULE, description="Restart it, see https://wiki.example.com/sync")

        assert "https://wiki.example.com/sync" in getattr(rendering.render(said(rule), None), part)

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_both_show_the_context(self, part: str) -> None:
        context = ContextFilter(model="gap.IngestorSession", field="", type="Hourly Tomorrow.io")

        text = getattr(rendering.render(said(replace(RULE, context=context)), None), part)

        assert "Hourly Tomorrow.io" in text
        assert "gap.IngestorSession" in text

    @pytest.mark.parametrize("kind", list(MessageKind))
    @pytest.mark.parametrize("execution", [None, STOPPED])
    def test_every_kind_has_three_parts(self, kind: MessageKind, execution: Any) -> None:
        mail = rendering.render(said(execution=execution, kind=kind), None)

        assert mail.subject == said(execution=execution, kind=kind)["subject"]
        assert mail.text_body
        assert mail.html_body.startswith("<!DOCTYPE html>")

    def test_it_loads_nothing_from_elsewhere(self) -> None:
        page = rendering.render(said(), None).html_body

        for marker in ("<img", "<link", "<script", "@import", "url("):
            assert marker not in page

    def test_it_is_laid_out_by_tables_whose_styles_stand_in_them(self) -> None:
        body = rendering.render(said(), None).html_body.split("</head>")[1]

        assert not re.findall(r"display:\s*(?:flex|grid)|float:|position:", body)
        tables = re.findall(r"<table[^>]*>", body)
        assert tables
        assert [table for table in tables if 'role="presentation"' not in table] == []
        cells = re.findall(r"<td[^>]*>(?=[^<\s])", body)  # those that text begins in
        assert cells
        assert [cell for cell in cells if "font-size:" not in cell] == []

    @pytest.mark.parametrize("kind", list(MessageKind))
    @pytest.mark.parametrize("mode", ["@media (prefers-color-scheme: dark)", "[data-ogs"])
    def test_what_has_a_colour_has_another_in_the_dark(self, kind: MessageKind, mode: str) -> None:
        """By the media query, and by the attributes that Outlook sets."""
        head, body = rendering.render(said(kind=kind), None).html_body.split("</head>")
        sheet = next(part for part in head.split("<style>") if part.strip().startswith(mode))
        dark = set(re.findall(r"\.([\w-]+)", sheet))

        coloured = re.findall(r'class="([^"]*)"[^>]* style="([^"]*color:[^"]*)"', body)
        assert len(coloured) > 20
        # The band stays as it is, white on a strong colour.
        left = [
            (names, style)
            for names, style in coloured
            if not dark & set(names.split()) and names != "band" and "color:#ffffff" not in style
        ]
        assert left == []


HOSTILE = "<b>&\"'</b>{{ 7|add:7 }}<script>alert(1)</script>"


class TestEscaping:
    RULE = replace(
        RULE, task_name=HOSTILE, name=HOSTILE, description=HOSTILE, dependent_tasks=(HOSTILE,)
    )
    EXECUTION = STOPPED._replace(task_name=HOSTILE, error=HOSTILE, worker=HOSTILE, task_id=HOSTILE)

    def test_the_html_part_shows_foreign_text_as_text(self) -> None:
        page = rendering.render(said(self.RULE, self.EXECUTION), None).html_body

        assert "<script>" not in page
        assert "<b>" not in page
        assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6

    def test_the_text_part_shows_it_as_it_is(self) -> None:
        text = rendering.render(said(self.RULE, self.EXECUTION), None).text_body

        assert HOSTILE in text
        assert "&lt;" not in text
        assert "&quot;" not in text
        assert "&amp;" not in text

    def test_the_subject_shows_it_as_it_is(self) -> None:
        mail = rendering.render(said(self.RULE, self.EXECUTION), None)

        assert mail.subject == f"[ALERT] {HOSTILE} Status Check Failed"

    def test_it_is_never_run_as_a_template(self) -> None:
        mail = rendering.render(said(self.RULE, self.EXECUTION), None)

        assert "{{ 7|add:7 }}" in mail.text_body
        assert "{{ 7|add:7 }}" in mail.html_body

    def test_the_plain_text_that_stands_in_shows_it_as_it_is(self, host: Host) -> None:
        host("{% load no_such_library %}")

        mail = rendering.render(said(self.RULE, self.EXECUTION), None)

        assert f"Task: {HOSTILE}\n" in mail.text_body


class TestTheLinkToTheEvent:
    PATH = "/admin/monitoring/alertevent/7/change/"

    @pytest.mark.parametrize("part", ["text_body", "html_body"])
    def test_both_parts_hold_it(self, part: str) -> None:
        text = getattr(rendering.render(said(), 7), part)

        assert f"https://monitoring.example.com{self.PATH}" in text

    @pytest.mark.parametrize("base", ["https://x.example.com", "https://x.example.com/"])
    def test_it_starts_with_the_base_url(self, base: str) -> None:
        with override_settings(MONITORING={"BASE_URL": base}):
            assert rendering.event_url(7) == f"https://x.example.com{self.PATH}"

    def test_without_a_base_url_there_is_none(self) -> None:
        with override_settings(MONITORING={}):
            assert rendering.event_url(7) == ""
            assert "Open in the admin" not in rendering.render(said(), 7).html_body

    def test_without_an_event_there_is_none(self) -> None:
        assert rendering.event_url(None) == ""

    def test_a_host_without_the_admin_has_none(self) -> None:
        with override_settings(ROOT_URLCONF=__name__):
            assert rendering.event_url(7) == ""

    def test_the_plain_text_that_stands_in_holds_it(self, host: Host) -> None:
        host("{% load no_such_library %}")

        assert f"More: https://monitoring.example.com{self.PATH}\n" in (
            rendering.render(said(), 7).text_body
        )


urlpatterns: list[Any] = []  # of a host without the admin


STATES = [
    {"task_name": "report", "state": "failing", "since": "2026-03-10T11:20:00+00:00"},
    {"task_name": "export", "state": "failing", "since": None},
    {"task_name": "mirror", "state": "ok", "since": None},
    {"task_name": "archive", "state": "unknown"},
    {"task_name": "mailer", "state": "not_watched", "since": None},
]


@pytest.mark.parametrize("part", ["text_body", "html_body"])
class TestWhatOnlyNewerFactsSay:
    NOTHING = frozenset({"held_behind", "held_since", "not_checked_from", "dependent_states"})

    def seen(self, part: str, kind: MessageKind = MessageKind.ALERT, **changes: Any) -> str:
        return words(getattr(rendering.render(said(kind=kind) | changes, None), part))

    def test_how_each_dependent_task_is_doing(self, part: str) -> None:
        text = self.seen(part, dependent_states=STATES).replace(" · ", ": ")

        assert "report: failing too since 2026-03-10 11:20 UTC" in text
        assert "export: failing too " in text
        assert "mirror: ok so far" in text
        assert "archive: cannot be checked" in text
        assert "mailer: not watched" in text

    def test_how_they_are_doing_in_german(self, part: str) -> None:
        with override_settings(MONITORING={"LANGUAGE_CODE": "de"}):
            text = self.seen(part, dependent_states=STATES).replace(" · ", ": ")

        assert "report: auch gestört seit 2026-03-10 11:20 UTC" in text
        assert "mirror: bisher in Ordnung" in text

    def test_after_a_recovery_no_other_task_fails_too(self, part: str) -> None:
        text = self.seen(part, MessageKind.RECOVERY, dependent_states=STATES).replace(" · ", ": ")

        assert "report: failing since 2026-03-10 11:20 UTC" in text
        assert "failing too" not in text

    def test_without_their_states_the_names_alone_stay(self, part: str) -> None:
        text = self.seen(part, dependent_states=[])

        assert "report" in text
        assert "export" in text
        assert "not watched" not in text

    def test_that_the_alert_was_held_back(self, part: str) -> None:
        text = self.seen(part, held_behind="up <b>", held_since="2026-03-10T09:00:00+00:00")

        assert (
            "Held back since 2026-03-10 09:00:00 UTC, because up <b>, which it depends on, "
            "was failing." in text
        )

    def test_that_it_was_held_back_even_if_not_since_when(self, part: str) -> None:
        text = self.seen(part, held_behind="up", held_since=None)

        assert "Held back, because up, which it depends on, was failing." in text

    def test_when_nobody_looked(self, part: str) -> None:
        text = self.seen(part, not_checked_from="2026-03-10T11:10:00+00:00")

        assert "Not checked between 11:10 and 12:00 UTC" in text

    def test_when_nobody_looked_since_the_day_before(self, part: str) -> None:
        text = self.seen(part, not_checked_from="2026-03-09T23:10:00+00:00")

        assert "Not checked between 2026-03-09 23:10 and 2026-03-10 12:00 UTC" in text

    def test_first_of_all_whom_it_did_not_reach(self, part: str) -> None:
        text = self.seen(
            part, undeliverable=[{"recipient": "ops@example.com", "error": "550 <no>"}]
        )

        notice = "This alert could not be delivered to: "
        assert notice in text
        assert "ops@example.com: 550 <no>" in text
        assert text.index(notice) < text.index("sync is Stopped", text.index("550"))

    def test_a_recovery_that_did_not_arrive_is_no_alert(self, part: str) -> None:
        refused = [{"recipient": "ops@example.com", "error": "550"}]

        text = self.seen(part, MessageKind.RECOVERY, undeliverable=refused)

        assert "This message could not be delivered to:" in text

    def test_older_facts_look_as_they_did(self, part: str) -> None:
        old = {name: value for name, value in said().items() if name not in self.NOTHING}

        text = words(getattr(rendering.render(old, None), part))

        for item in ("Not checked", "Held back", "not be delivered", "failing too"):
            assert item not in text
        assert "report" in text


def test_the_plain_text_that_stands_in_says_what_newer_facts_say(host: Host) -> None:
    host("{% load no_such_library %}")
    refused = [{"recipient": "ops@example.com", "error": "550"}]

    mail = rendering.render(said() | {"undeliverable": refused, "held_behind": "up"}, None)

    assert mail.text_body.startswith(
        "This message could not be delivered to:\n- ops@example.com: 550\n\nsync is Stopped\n"
    )
    assert mail.text_body.endswith("Held back, because up, which it depends on, was failing.\n")


def test_the_times_of_dependent_tasks_are_aware_in_the_template() -> None:
    context = rendering.template_context(said() | {"dependent_states": STATES}, None)

    assert [one["since"] for one in context["dependent_states"]] == [
        ago(minutes=40),
        *[None] * 4,
    ]


class TestWhatTheHostsSettingsDoNotChange:
    RULE = replace(RULE, lookback_hours=12345.678, max_runtime_minutes=1234.5)

    @pytest.fixture
    def usual(self) -> rendering.Mail:
        return rendering.render(said(self.RULE), 1234567)

    def test_another_active_language(self, usual: rendering.Mail) -> None:
        with translation.override("de"):
            assert rendering.render(said(self.RULE), 1234567) == usual

    def test_another_language_of_the_site(self, usual: rendering.Mail) -> None:
        with override_settings(LANGUAGE_CODE="fr"):
            assert rendering.render(said(self.RULE), 1234567) == usual

    def test_separators_of_thousands(self, usual: rendering.Mail) -> None:
        with override_settings(USE_THOUSAND_SEPARATOR=True, THOUSAND_SEPARATOR="'"):
            assert rendering.render(said(self.RULE), 1234567) == usual

    def test_another_time_zone_of_the_site(self, usual: rendering.Mail) -> None:
        with override_settings(TIME_ZONE="America/New_York"):
            assert rendering.render(said(self.RULE), 1234567) == usual

    def test_another_active_time_zone(self, usual: rendering.Mail) -> None:
        with timezone.override("Asia/Tokyo"):
            assert rendering.render(said(self.RULE), 1234567) == usual

    def test_no_translations_at_all(self, usual: rendering.Mail) -> None:
        with override_settings(USE_I18N=False):
            mail = rendering.render(said(self.RULE), 1234567)

        assert mail.text_body == usual.text_body

    def test_the_figures_are_not_localised(self, usual: rendering.Mail) -> None:
        assert "Last 12345.678 hour(s)" in usual.text_body
        assert "/1234567/" in usual.html_body

    def test_a_language_that_is_set_changes_no_figure(self) -> None:
        given = django_settings.MONITORING | {"LANGUAGE_CODE": "de"}

        with override_settings(MONITORING=given, USE_THOUSAND_SEPARATOR=True):
            mail = rendering.render(said(self.RULE), 1234567)

        assert '<html lang="de"' in mail.html_body
        for item in ("12345.678", "2026-03-10 11:40:00 UTC", "/1234567/"):
            assert item in mail.text_body
            assert item in mail.html_body

    def test_a_language_that_is_set_leaves_the_documented_subject(self) -> None:
        with override_settings(MONITORING={"LANGUAGE_CODE": "de"}):
            assert rendering.render(said(), None).subject == "[ALERT] sync Status Check Failed"

    def test_the_language_of_the_caller_is_restored(self) -> None:
        with translation.override("fr"), timezone.override("Asia/Tokyo"):
            rendering.render(said(), None)

            assert translation.get_language() == "fr"
            assert timezone.get_current_timezone_name() == "Asia/Tokyo"


def test_a_point_in_time_survives_the_outbox() -> None:
    at = NOW + timedelta(microseconds=123456)
    written = said(execution=STOPPED._replace(started_at=at))

    assert rendering.template_context(written, None)["started_at"] == at
