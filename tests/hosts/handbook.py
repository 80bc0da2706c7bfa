"""Pages of the documentation as instructions that a test follows to the letter."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One code block of a page."""

    language: str
    text: str

    @property
    def title(self) -> str:
        """Return the comment in the first line: which file the block stands in."""
        first = self.text.split("\n", 1)[0]
        return first.removeprefix("# ").removeprefix("-- ")

    @property
    def body(self) -> str:
        return self.text.split("\n", 1)[1]

    @property
    def commands(self) -> list[list[str]]:
        return [shlex.split(line, comments=True) for line in self.text.splitlines()]


def section(page: str, heading: str) -> list[Block]:
    """Return the code blocks that stand under a heading: `section("README.md", "Into ...")`."""
    text = (ROOT / page).read_text()
    # A comment in a block looks like a heading of the first level, so only deeper ones count.
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"{page} has no section {heading!r}"
    return [Block(*block) for block in _BLOCK.findall(found[1])]


def block(page: str, heading: str, title: str) -> Block:
    """Return the one code block of a section that begins with a comment."""
    (found,) = [one for one in section(page, heading) if one.title == title]
    return found
