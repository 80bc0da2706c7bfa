"""Print a line for each mail that the demo writes."""

import time
from email import message_from_bytes, policy
from pathlib import Path
from threading import Thread

SECONDS_BETWEEN_LOOKS = 0.5


def describe(path: Path) -> str:
    """Return time, subject, recipient and file name of a mail in one line."""
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    return f"{mail['Date'].datetime:%H:%M:%S}  {mail['Subject']}  to {mail['To']}  {path.name}"


def watch(folder: Path, known: set[Path]) -> None:
    """Print mails that arrive in `folder` beside those known already, for ever."""
    while True:
        for path in sorted(set(folder.glob("*.eml")) - known):
            known.add(path)
            print(describe(path), flush=True)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def start_watching(folder: Path) -> None:
    """Print mails that arrive in `folder` from now on, until the program ends."""
    known = set(folder.glob("*.eml"))
    Thread(target=watch, args=(folder, known), daemon=True, name="mailwatch").start()
