"""Times as text, straight from a driver."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from monitoring.models.raw_values import as_utc, utc_reader

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("vendor", "zone", "text"),
    [
        ("postgresql", UTC, "2026-03-01 12:00:00+00"),
        ("postgresql", UTC, "2026-03-01 13:00:00+01"),
        ("postgresql", BERLIN, "2026-03-01 13:00:00+01"),
        ("mysql", UTC, "2026-03-01 12:00:00.000000"),
        ("mysql", BERLIN, "2026-03-01 13:00:00.000000"),
        ("sqlite", UTC, "2026-03-01 12:00:00"),
        ("sqlite", UTC, "2026-03-01 13:00:00+01:00"),
    ],
)
def test_many_are_read_as_one_is(vendor: str, zone: tzinfo, text: str) -> None:
    (found,) = utc_reader(zone, vendor)(iter([text]))

    assert found == NOON == as_utc(text, zone)
    assert found.tzinfo is UTC


def test_one_with_an_offset_is_read_among_others_without() -> None:
    texts = ["2026-03-01 12:00:00", "2026-03-01 13:00:00+01:00", "2026-03-01 12:00:00.000000"]

    found = utc_reader(UTC, "sqlite")(texts)

    assert found == [NOON] * 3
    assert all(at.tzinfo is UTC for at in found)
