"""A host: a Django project in a folder, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.doors.harness import wait_until
from tests.hosts.environment import Environment
from tests.hosts.handbook import Block

ALL_OK, SOME_FAILING = 0, 1
_IN_META = ", in class Meta"


class Host:
    """A project: what is run in it, and what instructions do to its files."""

    def __init__(self, folder: Path, environment: Environment, package: str, port: int) -> None:
        """package: the one with settings, urls and Celery. port: of the mail server."""
        self.folder, self.environment, self.package, self.port = folder, environment, package, port
        for name in ("broker", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.said: dict[str, str] = {}
        """Command of the instructions -> what it printed when it was followed last."""
        self.warned = ""
        """What the last command wrote to standard error."""
        self._before: dict[str, str] = {}
        """File -> what stood in it before instructions changed it."""

    # Commands

    @property
    def variables(self) -> dict[str, str]:
        """Nothing of this shell: what the project needs stands in the project."""
        return {
            "PATH": os.environ["PATH"],
            "EMAIL_PORT": str(self.port),
            # The broker that is a folder moves its messages through this one.
            "TMPDIR": str(self.folder / "tmp"),
        }

    def run(self, *arguments: str, status: int = ALL_OK) -> str:
        """Run `python` with arguments in the project and return what it printed."""
        done = subprocess.run(
            [self.environment.python, *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        self.warned = done.stderr
        return done.stdout

    def manage(self, *arguments: str, status: int = ALL_OK) -> str:
        return self.run("manage.py", *arguments, status=status)

    def shell(self, code: str) -> str:
        return self.manage("shell", "--no-imports", "-c", code)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Run a worker that takes what waits in the broker, in order, and what comes."""
        log = self.folder / "worker.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [
                    *(self.environment.python, "-m", "celery", "--app", self.package, "worker"),
                    # One process does all: it cannot take a message that it is still writing.
                    *("--pool=solo", "--loglevel=INFO"),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                ],
                cwd=self.folder,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()[-6000:]}") from error
        finally:
            # Let it end what it does: a mail is on the server before it is marked as sent.
            process.terminate()
            try:
                process.wait(timeout=20)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def wait_for_line(self, text: str) -> None:
        """Wait until the worker says something."""
        log = self.folder / "worker.log"
        wait_until(lambda: text in log.read_text(), f"{text!r} in the worker's output")

    # Instructions

    def follow(self, blocks: Sequence[Block], status: int = ALL_OK) -> None:
        """Do what code blocks say: put Python where its first line says, run commands.

        status: what the checks among the commands exit with.
        """
        for one in blocks:
            if one.language == "python":
                self._write(one)
            elif one.language == "json":
                (self.folder / "arguments.json").write_text(one.text)
            elif one.language == "sh":
                for command in one.commands:
                    self._obey(command, status)

    def _obey(self, command: list[str], status: int) -> None:
        program, *arguments = command
        if program == "pip":
            said = self.environment.pip(*arguments)
        else:
            assert program == "python"
            is_check = arguments[1:3] == ["monitor", "check"]
            said = self.run(*arguments, status=status if is_check else ALL_OK)
        self.said[" ".join(command)] = said

    def _write(self, one: Block) -> None:
        if one.title.endswith("settings.py"):
            self._change(f"{self.package}/settings.py", lambda old: f"{old}\n{one.body}")
        elif one.title.endswith(_IN_META):
            self._add_to_meta(one.title.removesuffix(_IN_META), one.body)
        else:
            self._change(one.title, lambda _old: one.body)

    def _change(self, path: str, change: Callable[[str], str]) -> None:
        old = (self.folder / path).read_text()
        self._before.setdefault(path, old)
        (self.folder / path).write_text(change(old))

    def restore(self) -> None:
        """Let the files be as they were before instructions changed them, but for the models."""
        for path, old in self._before.items():
            (self.folder / path).write_text(old)

    def append(self, path: str, text: str) -> None:
        with (self.folder / path).open("a") as file:
            file.write(f"\n{text}")

    def _add_to_meta(self, path: str, line: str) -> None:
        file = self.folder / path
        head, meta, rest = file.read_text().partition("    class Meta:\n")
        assert meta, f"{path} has no class Meta"
        file.write_text(f"{head}{meta}        {line}{rest}")

    # A copy that does without

    def copied(self, folder: Path) -> Host:
        """Return the same project in another folder, in the same environment."""
        shutil.copytree(self.folder, folder)
        copy = Host(folder, self.environment, self.package, self.port)
        copy._before = self._before
        return copy
