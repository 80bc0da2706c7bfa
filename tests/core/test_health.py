"""When something is wrong with the monitor itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from monitoring.core.health import Facts, RegularCheck, problems
from tests.core.building import NOW, ago

FIVE = timedelta(minutes=5)


def found(**facts: Any) -> dict[str, str]:
    """Return what is wrong, by name; all is well unless something else is said."""
    well = {"rules": 3, "checks": [check()], "last_beat": ago(minutes=1)}
    return {one.name: one.text for one in problems(Facts(now=NOW, **(well | facts)))}


def check(name: str = "all rules", **seen: Any) -> RegularCheck:
    """Return a check that is asked for every five minutes and was done four minutes ago."""
    return RegularCheck(name=name, **({"interval": FIVE, "last": ago(minutes=4)} | seen))


def test_nothing_is_wrong_while_checks_are_done_and_nothing_is_owed() -> None:
    assert found() == {}


@pytest.mark.parametrize(("minutes", "is_late"), [(15, False), (16, True)])
def test_a_check_is_late_after_twice_its_interval_and_five_minutes(
    minutes: int, is_late: bool
) -> None:
    assert ("checks" in found(checks=[check(last=ago(minutes=minutes))])) == is_late


def test_a_daily_check_is_not_late_in_the_evening() -> None:
    day = timedelta(days=1)

    assert found(checks=[check(interval=day, last=ago(hours=30))], last_beat=ago(hours=30)) == {}


def test_a_late_check_says_since_when() -> None:
    assert found(checks=[check(last=ago(hours=2, minutes=7))]) == {
        "checks": "the last complete check of all rules began 2 h 7 min ago"
    }


def test_a_check_that_was_never_done_is_wrong() -> None:
    assert found(checks=[check(last=None)]) == {
        "checks": "no check of all rules has ever been completed"
    }


def test_no_check_stands_for_another() -> None:
    late = check("JSON arguments of Hourly", last=ago(minutes=50))

    assert found(checks=[check(), late]) == {
        "checks": "the last complete check of JSON arguments of Hourly began 50 min ago"
    }
    assert found(checks=[check(last=ago(hours=1)), check("JSON arguments of Hourly")]) == {
        "checks": "the last complete check of all rules began 1 h 0 min ago"
    }


def test_each_check_is_late_by_its_own_interval() -> None:
    weekly = check("JSON arguments of Weekly", interval=timedelta(days=7), last=ago(days=6))

    assert found(checks=[check(), weekly]) == {}
    assert list(found(checks=[check(last=ago(minutes=16)), weekly])) == ["checks"]


def test_a_check_that_was_scheduled_just_now_is_not_late_yet() -> None:
    new = {"interval": timedelta(days=7), "last": None}

    assert found(checks=[check(**new, awaited_since=ago(days=6))]) == {}
    assert "checks" in found(checks=[check(**new, awaited_since=ago(days=15))])


def test_silence_of_beat_is_told_as_the_reason() -> None:
    assert found(checks=[check(last=ago(minutes=50))], last_beat=ago(minutes=48)) == {
        "checks": "the last complete check of all rules began 50 min ago",
        "beat": "beat has sent nothing for 48 min",
    }
    assert (
        found(checks=[check(last=None)], last_beat=None)["beat"] == "beat has never sent anything"
    )


def test_a_missing_schedule_is_told_as_the_reason() -> None:
    assert found(checks=[check(last=ago(hours=1), interval=None)]) == {
        "checks": "the last complete check of all rules began 1 h 0 min ago",
        "schedule": "no periodic task regularly asks for a check of all rules",
    }


def test_checks_by_cron_need_no_schedule() -> None:
    assert found(checks=[check(interval=None)], last_beat=None) == {}


def test_nothing_has_to_be_checked_without_rules() -> None:
    assert found(rules=0, checks=[], last_beat=None) == {}


def test_a_message_may_wait_for_half_an_hour() -> None:
    assert found(owed=1, oldest_owed=ago(minutes=30)) == {}
    assert found(owed=1, oldest_owed=ago(minutes=31)) == {
        "outbox": "1 message is still owed, the oldest for 31 min"
    }
    assert found(owed=7, oldest_owed=ago(hours=3))["outbox"] == (
        "7 messages are still owed, the oldest for 3 h 0 min"
    )
