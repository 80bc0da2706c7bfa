"""One mail about many tasks: what it says, where it leads, and what stands in for it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from monitoring import rendering
from monitoring.core.digest_text import digest_text, with_notes

BASE = "https://monitoring.example.com/admin/monitoring/alertevent/"
PARTS = ["text_body", "html_body"]
GERMAN = {"LANGUAGE_CODE": "de", "BASE_URL": "https://monitoring.example.com"}
GMAIL_CLIPS_ABOVE = 102 * 1024
"""Bytes of HTML."""

HOSTILE = "<b>&\"'</b>{{ 7|add:7 }}<script>alert(1)</script>"


def task(**changes: Any) -> dict[str, Any]:
    """Return the facts of one task of a digest."""
    return {
        "task_name": "sync",
        "rule_name": "",
        "current_status": "Stopped",
        "expected_statuses": "Completed",
        "explanation": "Its latest execution should be completed.",
        "opened_at": "2026-03-10T02:20:00+00:00",
        "dependents": 0,
        "event_id": 7,
    } | changes


def digest(*tasks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the facts of a digest; of one task unless told otherwise."""
    return {
        "kind": "alert",
        "verdict": "digest",
        "subject": "[ALERT] 37 tasks failed their status check",
        "headline": "37 tasks failed their status check",
        "explanation": "The same check found all of them.",
        "check_time": "2026-03-10T03:05:00+00:00",
        "not_checked_from": None,
        "count": 37,
        "more": 0,
        "tasks": list(tasks or (task(),)),
    } | changes


def words(text: str) -> str:
    """Return what a reader sees of a part, on one line."""
    if text.startswith("<!DOCTYPE"):
        text = html.unescape(re.sub(r"<[^>]+>", " ", text.split("</head>")[1]))
    return " ".join(text.split())


def seen(part: str, facts: dict[str, Any]) -> str:
    return words(getattr(rendering.render(facts, None), part))


Host = Callable[[str], None]


@pytest.fixture
def host(tmp_path: Path, settings: Any) -> Host:
    """Put a digest template of the host's before ours."""

    def write(text: str) -> None:
        path = tmp_path / "emails" / "task_status_digest.html"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        ours = settings.TEMPLATES[0]
        settings.TEMPLATES = [{**ours, "DIRS": [tmp_path, *ours["DIRS"]]}]

    return write


@pytest.mark.parametrize("part", PARTS)
class TestWhatItSays:
    @pytest.mark.parametrize(
        "item",
        [
            "37 tasks failed their status check",
            "The same check found all of them.",
            "Checked at 2026-03-10 03:05:00 UTC",
            "Sent by the task monitor of Example.",
        ],
    )
    def test_of_all_tasks_together(self, part: str, item: str) -> None:
        assert item in seen(part, digest())

    def test_of_each_task(self, part: str) -> None:
        text = seen(part, digest(task(dependents=4), task(task_name="report")))

        assert (
            "Stopped · expected Completed · failing since 02:20 UTC · 4 tasks depend on it" in text
        )
        assert "report" in text

    def test_a_task_that_one_other_depends_on(self, part: str) -> None:
        assert "1 task depends on it" in seen(part, digest(task(dependents=1)))

    def test_a_task_that_none_depends_on(self, part: str) -> None:
        assert "depend" not in seen(part, digest())

    def test_the_day_if_it_began_on_another(self, part: str) -> None:
        text = seen(part, digest(task(opened_at="2026-03-09T23:10:00+00:00")))

        assert "failing since 2026-03-09 23:10 UTC" in text

    def test_no_start_if_none_is_known(self, part: str) -> None:
        assert "since" not in seen(part, digest(task(opened_at=None)))

    def test_the_rule_if_it_has_a_name_of_its_own(self, part: str) -> None:
        assert "(Nightly)" in seen(part, digest(task(rule_name="Nightly")))

    def test_no_rule_that_only_repeats_the_task(self, part: str) -> None:
        assert "(sync)" not in seen(part, digest(task(rule_name="sync")))

    def test_nothing_more_where_status_and_expectation_tell_all(self, part: str) -> None:
        assert "Its latest execution" not in seen(part, digest())

    def test_why_a_status_that_is_expected_is_a_failure(self, part: str) -> None:
        late = task(
            current_status="Running",
            expected_statuses="Completed, Running",
            explanation="It has been running for longer than 30 minutes.",
        )

        assert "It has been running for longer than 30 minutes." in seen(part, digest(late))

    def test_why_a_task_cannot_be_checked(self, part: str) -> None:
        text = seen(
            part,
            digest(task(current_status="Unknown", explanation="No such model."), verdict="unknown"),
        )

        assert "Unknown · since 02:20 UTC" in text
        assert "No such model." in text
        assert "failing" not in text

    def test_that_a_recovered_task_had_been_failing(self, part: str) -> None:
        facts = digest(task(current_status="Completed"), kind="recovery", verdict="ok")

        assert "Completed · expected Completed · had been failing since 02:20 UTC" in seen(
            part, facts
        )

    def test_when_nobody_looked(self, part: str) -> None:
        text = seen(part, digest(not_checked_from="2026-03-10T02:10:00+00:00"))

        assert "Not checked between 02:10 and 03:05 UTC" in text

    def test_when_nobody_looked_since_the_day_before(self, part: str) -> None:
        text = seen(part, digest(not_checked_from="2026-03-09T22:10:00+00:00"))

        assert "Not checked between 2026-03-09 22:10 and 2026-03-10 03:05 UTC" in text

    def test_nothing_about_missing_checks_if_there_were_none(self, part: str) -> None:
        assert "Not checked" not in seen(part, digest())

    def test_first_of_all_whom_it_did_not_reach(self, part: str) -> None:
        refused = [{"recipient": "ops@example.com", "error": "550 User <unknown>"}]

        text = seen(part, digest(undeliverable=refused))

        notice = text.index("This alert could not be delivered to:")
        assert notice < text.index("ops@example.com") < text.index("550 User <unknown>")
        assert text.index("550 User") < text.rindex("37 tasks failed")

    def test_in_german_if_that_is_set(self, part: str) -> None:
        facts = digest(
            task(dependents=4),
            more=117,
            not_checked_from="2026-03-10T02:10:00+00:00",
            undeliverable=[{"recipient": "ops@example.com", "error": "550"}],
        )

        with override_settings(MONITORING=GERMAN):
            text = seen(part, facts)

        for item in (
            "Diese Meldung konnte nicht zugestellt werden an:",
            "Nicht geprüft zwischen 02:10 und 03:05 UTC",
            "erwartet: Completed · gestört seit 02:20 UTC · 4 Tasks hängen davon ab",
            "und 117 weitere",
        ):
            assert item in text

    def test_the_facts_of_another_release_may_lack_everything_else(self, part: str) -> None:
        bare = {"subject": "S", "headline": "Storm", "tasks": [{"task_name": "sync"}]}

        text = seen(part, bare)

        assert "Storm" in text
        assert "sync" in text


