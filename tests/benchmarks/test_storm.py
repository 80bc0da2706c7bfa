"""Every rule turns failing in one check: what is written, and how it is delivered."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from monitoring.delivery import deliver
from monitoring.models import AlertEvent, Notification, NotificationState
from tests.benchmarks import handwritten, situations
from tests.benchmarks.conftest import Filled
from tests.benchmarks.data import TEAMS
from tests.benchmarks.measuring import Side, measure, publish
from tests.benchmarks.sizes import SIZES
from tests.factories import NOW
from tests.mail_server import mail_server

pytestmark = pytest.mark.bench

NO_DIGESTS = {"DIGEST_ABOVE": 10_000_000}
MOST_MESSAGES = 1000


def failed_and_told() -> None:
    situations.just_failed()
    situations.check()


def a_thousand_owe_a_message() -> None:
    failed_and_told()
    kept = Notification.objects.order_by("pk").values_list("pk", flat=True)[:MOST_MESSAGES]
    Notification.objects.filter(pk__gt=max(kept)).delete()


def test_an_alert_storm(filled: Filled, settings: Any) -> None:
    if filled.is_large:
        pytest.skip("the same as on the smaller one")
    situations.everything_was_fine()
    fine = Side(name="check, all fine", run=situations.check)
    figures = measure([fine], SIZES.runs)
    situations.let_fail(one_in=1)

    failed_and_told()
    rows = handwritten.written_rows()

    figures += measure(
        (
            Side(
                name="check, all fail, nothing written",
                prepare=situations.just_failed,
                run=lambda: situations.check(dry_run=True),
            ),
            Side(name="check, all fail", prepare=situations.just_failed, run=situations.check),
            Side(
                name="the same rows, written by hand",
                prepare=situations.just_failed,
                run=lambda: handwritten.write_rows(rows),
            ),
        ),
        SIZES.slow_runs,
    )
    assert handwritten.written_rows() == rows
    assert AlertEvent.objects.open().count() == filled.rules
    digests = Notification.objects.filter(is_digest=True)
    assert digests.count() == (TEAMS if filled.rules >= 11 * TEAMS else 0)
    with mail_server() as server:
        figures += measure(
            [
                Side(
                    name="delivery of the digests",
                    prepare=failed_and_told,
                    run=lambda: deliver(NOW),
                )
            ],
            SIZES.slow_runs,
        )
        passes = 1 + SIZES.slow_runs
        assert server.connections == passes
        assert not Notification.objects.exclude(state=NotificationState.SENT).exists()
    messages = min(MOST_MESSAGES, filled.rules)
    no_digests = override_settings(MONITORING=settings.MONITORING | NO_DIGESTS)
    with mail_server() as server, no_digests:
        figures += measure(
            [
                Side(
                    name=f"delivery of {messages:,} single messages",
                    prepare=a_thousand_owe_a_message,
                    run=lambda: deliver(NOW),
                )
            ],
            1,
        )
        assert (server.connections, len(server.messages)) == (2, 2 * messages)

    publish("storm", filled.name, figures, **filled.facts)
