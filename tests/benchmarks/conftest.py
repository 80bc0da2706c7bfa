"""The filled database of each kind, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.benchmarks import data, databases

DATABASES = (
    pytest.param("sqlite"),
    pytest.param("postgresql", marks=pytest.mark.postgres),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
)
_URLS = {"postgresql": "TEST_POSTGRES_URL", "mariadb": "TEST_MARIADB_URL"}


@pytest.fixture(scope="module", params=DATABASES)
def filled(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: Any,
) -> Iterator[str]:
    """Fill a database with 10,000 rules and 1,000,000 executions; its kind is the value.

    It belongs to this module alone, and tests see what the ones before them left there.
    """
    kind: str = request.param
    if kind == "sqlite":
        database = databases.sqlite_file(tmp_path_factory.mktemp("bench"))
    elif url := os.environ.get(_URLS[kind]):
        database = databases.on_server(url)
    else:
        pytest.skip(f"{_URLS[kind]} is not set")
    with django_db_blocker.unblock(), database:
        data.fill()
        yield kind
