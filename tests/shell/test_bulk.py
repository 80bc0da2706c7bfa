"""How a batch is written on each Django."""

from __future__ import annotations

import pytest
from django.db import connection

from monitoring.bulk import whole_statements


def test_a_django_that_asks_sqlite_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Django 6.0 has it: nothing can be set there.
    asked = property(lambda _features: 250_000)
    monkeypatch.setattr(type(connection.features), "max_query_params", asked)

    with whole_statements():
        assert connection.features.max_query_params == 250_000
