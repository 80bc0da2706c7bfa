"""Real Celery processes for tests: a database, a broker, workers, beat, and a look at each.

    with System(folder, Sqlite, folder_broker) as system:
        system.start_worker()
        task_id = system.send("door.succeed")
        assert system.ended(task_id).status == "Completed"

Nothing here sleeps for a guessed time: everything is asked for again until it is so, or until a
deadline that is an error.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import environ
from celery import Celery
from django.core.management import call_command
from django.db import ConnectionHandler, connections
from django.test import override_settings

from config.settings.embedded import with_sqlite_options
from monitoring.core.statuses import FINISHED
from monitoring.models import BackgroundTask
from tests.doors.project import shared
from tests.doors.servers import QUEUES, Broker, Database

ROOT = Path(__file__).resolve().parents[2]
OBSERVER = "observer"
"""Alias of a second connection: it sees what is committed while the first is in a transaction."""
PATIENCE = 40
"""Seconds until something that takes one or two has gone wrong."""
TICK = 0.03

T = TypeVar("T")


def wait_until(look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Return what `look` returns as soon as it is truthy; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(TICK)
    return seen


class Process:
    """One process with the processes it starts; its output is in a file."""

    def __init__(self, name: str, line: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                line,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_line(self, text: str, times: int = 1) -> None:
        """Wait until a text is in the output; of others by the same name too, so count those."""

        def look() -> bool:
            assert self.popen.poll() is None, f"{self.name} has ended:\n{self.output[-3000:]}"
            return self.output.count(text) >= times

        wait_until(look, f"{text!r} in the output of {self.name}")

    def kill(self) -> None:
        """Kill it with all it has started, and leave it no time to say anything."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(timeout=10)

    def ask_to_stop(self) -> None:
        """Let its main process end as soon as its tasks have."""
        self.popen.terminate()


class Gate:
    """Where a task waits until the test lets it through; see `project/tasks.py`."""

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        self._folder = folder

    def is_noted(self, note: str) -> bool:
        return (self._folder / f"{self.name}.{note}").exists()

    def wait_until_noted(self, note: str) -> None:
        wait_until(lambda: self.is_noted(note), f"a task notes {note!r}")

    def wait_until_taken(self) -> None:
        self.wait_until_noted("waiting")

    def open(self) -> None:
        (self._folder / f"{self.name}.open").touch()


