"""Makes the tables of docs/performance.md of what `make bench` has measured.

Figures of the newest run are kept in docs/performance.json, and the page shows nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / ".bench"
KEPT = ROOT / "docs" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"

_DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
_ORDER = ("sqlite", "postgresql", "mariadb", "postgresql-large")
_TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Result = dict[str, Any]
Rows = Iterator[list[str]]


def collect() -> None:
    """Take what was measured since over into what is kept."""
    kept = {(one["name"], one["database"]): one for one in results()}
    for path in MEASURED.glob("*.json"):
        found = json.loads(path.read_text())
        if "name" in found:
            kept[found["name"], found["database"]] = found
    rows = sorted(kept.values(), key=lambda one: (one["name"], _ORDER.index(one["database"])))
    KEPT.write_text(json.dumps(rows, indent=1, default=str) + "\n")


def results() -> list[Result]:
    found: list[Result] = json.loads(KEPT.read_text()) if KEPT.exists() else []
    return found


def with_tables(text: str) -> str:
    """Return the page with its tables made anew."""

    def made(match: re.Match[str]) -> str:
        name = match[2]
        measured = [one for one in results() if one["name"] == name]
        return f"{match[1]}{_TABLES[name](measured)}\n{match[3]}"

    return _TABLE.sub(made, text)


def _table(head: list[str], rows: Rows) -> str:
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _label(one: Result) -> str:
    size = ", ten times as many" if one["database"].endswith("-large") else ""
    return _DATABASES[one["database"].partition("-")[0]] + size


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.02 else f"{seconds * 1000:.1f} ms"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _sides(measured: list[Result]) -> str:
    """Return a table of ways to do the same; the first is what the others are compared with."""

    def rows() -> Rows:
        for one in measured:
            slowest = one["figures"][0]["median"]
            for side in one["figures"]:
                memory = side["peak_megabytes"]
                yield [
                    _label(one),
                    side["name"],
                    _time(side["median"]),
                    _times(slowest / side["median"]),
                    f"{side['queries']:,}",
                    "" if memory is None else f"{memory:.1f} MB",
                ]

    return _table(["database", "", "median", "times as fast", "statements", "memory"], rows())


def _scale(measured: list[Result]) -> str:
    def rows() -> Rows:
        for one in measured:
            for side in one["figures"]:
                memory = f"{side['peak_megabytes']:.0f} MB"
                yield [_label(one), side["name"], _time(side["median"]), memory]

    return _table(["database", "", "time", "more memory than at its start"], rows())


def _storm(measured: list[Result]) -> str:
    def rows() -> Rows:
        for one in measured:
            fine = one["figures"][0]["median"]
            for side in one["figures"]:
                ratio = _times(side["median"] / fine)
                took, count = _time(side["median"]), f"{side['queries']:,}"
                yield [_label(one), side["name"], took, ratio, count]

    return _table(["database", "", "median", "times the check of fine rules", "statements"], rows())


def _recorder(measured: list[Result]) -> str:
    def rows() -> Rows:
        for one in measured:
            tasks = one["tasks"]
            nothing = one["figures"][0]["median"] / tasks
            for side in one["figures"]:
                whole = side["median"] / tasks
                yield [
                    _label(one),
                    side["name"],
                    f"{whole * 1000:.2f} ms",
                    f"{(whole - nothing) * 1000:.2f} ms",
                    f"{side['queries'] / tasks:.0f}",
                ]

    return _table(["database", "", "one task", "of that, recording", "statements"], rows())


def _pages(measured: list[Result]) -> str:
    """Return a table of pages by database: the time, and how many times that of a small one."""
    head = ["page", "statements", *(_label(one) for one in measured)]

    def rows() -> Rows:
        for number, side in enumerate(measured[0]["figures"] if measured else []):
            line = [side["name"], str(side["queries"])]
            for one in measured:
                time = one["figures"][number]["median"]
                few = one["small"][side["name"]][0]
                line.append(f"{time * 1000:.0f} ms ({time / few:.1f})")
            yield line

    return _table(head, rows())


def _machine(measured: list[Result]) -> str:
    """Return what it was measured on, in one line."""
    known = results()
    if not known:
        return ""
    versions = {_DATABASES[one["database"].partition("-")[0]]: one["version"] for one in known}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    first = known[0]
    return (
        f"Python {first['python']}, Django {first['django']}, {named}; {first['processors']} "
        "processors, the servers on the same machine with the settings they come with."
    )


_TABLES: dict[str, Callable[[list[Result]], str]] = {
    "check-fine": _sides,
    "check-failing": _sides,
    "check-contexts": _sides,
    "check-scale": _scale,
    "storm": _storm,
    "recorder": _recorder,
    "pages": _pages,
    "machine": _machine,
}


if __name__ == "__main__":
    collect()
    PAGE.write_text(with_tables(PAGE.read_text()))
