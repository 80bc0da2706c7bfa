"""The picture of what depends on what, and the list that says the same."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.db.models import JSONField, Value
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring.admin import graph
from monitoring.models import MonitorRule
from tests.admin.conftest import client_of, staff
from tests.admin.data import HOSTILE, state_of, url
from tests.factories import rule

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def look(client: Client, query: str = "") -> str:
    response = client.get(url(MonitorRule, "dependencies") + query)
    assert response.status_code == 200
    return str(response.content.decode())


def boxes(page: str) -> dict[str, str]:
    """Return what the picture says of each task."""
    svg = page.split("<svg viewBox")[1].split("</svg>")[0]
    return dict(re.findall(r"<g [^>]*><title>(.*?): (.*?)</title>", svg))


def listed(page: str) -> str:
    """Return the nested list, with brackets round each of its levels."""
    tree = page.split('class="monitoring-tree"')[1].split("</div>")[0]
    tree = tree.partition(">")[2].replace("<ul>", "[").replace("</ul>", "]")
    return " ".join(re.sub(r"<[^>]+>", " ", tree).split()).removesuffix(" ]")


def test_the_failing_part_is_marked(root: Client) -> None:
    state_of(rule("load", dependent_tasks=["clean"]), "status_mismatch")
    state_of(rule("clean", dependent_tasks=["report", "send mails"]), "ok")
    state_of(rule("report"), "no_execution")
    state_of(rule("archive", dependent_tasks=["sweep"]), "ok")

    page = look(root)

    assert boxes(page) == {
        "load": "Failing",
        "clean": "Depends on one that fails",
        "report": "Failing",
        "send mails": "Depends on one that fails",
        "archive": "OK",
        "sweep": "Not watched",
    }
    assert page.count("monitoring-edge-bad") == 3
    assert page.count("monitoring-edge-quiet") == 1


def test_the_list_says_the_same(root: Client) -> None:
    state_of(rule("load", dependent_tasks=["clean", "report"]), "status_mismatch")
    state_of(rule("clean", dependent_tasks=["report"]), "ok")
    rule("report", dependent_tasks=["mail"])

    assert listed(look(root)) == (
        "load Failing [ clean Depends on one that fails [ report Depends on one that fails "
        "[ mail Depends on one that fails ] ] report Depends on one that fails see above ]"
    )


def test_a_circle_is_drawn_and_marked(root: Client) -> None:
    rule("a", dependent_tasks=["b"])
    rule("b", dependent_tasks=["a"])
    rule("c", dependent_tasks=["c"])

    page = look(root)

    assert set(boxes(page)) == {"a", "b", "c"}
    assert page.count("monitoring-edge-back") == 2


def test_a_box_leads_to_the_rule_of_its_task_or_to_all_of_them(root: Client) -> None:
    one = rule("load", dependent_tasks=["clean", "nobody's"])
    rule("clean", name="clean, first")
    rule("clean", name="clean, second")
    rule("clean", name="clean, off", enabled=False)

    page = look(root)

    assert page.count(f'href="{url(MonitorRule, "change", one.pk)}"') == 2
    assert page.count(f'href="{url(MonitorRule, "changelist")}?task_name=clean"') == 2
    assert "<a><g" in page


def test_rules_that_are_off_draw_nothing(root: Client) -> None:
    rule("load", dependent_tasks=["clean"], enabled=False)

    assert "No enabled rule names tasks that depend on its task." in look(root)


def test_around_a_task_only_what_hangs_together_with_it_is_drawn(root: Client) -> None:
    rule("load", dependent_tasks=["clean"])
    rule("archive", dependent_tasks=["sweep"])

    assert set(boxes(look(root, "?task_name=sweep"))) == {"archive", "sweep"}
    assert "that it depends on another" in look(root, "?task_name=nowhere")
    assert "Null characters are not allowed" in look(root, "?task_name=x%00")


def test_those_that_fail_are_drawn_where_there_is_no_room_for_all(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MOST", 4)
    for number in range(5):
        state_of(rule(f"first {number}", dependent_tasks=[f"second {number}"]), "ok")
    state_of(rule("zoo", dependent_tasks=["zebra"]), "no_execution")

    page = look(root)

    assert set(boxes(page)) == {"zoo", "zebra", "first 0", "second 0"}
    assert "There is more than the picture shows" in page


def test_a_row_that_was_written_past_the_checks_is_left_out(root: Client) -> None:
    rule("fine", dependent_tasks=["after"])
    for number, broken in enumerate([[1, None], {"a": 1}, "text", Value(None, JSONField())]):
        row = rule(f"broken {number}")
        MonitorRule.objects.filter(pk=row.pk).update(dependent_tasks=broken)

    assert set(boxes(look(root))) == {"fine", "after"}


def test_names_are_shown_as_text_and_long_ones_cut(root: Client) -> None:
    long = "team.jobs." + "x" * 200
    rule(HOSTILE, name=HOSTILE, dependent_tasks=[HOSTILE + "!", long])

    page = look(root)

    assert "<script>alert" not in page
    assert f"…{'x' * 25}</text>" in page


def test_who_may_not_view_rules_sees_nothing() -> None:
    client = client_of(staff("events only", "view_alertevent"))

    assert client.get(url(MonitorRule, "dependencies")).status_code == 403


def test_the_page_costs_the_same_with_2_rules_and_with_40(root: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            look(root)
        return len(queries)

    def store(numbers: range) -> None:
        for number in numbers:
            state_of(rule(f"{number}", dependent_tasks=[f"{number + 1}"]), "no_execution")

    store(range(2))
    look(root)
    few = cost()
    store(range(2, 40))

    assert cost() == few <= 9
