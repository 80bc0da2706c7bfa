"""Migrated databases, one of each kind for a whole session, emptied for every test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import environ
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, connections, models, transaction
from django.db.utils import ConnectionHandler

from config.settings.embedded import with_sqlite_options
from tests.doors.harness import OBSERVER
from tests.doors.servers import Database, MariaDB, Postgres, Sqlite

KINDS: dict[str, type[Database]] = {"sqlite": Sqlite, "postgres": Postgres, "mariadb": MariaDB}

Rows = list[tuple[type[models.Model], list[models.Model]]]


class Databases:
    """Makes a database of each kind when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Database] = {}
        self._stack = ExitStack()

    def get(self, kind: str) -> Database:
        """Return the migrated database of a kind; skip the test if there is no server for it."""
        if kind not in self._made:
            folder = self._folder / kind
            folder.mkdir(exist_ok=True)  # a test before was skipped here, for want of a server
            database = KINDS[kind](f"fault_{uuid.uuid4().hex[:12]}", folder)
            self._stack.enter_context(database)
            with uses(database.url):
                call_command("migrate", verbosity=0)
            self._made[kind] = database
        return self._made[kind]

    def close(self) -> None:
        self._stack.close()


def as_configured(url: str) -> dict[str, Any]:
    """Return the settings of a database as a host has them."""
    settings = with_sqlite_options(environ.Env.db_url_config(url))
    configured: dict[str, Any] = ConnectionHandler({"default": settings}).settings["default"]
    return configured


@contextmanager
def uses(url: str) -> Iterator[None]:
    """Let Django in this process use a database exactly as a host does, by two connections."""
    before = connections["default"], connections.settings["default"]
    for alias in ("default", OBSERVER):
        connections.settings[alias] = as_configured(url)
        connections[alias] = connections.create_connection(alias)
    try:
        yield
    finally:
        for alias in ("default", OBSERVER):
            connections[alias].close()
        del connections[OBSERVER], connections.settings[OBSERVER]
        connections["default"], connections.settings["default"] = before


def _models() -> list[type[models.Model]]:
    """Return what tests fill, those first that others refer to."""
    names = (
        "MonitorRule",
        "RuleState",
        "MonitorRun",
        "AlertEvent",
        "Notification",
        "Channel",
        "DeliveryWakeup",
        "BackgroundTask",
    )
    return [get_user_model(), *(apps.get_model("monitoring", name) for name in names)]


def snapshot() -> Rows:
    """Return everything that tests fill, for `restore`."""
    return [(model, list(model._base_manager.order_by("pk"))) for model in _models()]


def restore(rows: Rows) -> None:
    """Make the database hold exactly these rows."""
    with transaction.atomic(), connection.constraint_checks_disabled():
        _empty()
        for model, instances in rows:
            model._base_manager.bulk_create(instances)


def empty() -> None:
    with transaction.atomic(), connection.constraint_checks_disabled():
        _empty()


def _empty() -> None:
    for model in reversed(_models()):
        model._base_manager.all()._raw_delete("default")


def forget_connection() -> None:
    """Go on with a new connection, whatever became of the old one."""
    connections["default"].close()
    connections["default"] = connections.create_connection("default")
