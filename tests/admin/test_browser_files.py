"""The pages that Django and its libraries draw for us, in a real browser under a strict policy."""

from __future__ import annotations

import json

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from playwright.sync_api import Page, expect

from monitoring.models import AlertEvent, BackgroundTask, MonitorRule
from tests.admin.browser import failing, in_browser, shoot, violations
from tests.admin.data import url

pytestmark = in_browser


def upload(page: Page, rules: list[dict[str, object]]) -> None:
    page.goto(url(MonitorRule, "import"))
    content = json.dumps(rules).encode()
    page.locator("input[type=file]").set_input_files(
        {"name": "rules.json", "mimeType": "application/json", "buffer": content}
    )
    page.get_by_role("button", name="Submit").click()


def accept(page: Page, complaints: list[str], picture: str) -> None:
    """Take pictures of a page, and find nothing wrong with it in light, dark and on a phone."""
    shoot(page, picture)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page, complaints) == [], (picture, scheme)
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400, picture


def test_the_page_that_takes_a_file_of_rules(page: Page, complaints: list[str]) -> None:
    page.goto(url(MonitorRule, "import"))

    expect(page.locator("#content")).to_contain_text("if one rule is wrong, none is imported")
    accept(page, complaints, "import")


def test_the_page_that_refuses_a_file_of_rules(page: Page, complaints: list[str]) -> None:
    upload(
        page,
        [
            {"name": "Good", "task_name": "sync"},
            {"name": "Bad", "task_name": "sync", "lookback_hours": "1", "notify": []},
        ],
    )

    expect(page.locator("#content")).to_contain_text("Nothing was imported")
    accept(page, complaints, "import-refused")


def test_the_page_that_shows_what_a_file_would_change_and_what_is_odd(
    page: Page, complaints: list[str]
) -> None:
    upload(page, [{"name": "Report", "task_name": "repotr", "dependent_tasks": ["x" * 200]}])

    expect(page.locator(".monitoring-odd li")).to_have_count(2)
    accept(page, complaints, "import-odd")


@pytest.mark.parametrize("model", [MonitorRule, AlertEvent, BackgroundTask])
def test_the_pages_that_export(
    page: Page, complaints: list[str], model: type[MonitorRule | AlertEvent | BackgroundTask]
) -> None:
    failing()
    page.goto(url(model, "export"))

    accept(page, complaints, f"{model._meta.model_name}-export")


@pytest.mark.parametrize("name", ["delete", "history"])
def test_the_pages_around_a_rule(page: Page, complaints: list[str], name: str) -> None:
    watched = failing()[MonitorRule]
    page.goto(url(MonitorRule, name, watched.pk))

    expect(page.locator("#content")).to_contain_text("Daily report is made")
    accept(page, complaints, f"rule-{name}")


def test_the_form_of_a_periodic_task_refuses_arguments_at_their_field(
    page: Page, complaints: list[str]
) -> None:
    schedule = IntervalSchedule.objects.create(every=5, period="minutes")
    entry = {"sync": {"expected_statuses": ["Completed"], "lookback_hours": 2}}
    row = PeriodicTask.objects.create(
        name="Monitor", task="monitor_task_status", interval=schedule, args=json.dumps([entry])
    )
    # django-celery-beat's own script and styles there are inline: the policy's complaints about
    # them are not ours.
    page.goto(f"/admin/django_celery_beat/periodictask/{row.pk}/change/")
    expect(page.get_by_role("link", name="Turn the arguments into rules")).to_be_visible()
    shoot(page, "periodic-task")
    arguments = page.get_by_label("Positional Arguments")
    if not arguments.is_visible():
        page.get_by_role("heading", name="Arguments").click()
    arguments.fill('[{"sync": {"expected_statuses": ["Complete"]}}]')
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".field-args .errorlist")).to_contain_text('did you mean "Completed"?')
    shoot(page, "periodic-task-refused")
    complaints.clear()
    page.get_by_label("Positional Arguments").fill(json.dumps([entry]))
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".messagelist")).to_contain_text("was changed successfully")
    complaints.clear()
