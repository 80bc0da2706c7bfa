"""Ten times as many rules take ten times as long, and a bounded amount of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from django.db import connection

from monitoring.models import MonitorRule
from tests.benchmarks import data, situations
from tests.benchmarks.measuring import Figures, publish
from tests.benchmarks.sizes import IS_FULL, SIZES

pytestmark = pytest.mark.bench

MOST_MEGABYTES = 150


def check_in_a_child() -> dict[str, Any]:
    settings = connection.settings_dict
    names = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    database = {name: settings[name] for name in names if settings.get(name)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.child", json.dumps(database, default=str)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_many_rules_are_linear_and_streamed(empty: str) -> None:
    executions = max(SIZES.executions, 10 * SIZES.many_rules)
    data.fill(SIZES.many_rules, executions)
    situations.everything_was_fine()
    last = MonitorRule.objects.order_by("pk").values_list("pk", flat=True)[SIZES.many_rules // 10]

    MonitorRule.objects.filter(pk__gte=last).update(enabled=False)
    few = check_in_a_child()
    MonitorRule.objects.update(enabled=True)
    many = check_in_a_child()
    situations.never_checked()
    first = check_in_a_child()

    assert (few["checked"], many["checked"]) == (SIZES.many_rules // 10, SIZES.many_rules)
    figures = [
        Figures(
            name=f"{found['checked']:,} rules, {what}",
            seconds=[found[seconds]],
            queries=0,
            peak_megabytes=found["megabytes_more"],
        )
        for found in (few, many)
        for what, seconds in (("in a new process", "first_seconds"), ("again", "seconds"))
    ]
    figures += [
        Figures(
            name=f"{first['checked']:,} rules, the very first",
            seconds=[first["first_seconds"]],
            queries=0,
            peak_megabytes=first["megabytes_more"],
        )
    ]
    publish("check-scale", empty, figures, rules=SIZES.many_rules, executions=executions)
    if IS_FULL:
        assert max(many["megabytes_more"], first["megabytes_more"]) < MOST_MEGABYTES
        assert many["seconds"] < 15 * few["seconds"]