@pytest.mark.parametrize("part", PARTS)
class TestLinks:
    def test_each_task_leads_to_its_event(self, part: str) -> None:
        text = getattr(rendering.render(digest(task(), task(event_id=1234567)), None), part)

        assert f"{BASE}7/change/" in text
        assert f"{BASE}1234567/change/" in text

    def test_a_task_without_an_event_leads_nowhere(self, part: str) -> None:
        text = getattr(rendering.render(digest(task(event_id=None)), None), part)

        assert "/change/" not in text

    def test_the_tasks_not_listed_are_counted_and_linked(self, part: str) -> None:
        mail = rendering.render(digest(more=117), None)

        assert "and 117 more" in words(getattr(mail, part))
        assert re.search(rf"{re.escape(BASE)}(?!\d)", getattr(mail, part))

    def test_if_all_are_listed_there_are_no_more(self, part: str) -> None:
        assert " more" not in seen(part, digest())

    def test_without_a_base_url_there_are_none(self, part: str) -> None:
        with override_settings(MONITORING={}):
            mail = rendering.render(digest(more=117), None)

        assert "://" not in getattr(mail, part).split("</head>")[-1]
        assert "href" not in getattr(mail, part)
        assert "and 117 more" in words(getattr(mail, part))

    def test_a_host_without_the_admin_has_none(self, part: str) -> None:
        with override_settings(ROOT_URLCONF=__name__):
            assert "/admin/" not in getattr(rendering.render(digest(more=1), None), part)


urlpatterns: list[Any] = []  # of a host without the admin


class TestEscaping:
    FACTS = digest(
        task(task_name=HOSTILE, rule_name=f"r{HOSTILE}", explanation=HOSTILE),
        verdict="unknown",
        undeliverable=[{"recipient": HOSTILE, "error": HOSTILE}],
    )

    def test_the_html_part_shows_foreign_text_as_text(self) -> None:
        page = rendering.render(self.FACTS, None).html_body

        assert "<script>" not in page
        assert "<b>" not in page
        assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5

    def test_the_text_part_shows_it_as_it_is(self) -> None:
        text = rendering.render(self.FACTS, None).text_body

        assert text.count(HOSTILE) == 5
        assert "&lt;" not in text

    def test_a_line_break_in_a_name_starts_no_line_of_the_text(self) -> None:
        text = rendering.render(digest(task(task_name="a\nb")), None).text_body

        assert "- a b\n" in text

    def test_the_subject_is_one_line(self) -> None:
        mail = rendering.render(digest(subject="[ALERT] a\r\nBcc: x@example.com"), None)

        assert mail.subject == "[ALERT] a Bcc: x@example.com"


