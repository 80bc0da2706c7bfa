"""Run a handful of processes until one of them ends or somebody asks to stop.

Signals go to each process itself, never to its group: a Celery worker that is told to stop has to
tell its own children, and hangs if they are killed at the same time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

SECONDS_BETWEEN_LOOKS = 0.2
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Starts processes, watches them, and leaves none behind."""

    def __init__(self, *, directory: Path, environment: Mapping[str, str], keep_open: int) -> None:
        """Prepare to start processes in `directory`.

        keep_open: a file descriptor that every process inherits.
        """
        self._directory = directory
        self._environment = environment
        self._keep_open = keep_open
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._signals_seen = 0
        for number in STOP_SIGNALS:
            signal.signal(number, self._count_signal)

    def _count_signal(self, signum: int, frame: FrameType | None) -> None:
        self._signals_seen += 1

    def start(self, name: str, line: list[str], log: Path) -> None:
        """Start a process that writes into `log`, unless a signal asked to stop meanwhile."""
        if self._signals_seen:
            return
        with log.open("ab") as output:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own command lines
                line,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[self._keep_open],
                # Ctrl-C in the terminal then reaches only us, and we stop them in order.
                start_new_session=True,
            )

    def wait(self) -> str | None:
        """Wait until a process ends, and return its name, or for a signal, and return None."""
        while not self._signals_seen:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    return name
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return None

    def stop(self, patience: float) -> None:
        """Stop everything; after `patience` seconds, or at another signal, by force."""
        signals_before = self._signals_seen
        deadline = time.monotonic() + patience
        for process in self._processes.values():
            process.terminate()
        while (
            any(process.poll() is None for process in self._processes.values())
            and time.monotonic() < deadline
            and self._signals_seen == signals_before
        ):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        for process in self._processes.values():
            # The whole group this time: a killed worker cannot take its children along.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
