"""A service on loopback that takes messages by HTTP, and whose moods a test decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = {"CHANNEL_PRIVATE_HOSTS": ["127.0.0.1"]}
"""What a test has to allow before its own server is called."""


class Hooks:
    """Takes everything unless a test says otherwise."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.asked = 0
        self.answers: list[int | str] = []
        """What the next requests get: a status, or where they are sent to. Then 200."""
        self.go_on = threading.Event()
        """While it is not set no request is answered."""
        self.go_on.set()
        self.before_answer: Callable[[], object] = lambda: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def json_url(self) -> str:
        return f"json://127.0.0.1:{self.port}/s3cr3t-path"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(hooks: Hooks) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hooks.asked += 1
            answer = hooks.answers.pop(0) if hooks.answers else 200
            hooks.before_answer()
            hooks.go_on.wait(20)
            with suppress(OSError):
                if answer == 200:
                    hooks.messages.append(json.loads(body))
                self._answer(answer)

        def _answer(self, answer: int | str) -> None:
            self.send_response(answer if isinstance(answer, int) else 307)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    return Handler


@contextmanager
def hook_server() -> Iterator[Hooks]:
    hooks = Hooks()
    hooks.start()
    try:
        yield hooks
    finally:
        hooks.stop()
