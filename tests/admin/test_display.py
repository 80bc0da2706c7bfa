"""Durations, windows and lists in words."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from monitoring.admin.display import duration, excerpt, listed, window


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0404, "40 ms"),
        (1, "1 s"),
        (3.24, "3.2 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3725, "1 h 2 min"),
        (3605, "1 h"),
        (90_000, "1 d 1 h"),
        (86_400 * 400, "400 d"),
        (-5, "-"),
    ],
)
def test_a_duration_is_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (1, "Last hour"),
        (1.5, "Last 90 minutes"),
        (0.05, "Last 3 minutes"),
        (1 / 60, "Last 1 minute"),
        (0.001, "Last 3.6 seconds"),
        (24, "Last 24 hours"),
        (25, "Last 25 hours"),
        (48, "Last 2 days"),
        (168, "Last 7 days"),
        (170, "Last 170 hours"),
        (100.5, "Last 100.5 hours"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_a_window_is_said_in_the_unit_one_would_use(hours: float, words: str) -> None:
    assert window(hours) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(["a", "b"], "a, b"), ([], "-"), (None, "-"), ("a", '"a"'), ([1, None], "1, null"), ({}, "-")],
)
def test_a_list_is_shown_whatever_stands_in_its_column(value: Any, words: str) -> None:
    assert listed(value) == words


def test_an_excerpt_is_the_last_line_that_says_something() -> None:
    assert excerpt("Traceback\n  File\nValueError: no\n\n") == "ValueError: no"
    assert excerpt("") == ""
    assert len(excerpt("x" * 500)) == 90
