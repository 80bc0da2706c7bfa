"""The broker that is a folder."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError

from config.settings.embedded import folder_broker_options

TOGETHER = 8


@pytest.mark.process
def test_a_message_is_never_taken_before_it_is_whole(tmp_path: Path) -> None:
    options = folder_broker_options(tmp_path)
    long = "x" * 200_000

    def send() -> None:
        with Connection("filesystem://", transport_options=options) as connection:
            # Declared by the reader: kombu remembers in each process what is, and its threads
            # would not wait for each other.
            queue = connection.SimpleQueue("whole")
            for number in range(150):
                queue.put({"number": number, "text": long})
            queue.close()

    with ThreadPoolExecutor(1) as pool:
        with Connection("filesystem://", transport_options=options) as connection:
            queue = connection.SimpleQueue("whole")
            sent = pool.submit(send)
            seen = []
            for _ in range(150):
                message = queue.get(timeout=20)
                assert message.payload["text"] == long
                seen.append(message.payload["number"])
                message.ack()
            queue.close()
        sent.result()

    assert sorted(seen) == list(range(150))
    assert not list((tmp_path / "broker" / "queue").iterdir())


@pytest.mark.process
@pytest.mark.parametrize("exchange", [f"common{number}" for number in range(10)])
def test_queues_declared_at_the_same_time_are_all_kept(tmp_path: Path, exchange: str) -> None:
    options = folder_broker_options(tmp_path)
    ready = threading.Barrier(TOGETHER)

    def declare(number: int) -> None:
        name = f"{exchange}-{number}"
        with Connection("filesystem://", transport_options=options) as connection:
            ready.wait(timeout=20)
            Queue(name, Exchange(exchange), name)(connection.channel()).declare()

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(declare, range(TOGETHER)))

    with Connection("filesystem://", transport_options=options) as connection:
        table = connection.channel().get_table(exchange)
    assert sorted(row.queue for row in table) == [f"{exchange}-{n}" for n in range(TOGETHER)]


def test_a_folder_that_is_gone_is_named_to_the_sender(tmp_path: Path) -> None:
    options = folder_broker_options(tmp_path)
    with Connection("filesystem://", transport_options=options) as connection:
        queue = connection.SimpleQueue("gone")
        (tmp_path / "broker" / "queue").rmdir()
        with pytest.raises(ChannelError, match="Cannot add file"):
            queue.put("x")
