"""Celery's broker that is a folder, without its two races.

kombu writes a message, and the table of an exchange, where readers look for them: a reader may
take a file that is still empty, and a worker or a sender ends at once on what is not JSON. Here a
file appears under its name when it is whole, and two that change one table follow each other.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic_ns
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        """Put a message into a queue; readers take them in the order of their names."""
        name = f"{monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, dumps(payload))

    def _queue_bind(  # type: ignore[override]
        self, exchange: str, routing_key: str, pattern: str, queue: str
    ) -> None:
        """Note that an exchange sends to a queue, once."""
        wanted = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        self.control_folder.mkdir(exist_ok=True)
        with _alone(self.control_folder / "tables.lock"):
            queues = self.get_table(exchange)
            if wanted not in queues:
                _write_whole(self.control_folder / f"{exchange}.exchange", dumps([wanted, *queues]))


class Transport(filesystem.Transport):
    Channel = Channel


def install() -> None:
    """Let `filesystem://` mean this broker."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4()}.part")
    try:
        unfinished.write_text(text)
        unfinished.replace(path)
    except OSError as error:
        raise ChannelError(f"Cannot add file {path.name!r} to directory") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        yield
