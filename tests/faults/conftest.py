"""A database of each kind, a mail server, and the figures at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from tests.faults.databases import KINDS, Databases, empty, uses
from tests.faults.figures import pytest_configure
from tests.faults.scene import Scene
from tests.mail_server import mail_server

__all__ = ["pytest_configure"]


@pytest.fixture(scope="session")
def databases(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Databases]:
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    with django_db_blocker.unblock():
        made.close()


# Three of a kind take minutes; `make test-all` has time for them.
_SLOW = {"mariadb": pytest.mark.slow}


@pytest.fixture(params=[pytest.param(kind, marks=_SLOW.get(kind, ())) for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> str:
    """Return which kind of database a test runs on; it runs on each."""
    return str(request.param)


@pytest.fixture
def scene(kind: str, databases: Databases, django_db_blocker: Any) -> Iterator[Scene]:
    """Return an empty database with a mail server that takes everything."""
    alone = {"DIGEST_ABOVE": 100_000}
    with (
        django_db_blocker.unblock(),
        uses(databases.get(kind).url),
        override_settings(MONITORING=django_settings.MONITORING | alone),
        mail_server() as server,
    ):
        empty()
        yield Scene(kind, databases.get(kind), server)
