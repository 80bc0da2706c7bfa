"""Start the whole demo and stop it again: `make demo`.

One worker, one beat and one web server run as real processes until Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.conf import settings

from config.demo.mailwatch import start_watching
from config.demo.prepare import ADMIN_NAME, prepare_data
from config.demo.supervisor import Supervisor

HOST = "127.0.0.1"
# A worker that cancels its tasks needs five.
SECONDS_TO_STOP = 15

BANNER = """
The demo is starting; it is ready in a few seconds.

  Open      {url}
  User      {user}
  Password  {password}
  Mails     {mails}
            new ones are announced below, the first within 90 seconds
  Logs      {logs}
  Commands  {python} manage.py monitor check --dry-run --settings=config.settings.demo

Ctrl-C stops everything. `make demo` continues with the same data, `make clean` removes it.
"""
PRINTED_BEFORE = (
    "the one printed the first time; to set another one:\n"
    "            {python} manage.py changepassword {user} --settings=config.settings.demo"
)


def main() -> int:
    """Run the demo; returns the exit status."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.demo"
    django.setup()
    with only_one(settings.DATA_DIR) as lock:
        refuse_busy_port(settings.DEMO_PORT)
        logs, mails = settings.DATA_DIR / "logs", Path(settings.EMAIL_FILE_PATH)
        for folder in (logs, mails):
            folder.mkdir(exist_ok=True)
        # Before anything is written: from here on a signal waits for a safe moment.
        supervisor = Supervisor(
            directory=settings.BASE_DIR, environment=environment(), keep_open=lock
        )
        password = prepare_data()
        greet(password, mails, logs)
        start_watching(mails)
        for name, line in commands(settings.DEMO_PORT).items():
            supervisor.start(name, line, logs / f"{name}.log")
        ended = supervisor.wait()
        print("\nStopping...", flush=True)
        supervisor.stop(SECONDS_TO_STOP)
    if ended:
        print(f"The {ended} process ended by itself; see {logs / ended}.log", file=sys.stderr)
        return 1
    print("Everything is stopped.")
    return 0


@contextmanager
def only_one(data_dir: Path) -> Iterator[int]:
    """Refuse a second demo on the same data: two beats would run every task twice.

    Yields the descriptor of the lock. Processes that inherit it hold the lock too, so that it
    also notices what a killed demo left running.
    """
    with (data_dir / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("The demo, or a process that a killed one left, is running: stop it first.")
        yield lock.fileno()


def refuse_busy_port(port: int) -> None:
    """Exit with a sentence if something else listens on `port`."""
    with socket.socket() as probe:
        # A demo stopped a moment ago leaves closed connections behind that are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            sys.exit(
                f"Port {port} cannot be used ({error.strerror}): choose another one, "
                "for example `DEMO_PORT=8001 make demo`."
            )


def greet(password: str | None, mails: Path, logs: Path) -> None:
    """Print what to open. The password is known only when the user was just created."""
    print(
        BANNER.format(
            url=f"http://localhost:{settings.DEMO_PORT}/admin/",
            user=ADMIN_NAME,
            password=password or PRINTED_BEFORE.format(python=sys.executable, user=ADMIN_NAME),
            mails=mails,
            logs=logs,
            python=sys.executable,
        ),
        flush=True,
    )


def environment() -> dict[str, str]:
    """Return the environment of the processes."""
    # Told to stop, a worker would wait for the task that hangs. This makes it put running tasks
    # that allow it back into the broker, where the next start finds them.
    return {**os.environ, "REMAP_SIGTERM": "SIGQUIT", "PYTHONUNBUFFERED": "1"}


def commands(port: int) -> dict[str, list[str]]:
    """Return the command line of each process."""
    celery = [sys.executable, "-m", "celery", "--quiet", "--app=config"]
    return {
        # Six children, so that a task which hangs never keeps the others waiting.
        "worker": [*celery, "worker", "--loglevel=INFO", "--concurrency=6"],
        # A pid file left by a killed demo would keep beat from starting again.
        "beat": [*celery, "beat", "--loglevel=INFO", "--pidfile="],
        "web": [sys.executable, "manage.py", "runserver", "--noreload", f"{HOST}:{port}"],
    }


if __name__ == "__main__":
    sys.exit(main())
