"""Which tasks of the log are on no list."""

from __future__ import annotations

import random

import pytest

from monitoring.models import BackgroundTask
from monitoring.tasklogs.names import strangers
from tests.factories import execution

pytestmark = pytest.mark.django_db


def store(*names: str) -> None:
    BackgroundTask.objects.bulk_create(
        BackgroundTask(task_id=f"{number} {name}", task_name=name)
        for number, name in enumerate(names)
    )


def test_they_are_told_once_and_in_order() -> None:
    store("d", "a", "c", "b", "d", "e")

    assert strangers({"b", "never ran"}, 10) == ["a", "c", "d", "e"]


def test_without_a_list_everybody_is_one_and_in_an_empty_log_nobody() -> None:
    assert strangers({"a"}, 10) == []

    store("b", "a")

    assert strangers(set(), 10) == ["a", "b"]


def test_only_the_first_are_told_and_the_next_are_found_behind_them() -> None:
    store(*"abcdefgh")

    assert strangers({"c"}, 3) == ["a", "b", "d"]
    assert strangers({"c"}, 3, "d") == ["e", "f", "g"]
    assert strangers({"c"}, 3, "g") == ["h"]


@pytest.mark.parametrize("seed", range(20))
def test_the_same_are_found_as_by_reading_every_name(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"{chance.choice('aBc%')}{number % 40}" for number in range(60)]
    store(*names)
    known = set(chance.sample(names, chance.randrange(50))) | {"nowhere"}

    everybody = BackgroundTask.objects.order_by("task_name").values_list("task_name", flat=True)
    wanted = [name for name in everybody.distinct() if name not in known]

    assert strangers(known, 500) == wanted
    assert strangers(known, 5) == wanted[:5]


def test_names_that_differ_in_case_only_are_two() -> None:
    for name in ("sync", "Sync"):
        execution(name)

    assert strangers({"sync"}, 10) == ["Sync"]
