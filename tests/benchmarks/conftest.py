"""The filled database of each kind, one after the other."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.benchmarks import data, databases
from tests.benchmarks.sizes import IS_QUICK, SIZES

_URLS = {"postgresql": "TEST_POSTGRES_URL", "mariadb": "TEST_MARIADB_URL"}
_QUICK = (pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres))
KINDS = _QUICK if IS_QUICK else (*_QUICK, pytest.param("mariadb", marks=pytest.mark.mariadb))
_LARGE = (pytest.param("postgresql-large", marks=pytest.mark.postgres),)
DATABASES = KINDS if IS_QUICK else KINDS + _LARGE


@pytest.fixture(scope="session", autouse=True)
def _no_heap_of_the_test_runner() -> Iterator[None]:
    """Let the garbage collector pass over what pytest and its plugins hold, as no worker does.

    To walk through it takes as long as a whole check, and hits whichever side allocates most.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@dataclass(frozen=True, slots=True)
class Filled:
    """A database that holds rules and executions."""

    name: str
    rules: int
    executions: int

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]

    @property
    def is_large(self) -> bool:
        return self.name.endswith("-large")

    @property
    def facts(self) -> dict[str, int]:
        return {"rules": self.rules, "executions": self.executions}


def database(kind: str, factory: pytest.TempPathFactory) -> AbstractContextManager[Any]:
    """Return a database of one's own, or skip the test where its server is not named."""
    if kind == "sqlite":
        return databases.sqlite_file(factory.mktemp("bench"))
    if url := os.environ.get(_URLS[kind]):
        return databases.on_server(url)
    pytest.skip(f"{_URLS[kind]} is not set")


@pytest.fixture(scope="session", params=DATABASES)
def filled(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: Any,
) -> Iterator[Filled]:
    """Fill a database once for all tests of its kind; they see what those before have left."""
    name: str = request.param
    large = name.endswith("-large")
    found = Filled(name, SIZES.rules, SIZES.large_executions if large else SIZES.executions)
    with django_db_blocker.unblock(), database(found.kind, tmp_path_factory):
        data.fill(found.rules, found.executions)
        yield found


@pytest.fixture(params=KINDS)
def empty(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: Any,
) -> Iterator[str]:
    """A database of each kind without a row; its kind is the value."""
    with django_db_blocker.unblock(), database(request.param, tmp_path_factory):
        yield request.param