class TestAHundredTasks:
    FACTS = digest(
        *(
            task(
                task_name=f"project.tasks.of_a_rather_long_module.with_a_long_name_{n}",
                expected_statuses="Completed, Running",
                rule_name="Nightly ingestion of everything",
                dependents=12,
                event_id=1000000 + n,
            )
            for n in range(100)
        ),
        more=1234,
        count=1334,
    )

    @pytest.mark.parametrize("part", PARTS)
    def test_are_all_listed(self, part: str) -> None:
        text = seen(part, self.FACTS)

        assert len(set(re.findall(r"with_a_long_name_\d+", text))) == 100

    def test_are_not_clipped_by_gmail(self) -> None:
        page = rendering.render(self.FACTS, None).html_body

        assert len(page.encode()) < GMAIL_CLIPS_ABOVE

    def test_are_counted_without_separators(self) -> None:
        with override_settings(USE_THOUSAND_SEPARATOR=True):
            assert "and 1234 more" in rendering.render(self.FACTS, None).text_body


class TestTheTemplateOfAHost:
    def test_its_three_parts_are_used(self, host: Host) -> None:
        host(
            "{% block subject %}S {{ count }}{% endblock %}"
            "{% block text_body %}{% for one in tasks %}{{ one.task_name }}"
            ' {{ one.opened_at|date:"c" }} {{ one.event_url }}{% endfor %}{% endblock %}'
            "{% block html_body %}<p>{{ list_url }}</p>{% endblock %}"
        )

        mail = rendering.render(digest(), None)

        assert mail.subject == "S 37"
        assert mail.text_body == f"sync 2026-03-10T02:20:00+00:00 {BASE}7/change/"
        assert mail.html_body == f"<p>{BASE}</p>"

    @pytest.mark.parametrize(
        "text",
        [
            "{% load no_such_library %}",
            "{% block subject %}{% if %}{% endblock %}",
            '{% block text_body %}{% include "emails/missing.html" %}{% endblock %}',
            "",
            "{% block subject %}{% endblock %}{% block text_body %} {% endblock %}",
        ],
    )
    def test_a_broken_or_empty_one_is_replaced_by_our_plain_text(
        self, host: Host, text: str
    ) -> None:
        host(text)

        mail = rendering.render(digest(), None)

        assert mail.subject == "[ALERT] 37 tasks failed their status check"
        assert mail.text_body == digest_text(rendering.template_context(digest(), None))
        assert mail.html_body == ""

    def test_one_that_extends_another_keeps_our_text(self, host: Host, tmp_path: Path) -> None:
        host('{% extends "emails/frame.html" %}{% block body %}{{ headline }}{% endblock %}')
        (tmp_path / "emails" / "frame.html").write_text("<p>{% block body %}{% endblock %}</p>")

        mail = rendering.render(digest(), None)

        assert mail.html_body == "<p>37 tasks failed their status check</p>"
        assert "- sync\n" in mail.text_body

    def test_its_failure_is_logged_by_name(
        self, host: Host, caplog: pytest.LogCaptureFixture
    ) -> None:
        host("{% load no_such_library %}")

        rendering.render(digest(), None)

        assert "the mail template emails/task_status_digest.html failed" in caplog.text


class TestPlainText:
    def test_it_says_all_a_reader_needs(self) -> None:
        facts = digest(task(rule_name="Nightly", dependents=4), task(task_name="report"), more=117)

        assert digest_text(rendering.template_context(facts, None)) == (
            "37 tasks failed their status check\n"
            "The same check found all of them.\n"
            "\n"
            "- sync (Nightly)\n"
            "  Stopped; expected Completed; since 2026-03-10 02:20:00 UTC; "
            "tasks that depend on it: 4\n"
            "  Its latest execution should be completed.\n"
            f"  {BASE}7/change/\n"
            "- report\n"
            "  Stopped; expected Completed; since 2026-03-10 02:20:00 UTC\n"
            "  Its latest execution should be completed.\n"
            f"  {BASE}7/change/\n"
            "and 117 more\n"
            "\n"
            "Checked: 2026-03-10 03:05:00 UTC\n"
            f"More: {BASE}\n"
        )

    @pytest.mark.parametrize("tasks", [None, "x", [None, 1], [{}]])
    def test_it_takes_whatever_waited(self, tasks: Any) -> None:
        assert digest_text({"headline": "Storm", "tasks": tasks}).startswith("Storm\n")

    def test_it_is_preceded_by_whom_the_mail_did_not_reach(self) -> None:
        refused = [{"recipient": "ops@example.com", "error": "550\nno"}]

        assert with_notes({"undeliverable": refused}, "text\n") == (
            "This message could not be delivered to:\n- ops@example.com: 550 no\n\ntext\n"
        )

    def test_it_is_followed_by_when_nobody_looked(self) -> None:
        start, end = (datetime(2026, 3, 10, hour, 5, tzinfo=UTC) for hour in (2, 3))

        assert with_notes({"not_checked_from": start, "check_time": end}, "text\n") == (
            "text\nNot checked between 2026-03-10 02:05:00 UTC and 2026-03-10 03:05:00 UTC.\n"
        )

    def test_without_such_notes_it_stands_alone(self) -> None:
        assert with_notes({}, "text\n") == "text\n"
