"""The admin in other languages in a browser: longer words break nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from monitoring.models import AlertEvent, MonitorRule
from tests.admin.browser import WIDTHS, at_rest, failing, in_browser, shoot, violations
from tests.admin.data import url
from tests.catalogues import LANGUAGES

pytestmark = [*in_browser, pytest.mark.django_db(transaction=True)]

OUT_OF_VIEW = """() => [...document.querySelectorAll(
    ".actions > *, .object-tools a, .object-tools button, .monitoring-snooze > *, "
    + ".monitoring-intervene > *, .monitoring-period > *"
)].filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML)"""
COVERED = """() => [...document.querySelectorAll(".monitoring-picture g > .monitoring-label[x]")]
    .filter(one => one.getBBox().x + one.getBBox().width > 150).map(one => one.textContent)"""
ADD = {"de": "Eintrag hinzufügen", "es": "Añadir elemento", "fr": "Ajouter un élément"}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.LANGUAGE_CODE = str(request.param)
    return str(request.param)


def test_nothing_leaves_the_window(language: str, page: Page) -> None:
    rows = failing()
    rule, event = rows[MonitorRule], rows[AlertEvent]
    for name, address in {
        "list": url(MonitorRule, "changelist"),
        "form": url(MonitorRule, "change", rule.pk),
        "event": url(AlertEvent, "change", event.pk),
        "timeline": f"{url(MonitorRule, 'timeline')}?rule={rule.pk}",
    }.items():
        page.goto(address)
        at_rest(page)
        for width in WIDTHS.values():
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
            assert page.evaluate(OUT_OF_VIEW) == []
        assert page.evaluate(COVERED) == []
        shoot(page, f"{name}-{language}")


def test_the_lists_of_the_form_speak_it_too(
    language: str, page: Page, complaints: list[str]
) -> None:
    page.goto(url(MonitorRule, "add"))

    lists = page.locator("[data-django-jsonform-container]")
    expect(lists.get_by_text(ADD[language])).to_have_count(2)
    expect(lists.get_by_text("Add item")).to_have_count(0)
    lists.get_by_text(ADD[language]).first.click()
    expect(lists.get_by_title("Remove")).to_have_count(0)
    assert violations(page, complaints) == []
