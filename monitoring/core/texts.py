"""Foreign text made fit for a column, a log line or a mail header."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE = re.compile(r"[\s\x00-\x1f\x7f\u0085\u2028\u2029]+")


def storable(text: str, most: int) -> str:
    """Return `text` cut to `most` characters, without what databases refuse.

    They refuse NUL and lone surrogates; other control characters go as well.
    """
    if text.isprintable() and text.__class__ is str and len(text) <= most:
        return text  # nearly always, and ten times as fast
    clean = _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


def is_storable(text: str) -> bool:
    """Say whether every database takes `text` and gives it back unchanged.

    One configured text that is refused would cost all rules of a batch their check.
    """
    return storable(text, len(text) + 1) == text


def tail(text: str, most: int) -> str:
    """Return the end of `text`, which is where a traceback says what happened."""
    clean = storable(text, len(text) + 1)
    return clean if len(clean) <= most else f"…{clean[len(clean) - most + 1 :]}"


def one_line(text: str) -> str:
    """Return `text` on one line, fit for a mail header or a log line."""
    if text.isprintable() and " " not in text and text.__class__ is str:
        return text
    return _LINE.sub(" ", text).strip()