class System:
    """A database, a broker, and the processes that use them; Django in here uses them too."""

    def __init__(self, folder: Path, database: type[Database], broker: Broker) -> None:
        self.prefix = f"door_{uuid.uuid4().hex[:12]}"
        self.folder = folder
        self.database = database(self.prefix, folder)
        self.broker = broker
        self.processes: list[Process] = []
        self._stack = ExitStack()

    def __enter__(self) -> System:
        with ExitStack() as stack:
            for name in ("logs", "tmp", "gates"):
                (self.folder / name).mkdir()
            stack.enter_context(self.database)
            self.broker_url = stack.enter_context(self.broker(self.prefix))
            stack.enter_context(override_settings(MONITORING=shared.MONITORING))
            stack.enter_context(django_uses(self.database.url))
            call_command("migrate", verbosity=0)
            self.app = stack.enter_context(self._publisher())
            stack.callback(self.kill_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def _publisher(self) -> Iterator[Celery]:
        app = Celery("publisher", set_as_current=False)
        app.conf.update(shared.celery_settings(self.broker_url, self.prefix, self.folder))
        try:
            yield app
        finally:
            app.pool.force_close_all()
            app.close()

    # Processes

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.doors.project.settings",
            "DATABASE_URL": self.database.url,
            "CELERY_BROKER_URL": self.broker_url,
            "DOOR_PREFIX": self.prefix,
            "DATA_DIR": str(self.folder),
            # The broker that is a folder moves its messages through this one.
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, name: str, *line: str, **environment: str) -> Process:
        process = Process(
            name,
            [sys.executable, *line],
            self.environment | environment,
            self.folder / "logs" / f"{name}.log",
        )
        self.processes.append(process)
        return process

    def node(self, name: str) -> str:
        """Return a worker's full name, as Celery and the task log have it."""
        return f"{name}@{self.prefix}"

    def start_worker(
        self,
        name: str = "worker",
        *,
        pool: str = "prefork",
        queue: str = "",
        heartbeat: bool = False,
        **environment: str,
    ) -> Process:
        """Start a worker with two places and wait until it takes tasks.

        queue: which one of `servers.QUEUES`, if not the common one.
        """
        starts = sum(one.name == name for one in self.processes)
        worker = self.start(
            name,
            *("-m", "celery", "--app=config", "worker", "--loglevel=INFO"),
            *(f"--hostname={self.node(name)}", f"--pool={pool}", "--concurrency=2"),
            *("--without-gossip", "--without-mingle"),
            *([] if heartbeat else ["--without-heartbeat"]),
            *([f"--queues={self.prefix}.{queue}"] if queue else []),
            **environment,
        )
        worker.wait_for_line(" ready.", times=starts + 1)
        return worker

    def start_beat(self) -> Process:
        beat = self.start(
            "beat", "-m", "celery", "--app=config", "beat", "--loglevel=INFO", "--pidfile="
        )
        beat.wait_for_line("beat: Starting...")
        return beat

    def run_python(self, code: str) -> None:
        """Run some lines in a process of its own that ends, as a web request would."""
        process = self.start("python", "manage.py", "shell", "--no-imports", "-c", code)
        assert process.popen.wait(timeout=PATIENCE) == 0, process.output[-3000:]

    def kill_all(self) -> None:
        for process in self.processes:
            process.kill()

    # Tasks

    def send(self, name: str, *args: object, queue: str = "", **options: Any) -> str:
        """Send a task as a host's code does, and return its id."""
        if queue:
            assert queue in QUEUES
            options["queue"] = f"{self.prefix}.{queue}"
        return str(self.app.send_task(name, args, **options).id)

    def gate(self) -> Gate:
        return Gate(self.folder / "gates")

    def revoke(self, task_id: str, *, terminate: bool = False) -> None:
        """Revoke a task, and wait until the worker has understood."""

        def ask() -> Any:
            return self.app.control.revoke(
                task_id,
                terminate=terminate,
                destination=[self.node("worker")],
                reply=True,
                timeout=3,
                limit=1,
            )

        wait_until(ask, "the worker confirms that it revokes the task")

    # The task log

    def row(self, task_id: str) -> BackgroundTask | None:
        return BackgroundTask.objects.using(OBSERVER).filter(task_id=task_id).first()

    def wait_for(
        self,
        task_id: str,
        is_so: Callable[[BackgroundTask], object],
        what: str,
        seconds: float = PATIENCE,
    ) -> BackgroundTask:
        """Return the row of a task as soon as it is as wanted."""

        def look() -> BackgroundTask | None:
            row = self.row(task_id)
            return row if row and is_so(row) else None

        try:
            return wait_until(look, f"the execution {what}", seconds)
        except AssertionError as error:
            row = self.row(task_id)
            raise AssertionError(f"{error}; it is {vars(row) if row else 'not there'}") from None

    def at(self, task_id: str, status: str) -> BackgroundTask:
        return self.wait_for(task_id, lambda row: row.status == status, f"is {status}")

    def ended(self, task_id: str) -> BackgroundTask:
        return self.wait_for(task_id, lambda row: row.status in FINISHED, "has ended")


@contextmanager
def django_uses(url: str) -> Iterator[None]:
    """Let Django in this process use another database, by two connections."""
    settings = with_sqlite_options(environ.Env.db_url_config(url))
    if settings["ENGINE"].endswith("sqlite3"):
        # SQLite has one writer. A transaction of the test's that began as one would stop the
        # worker whatever the recorder does.
        settings["OPTIONS"] = {**settings["OPTIONS"], "transaction_mode": "DEFERRED"}
    configured = ConnectionHandler({"default": settings}).settings["default"]
    before, settings_before = connections["default"], connections.settings["default"]
    for alias in ("default", OBSERVER):
        connections.settings[alias] = configured
        connections[alias] = connections.create_connection(alias)
    try:
        yield
    finally:
        for alias in ("default", OBSERVER):
            connections[alias].close()
        del connections[OBSERVER], connections.settings[OBSERVER]
        connections["default"], connections.settings["default"] = before, settings_before
