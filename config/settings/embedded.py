"""What the defaults that need no server (SQLite, a folder as broker) need to work well."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import folder_broker

SQLITE_OPTIONS = {
    # Web, worker and beat read and write at once. With SQLite's defaults a third of their
    # transactions fail with "database is locked"; with these four none does.
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}


def make_directory(path: Path) -> Path:
    """Create `path` with its parents.

    Raises ImproperlyConfigured if that is not possible, naming the way out.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"Cannot create the directory {path} ({error.strerror}): set DATA_DIR to a place "
            "that may be written, or DATABASE_URL and CELERY_BROKER_URL to servers."
        ) from error
    return path


def default_database(data_dir: Path) -> dict[str, Any]:
    """Return the database that is used when none is named.

    It is not written as a URL, so that the path may hold any character.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": make_directory(data_dir) / "db.sqlite3",
    }


def with_sqlite_options(database: dict[str, Any]) -> dict[str, Any]:
    """Return `database` ready for several processes; the URL's own options win."""
    if database["ENGINE"] != "django.db.backends.sqlite3":
        return database
    return {**database, "OPTIONS": {**SQLITE_OPTIONS, **database.get("OPTIONS", {})}}


def folder_broker_options(data_dir: Path) -> dict[str, str]:
    """Return Celery's transport options for a broker that is a folder, and prepare both.

    Both directions share one folder: with two, nobody would read what another process wrote.
    The control folder lets `inspect`, `ping` and `revoke` reach the worker.
    """
    folder_broker.install()
    queue = make_directory(data_dir / "broker" / "queue")
    control = make_directory(data_dir / "broker" / "control")
    return {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(control),
    }
