"""When a rule was checked last, as its page and the list of rules say it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils.html import strip_tags

from monitoring import doors
from monitoring.models import MonitorRule
from tests.admin.data import url
from tests.factories import NOW, ago, execution, rule

pytestmark = pytest.mark.django_db


def checked(client: Client, row: MonitorRule) -> tuple[str, str]:
    """Return how long ago the page of a rule and the list say that it was checked."""
    page = client.get(url(MonitorRule, "change", row.pk)).content.decode()
    listed = client.get(url(MonitorRule, "changelist")).content.decode()
    there = re.search(r"Last checked: .*?(\d+ \w+ ago)", " ".join(strip_tags(page).split()))
    cell = re.search(r'field-checked">(?:<span[^>]*>)?([^<]+)<', listed)
    return there[1] if there else "", cell[1] if cell else ""


@pytest.fixture
def row() -> MonitorRule:
    """Return a rule that is fine, and that ten checks in as many minutes have found so."""
    with time_machine.travel(ago(hours=1), tick=False):
        row = rule("sync", lookback_hours=24)
        execution("sync", started=ago(hours=2))
    for minutes in range(10, 0, -1):
        with time_machine.travel(ago(minutes=minutes), tick=False):
            doors.check([], {})
    return row


@time_machine.travel(NOW, tick=False)
def test_a_rule_that_stays_fine_was_checked_when_all_rules_were(
    root: Client, row: MonitorRule
) -> None:
    assert checked(root, row) == ("1 min ago", "1 min ago")


@time_machine.travel(NOW, tick=False)
def test_a_check_of_this_rule_alone_counts_too(root: Client, row: MonitorRule) -> None:
    MonitorRule.objects.filter(pk=row.pk).update(updated_at=ago(seconds=50))
    with time_machine.travel(ago(seconds=30), tick=False):
        execution("sync", "Stopped", started=ago(seconds=40))
        doors.check([], {"rules": [row.name]})

    assert checked(root, row) == ("30 s ago", "30 s ago")


@time_machine.travel(NOW, tick=False)
def test_a_rule_that_was_changed_since_waits_for_the_next_check(
    root: Client, row: MonitorRule
) -> None:
    MonitorRule.objects.filter(pk=row.pk).update(updated_at=NOW - timedelta(seconds=5))

    assert checked(root, row) == ("10 min ago", "10 min ago")


@time_machine.travel(NOW, tick=False)
@pytest.mark.parametrize("kind", ["new", "disabled"])
def test_what_no_check_looks_at_was_not_checked(root: Client, row: MonitorRule, kind: str) -> None:
    MonitorRule.objects.all().delete()
    with time_machine.travel(ago(hours=1), tick=False):
        other = rule("other", enabled=kind != "disabled")

    assert checked(root, other)[1] == "-"
