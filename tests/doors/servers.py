"""A database and a corner of a broker for one test session, gone when it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import environ
import pytest
from django.db.utils import ConnectionHandler
from kombu import Connection


def server_url(variable: str) -> str:
    """Return where a server is, or skip the test."""
    url = os.environ.get(variable, "")
    if not url:
        pytest.skip(f"{variable} names no server")
    return url


class Database:
    """A new database, there for as long as the context lasts."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    url: str

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let every attempt to connect fail; nobody in this process may be connected."""
        raise NotImplementedError
        yield


class Sqlite(Database):
    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self._file = folder / "database" / "db.sqlite3"
        self._file.parent.mkdir()
        self.url = f"sqlite:///{self._file}"

    @contextmanager
    def away(self) -> Iterator[None]:
        elsewhere = self._file.parent.rename(self.folder / "elsewhere")
        try:
            yield
        finally:
            elsewhere.rename(self._file.parent)


class _OnServer(Database):
    variable: str
    create: str
    drop: str

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        server = server_url(self.variable)
        self.url = f"{server.rpartition('/')[0]}/{name}"
        self._settings = environ.Env.db_url_config(server)

    def execute(self, *statements: str) -> None:
        connection = ConnectionHandler({"default": self._settings})["default"]
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement.format(self.name))
        finally:
            connection.close()

    def __enter__(self) -> Database:
        self.execute(self.create)
        return self

    def __exit__(self, *error: object) -> None:
        self.execute(self.drop)


class Postgres(_OnServer):
    variable = "TEST_POSTGRES_URL"
    create = 'CREATE DATABASE "{}"'
    drop = 'DROP DATABASE IF EXISTS "{}" WITH (FORCE)'

    @contextmanager
    def away(self) -> Iterator[None]:
        self.execute(
            'ALTER DATABASE "{}" ALLOW_CONNECTIONS false',
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        )
        try:
            yield
        finally:
            self.execute('ALTER DATABASE "{}" ALLOW_CONNECTIONS true')


class MariaDB(_OnServer):
    variable = "TEST_MARIADB_URL"
    create = "CREATE DATABASE `{}` CHARACTER SET utf8mb4"
    drop = "DROP DATABASE IF EXISTS `{}`"

    def away(self) -> AbstractContextManager[None]:
        pytest.skip("MariaDB cannot close one database and leave the others open")


Broker = Callable[[str], AbstractContextManager[str]]
"""Makes, from a prefix, a context with the URL of a broker, and removes what the prefix left."""


@contextmanager
def folder_broker(prefix: str) -> Iterator[str]:
    yield "filesystem://localhost"


@contextmanager
def redis(prefix: str) -> Iterator[str]:
    url = server_url("TEST_REDIS_URL")
    yield url
    with Connection(url) as connection:
        client = connection.default_channel.client
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


@contextmanager
def rabbitmq(prefix: str) -> Iterator[str]:
    url = server_url("TEST_RABBITMQ_URL")
    yield url
    with Connection(url) as connection:
        channel: Any = connection.default_channel
        for name in [prefix, *(f"{prefix}.{queue}" for queue in QUEUES)]:
            channel.queue_delete(name)
            channel.exchange_delete(name)
        # Control queues belong to a connection and went with it.
        for exchange in (f"{prefix}.pidbox", f"reply.{prefix}.pidbox", f"{prefix}.events"):
            channel.exchange_delete(exchange)


QUEUES = ("threads", "solo", "doomed", "nobody")
"""The queues that tests use beside the common one."""

EMBEDDED = pytest.param((Sqlite, folder_broker), id="folder-sqlite")
REDIS_POSTGRES = pytest.param((Postgres, redis), id="redis-postgres")
RABBITMQ_MARIADB = pytest.param((MariaDB, rabbitmq), id="rabbitmq-mariadb")
REDIS_MARIADB = pytest.param((MariaDB, redis), id="redis-mariadb", marks=pytest.mark.slow)
RABBITMQ_POSTGRES = pytest.param(
    (Postgres, rabbitmq), id="rabbitmq-postgres", marks=pytest.mark.slow
)
