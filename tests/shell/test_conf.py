"""The one settings dictionary `MONITORING`."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from monitoring.conf import Settings, get_settings, read_settings

DAYS = "a dictionary of whole numbers, 0 or greater, or None"


def test_an_empty_dictionary_means_the_defaults() -> None:
    assert read_settings({}) == (Settings(), [])


def test_a_host_without_the_setting_gets_the_defaults() -> None:
    with override_settings(MONITORING={}):
        del django_settings.MONITORING
        get_settings.cache_clear()

        assert get_settings() == Settings()


def test_what_is_given_is_used_and_the_rest_stays_as_it_is() -> None:
    found, complaints = read_settings({"SITE_NAME": "Example", "RECORD": False})

    assert (found.SITE_NAME, found.RECORD, found.EMAIL_TIMEOUT) == ("Example", False, 30)
    assert complaints == []


def test_the_days_of_one_kind_leave_those_of_the_others_as_they_are() -> None:
    found, complaints = read_settings({"RETENTION_DAYS": {"executions": 7, "events": None}})

    assert found.RETENTION_DAYS == {
        "executions": 7,
        "events": None,
        "messages": 400,
        "runs": 30,
        "workers": 30,
    }
    assert complaints == []


@pytest.mark.parametrize("minutes", [0, 0.1, 10, 1e9])
def test_a_number_may_be_a_fraction_and_nothing(minutes: float) -> None:
    assert read_settings({"WORKER_SILENT_MINUTES": minutes})[1] == []


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            {"CHANNEL_KEYS": ["s3cr3t", "x" * 32]},
            "CHANNEL_KEYS must hold texts of at least 32 characters, got 1 shorter",
        ),
        ({"CHANNEL_KEYS": "s3cr3t"}, "CHANNEL_KEYS must be a list of texts, got str"),
        ({"HEALTH_TOKEN": b"s3cr3t"}, "HEALTH_TOKEN must be a text, got bytes"),
        ({"METRICS_TOKEN": b"s3cr3t"}, "METRICS_TOKEN must be a text, got bytes"),
        (
            {"CHANNEL_PRIVATE_HOSTS": ["intern", "http://intern"]},
            "CHANNEL_PRIVATE_HOSTS must hold host names, addresses or networks, got 'http://intern'",
        ),
        ({"CHANNEL_TIMEOUT": 61}, "CHANNEL_TIMEOUT must be at most 60, got 61"),
    ],
)
def test_a_value_that_channels_cannot_use_is_refused_and_no_key_is_told(
    given: dict[str, object], complaint: str
) -> None:
    assert read_settings(given)[1] == [complaint]


def test_an_unknown_key_is_refused() -> None:
    assert read_settings({"COLOUR": "red"})[1] == ["unknown key 'COLOUR'"]


def test_a_misspelt_key_is_refused_with_the_nearest_one() -> None:
    assert read_settings({"BASEURL": "https://x"})[1] == [
        "unknown key 'BASEURL' (did you mean \"BASE_URL\"?)"
    ]


def test_a_key_in_lower_case_is_not_taken_for_the_right_one() -> None:
    assert read_settings({"record": False}) == (
        Settings(),
        ["unknown key 'record' (did you mean \"RECORD\"?)"],
    )


def test_a_key_that_is_no_text_is_refused() -> None:
    assert read_settings({7: True})[1] == ["unknown key 7"]


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("BASE_URL", None, "BASE_URL must be a text, got None"),
        ("SITE_NAME", 7, "SITE_NAME must be a text, got 7"),
        ("EMAIL_TIMEOUT", "30", "EMAIL_TIMEOUT must be a whole number above 0, got '30'"),
        ("EMAIL_TIMEOUT", 1.5, "EMAIL_TIMEOUT must be a whole number above 0, got 1.5"),
        ("EMAIL_TIMEOUT", True, "EMAIL_TIMEOUT must be a whole number above 0, got True"),
        ("EMAIL_TIMEOUT", 0, "EMAIL_TIMEOUT must be a whole number above 0, got 0"),
        ("CHECK_LEASE_MINUTES", -1, "CHECK_LEASE_MINUTES must be a whole number above 0, got -1"),
        ("RECORD", "yes", "RECORD must be True or False, got 'yes'"),
        ("RECORD", 1, "RECORD must be True or False, got 1"),
        ("IGNORE_TASKS", "celery.*", "IGNORE_TASKS must be a list of texts, got 'celery.*'"),
        ("IGNORE_TASKS", ["a", 7], "IGNORE_TASKS must be a list of texts, got ['a', 7]"),
        ("CONTEXT_FIELDS", [], "CONTEXT_FIELDS must be a dictionary of texts, got []"),
        (
            "CONTEXT_FIELDS",
            {"gap.Export": 7},
            "CONTEXT_FIELDS must be a dictionary of texts, got {'gap.Export': 7}",
        ),
        (
            "CONTEXT_ARGUMENTS",
            {7: "id"},
            "CONTEXT_ARGUMENTS must be a dictionary of texts, got {7: 'id'}",
        ),
        ("LOST_AFTER_HOURS", -1, "LOST_AFTER_HOURS must be a number, 0 or greater, got -1"),
        ("LOST_AFTER_HOURS", "24", "LOST_AFTER_HOURS must be a number, 0 or greater, got '24'"),
        (
            "WORKER_SILENT_MINUTES",
            True,
            "WORKER_SILENT_MINUTES must be a number, 0 or greater, got True",
        ),
        (
            "WORKER_SILENT_MINUTES",
            math.nan,
            "WORKER_SILENT_MINUTES must be a number, 0 or greater, got nan",
        ),
        (
            "WORKER_SILENT_MINUTES",
            math.inf,
            "WORKER_SILENT_MINUTES must be a number, 0 or greater, got inf",
        ),
        ("RETENTION_DAYS", 90, f"RETENTION_DAYS must be {DAYS}, got 90"),
        ("RETENTION_DAYS", {"runs": -1}, f"RETENTION_DAYS must be {DAYS}, got {{'runs': -1}}"),
        ("RETENTION_DAYS", {"runs": 1.5}, f"RETENTION_DAYS must be {DAYS}, got {{'runs': 1.5}}"),
        ("RETENTION_DAYS", {"runs": True}, f"RETENTION_DAYS must be {DAYS}, got {{'runs': True}}"),
        ("RETENTION_DAYS", {"runs": "9"}, f"RETENTION_DAYS must be {DAYS}, got {{'runs': '9'}}"),
        (
            "RETENTION_DAYS",
            {"event": 9},
            "RETENTION_DAYS has an unknown kind 'event' (did you mean \"events\"?)",
        ),
        (
            "RETENTION_DAYS",
            {7: 9},
            "RETENTION_DAYS has an unknown kind 7: "
            "known are executions, events, messages, runs, workers",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(key: str, value: object, complaint: str) -> None:
    found, complaints = read_settings({key: value})

    assert complaints == [complaint]
    assert getattr(found, key) == getattr(Settings(), key)


@pytest.mark.parametrize("given", [None, [], "BASE_URL", 7])
def test_anything_but_a_dictionary_is_refused(given: object) -> None:
    assert read_settings(given) == (
        Settings(),
        [f"MONITORING must be a dictionary, got {type(given).__name__}"],
    )


def test_every_default_has_the_type_that_is_asked_of_a_host() -> None:
    defaults = Settings()

    given = {item.name: getattr(defaults, item.name) for item in fields(Settings)}

    assert read_settings(given) == (defaults, [])


def test_using_wrong_settings_raises_with_every_complaint() -> None:
    with (
        override_settings(MONITORING={"BASEURL": "", "RECORD": 1}),
        pytest.raises(ImproperlyConfigured) as error,
    ):
        get_settings()

    assert str(error.value) == (
        "MONITORING: unknown key 'BASEURL' (did you mean \"BASE_URL\"?); "
        "RECORD must be True or False, got 1"
    )


def test_overriding_the_setting_takes_effect_at_once_and_ends() -> None:
    before = get_settings()

    with override_settings(MONITORING={"SITE_NAME": "Elsewhere"}):
        assert get_settings().SITE_NAME == "Elsewhere"

    assert get_settings() == before


def test_overriding_another_setting_keeps_what_was_read() -> None:
    before = get_settings()

    with override_settings(DEBUG=True):
        assert get_settings() is before


def test_what_one_caller_gets_no_other_can_change() -> None:
    with pytest.raises(AttributeError):
        get_settings().SITE_NAME = "x"  # type: ignore[misc]
