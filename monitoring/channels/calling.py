"""The process that calls services: a request on each line that comes in, an answer on each out.

    python -m monitoring.channels.calling

A process of its own, because a library with a way to 190 services must not be able to hang a
worker, to reach into the network that the worker stands in, to read its files or to start its
programs. The guard stays in force for as long as the process lives; Python has no way to take it
off again. Nothing of Django is imported here, and Apprise nowhere else.
"""

from __future__ import annotations

import json
import logging
import mimetypes
import os
import signal
import socket
import sys
import sysconfig
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from monitoring.core import egress

MOST_LINES = 5
"""Of what the library says about a failure."""

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STARTS_PROGRAMS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "pty.spawn",
        "subprocess.Popen",
    }
)
_READ_ONLY = frozenset({"r", "rb", "rt", None})


class RefusedError(PermissionError):
    """The guard has kept a service from something; libraries take it for a failed call."""


class Guard:
    """Looks at whatever the process is about to do, as an audit hook of the interpreter (PEP 578).

    An address is judged when it is connected to, not when it is looked up: neither a redirect nor a
    name that changes its mind in between gets past.
    """

    def __init__(self, readable: tuple[str, ...] = ()) -> None:
        """readable: beginnings of paths that may be read."""
        self.readable = readable
        self.allowed = egress.Allowed()
        self.refused: list[str] = []
        self._names: dict[str, str] = {}
        """What was looked up to find an address."""

    def begin(self, allowed: egress.Allowed) -> None:
        """Judge the next call, and know nothing of the last."""
        self.allowed, self.refused = allowed, []
        self._names.clear()

    def install(self) -> None:
        look_up = socket.getaddrinfo

        def remembering(host: Any, *args: Any, **kwargs: Any) -> Any:
            found = look_up(host, *args, **kwargs)
            for *_, address in found:
                self._names[str(address[0])] = _text(host)
            return found

        socket.getaddrinfo = remembering
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CONNECTS:
            self._connect(arguments[1])
        elif event in _STARTS_PROGRAMS:
            self._refuse("it would start a program on this machine")
        elif event == "open":
            self._open(*arguments)

    def _connect(self, address: Any) -> None:
        if address is None:  # a socket that is connected already
            return
        if not isinstance(address, tuple):
            self._refuse("it would call a program on this machine")
            return
        host = _text(address[0])
        if complaint := egress.complaint(host, self._names.get(host, ""), self.allowed):
            self._refuse(complaint)

    def _open(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        writes = mode not in _READ_ONLY or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))
        place = os.path.realpath(_text(path))
        if writes or not place.startswith(self.readable):
            self._refuse(f"it would {'write' if writes else 'read'} a file of this machine")

    def _refuse(self, why: str) -> None:
        if why not in self.refused:
            self.refused.append(why)
        raise RefusedError(why)


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


def _readable() -> tuple[str, ...]:
    """Return the beginnings of paths that libraries read: their code, data and certificates."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    places |= {place for place in sys.path if place.endswith(("site-packages", "dist-packages"))}
    places.add(str(Path(import_module("apprise").__path__[0]).parent))
    folders = [os.path.realpath(place) + os.sep for place in places if place]
    files = [os.path.realpath(name) for name in mimetypes.knownfiles]
    return (*folders, *files, os.devnull, "/usr/share/zoneinfo/")


class _Kept(logging.Handler):
    """Keeps what the library warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Calls:
    """Apprise under guard."""

    def __init__(self) -> None:
        self.apprise = import_module("apprise")
        self.guard = Guard(_readable())
        self._statuses: list[int] = []
        self._kept = _Kept()
        logger = logging.getLogger("apprise")
        logger.addHandler(self._kept)
        logger.propagate = False
        self._watch_answers()
        self.guard.install()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call and return what came of it; see `judge_answer` for the keys.

        request: `url`, `title`, `body`, `kind` of message as Apprise has them, `incident` that it
        is about, `allowed` hosts inside, `only_read`: look at the address and call nobody.
        """
        self.guard.begin(egress.read_allowed(request["allowed"])[0])
        self._statuses.clear()
        self._kept.lines.clear()
        service = self._service(request["url"], request["incident"])
        if service is None:
            wrong = "no service understands this address; see https://appriseit.com/services/"
            if request["url"].casefold().startswith(("http:", "https:")):
                wrong += " (a webhook of your own that takes JSON is json:// or jsons://)"
            return {"ok": False, "refused": self.guard.refused, "wrong": wrong}
        ok = bool(request.get("only_read")) or self._notify(service, request)
        return {
            "ok": ok,
            "status": self._statuses[-1] if self._statuses else None,
            "refused": self.guard.refused,
            "said": self._kept.lines[-MOST_LINES:],
        }

    def _service(self, url: str, incident: str) -> Any:
        """Return the service of an address, or None if there is none."""
        asset = self.apprise.AppriseAsset(
            async_mode=False,
            secure_logging=True,
            storage_mode=self.apprise.PersistentStoreMode.MEMORY,
            app_id="Task monitoring",
            app_desc="Task monitoring",
        )
        service = self.apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is not None and "overflow=" not in url:
            # Services refuse what is too long for them, and the first lines say what matters.
            service.overflow_mode = self.apprise.OverflowMode.TRUNCATE
        if incident and not getattr(service, "dedup", "no such thing"):
            # PagerDuty keeps one incident for each of ours, and closes it when we do.
            service.dedup = incident
            service.action = service.action if "action=" in url else "map"
        return service

    def _notify(self, service: Any, request: Mapping[str, Any]) -> bool:
        caller = self.apprise.Apprise()
        caller.add(service)
        try:
            return bool(
                caller.notify(
                    title=request["title"],
                    body=request["body"],
                    notify_type=request["kind"],
                    body_format=self.apprise.NotifyFormat.TEXT,
                )
            )
        except Exception as error:  # whatever one of 190 services raises
            self._kept.lines.append(type(error).__name__)
            return False

    def _watch_answers(self) -> None:
        """Keep the status of every HTTP answer: the library says no more than yes or no."""
        adapter = import_module("requests.adapters").HTTPAdapter
        send = adapter.send

        def sending(*args: Any, **kwargs: Any) -> Any:
            answer = send(*args, **kwargs)
            self._statuses.append(answer.status_code)
            return answer

        adapter.send = sending


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What a library prints is no answer, and it may hold an address.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    calls = Calls()
    for line in sys.stdin:
        request = json.loads(line)
        if hasattr(signal, "alarm"):  # if whoever waits for an answer is killed
            signal.alarm(int(request["limit"]) + 1)
        print(json.dumps(calls.answer(request)), file=answers, flush=True)
        if hasattr(signal, "alarm"):
            signal.alarm(0)


if __name__ == "__main__":
    main()
