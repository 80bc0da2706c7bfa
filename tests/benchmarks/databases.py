"""A database of one's own, in place of the one that the other tests share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import environ
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler

from config.settings.embedded import with_sqlite_options


@contextmanager
def sqlite_file(folder: Path) -> Iterator[None]:
    """Use a migrated database in a file, as `make demo` does: in memory it would be flattered."""
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}
    with _in_place_of_the_default(with_sqlite_options(settings)):
        yield


@contextmanager
def on_server(url: str) -> Iterator[None]:
    """Use a migrated database with a name nobody else has, dropped afterwards."""
    settings: dict[str, Any] = environ.Env.db_url_config(url)
    name = f"bench_{uuid.uuid4().hex[:12]}"
    server = ConnectionHandler({"default": settings})["default"]
    with server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}{_ENCODING.get(server.vendor, '')}")
    try:
        with _in_place_of_the_default({**settings, "NAME": name}):
            yield
    finally:
        with server.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")
        server.close()


_ENCODING = {"mysql": " CHARACTER SET utf8mb4"}


@contextmanager
def _in_place_of_the_default(settings: dict[str, Any]) -> Iterator[None]:
    theirs = connections["default"]
    # A worker that opens a connection for each task measures the server, on every side.
    kept_open = settings | {"CONN_MAX_AGE": None}
    connections["default"] = ConnectionHandler({"default": kept_open})["default"]
    try:
        # With the tables of the apps that have no migrations: the context models.
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield
    finally:
        connections["default"].close()
        connections["default"] = theirs
        ContentType.objects.clear_cache()
