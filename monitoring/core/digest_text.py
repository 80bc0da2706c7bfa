"""Messages as plain text without a template: of a digest, and what any message says besides.

Nothing here raises: facts may have waited in the outbox since an older release wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from monitoring.core.texts import one_line


def digest_text(variables: Mapping[str, Any]) -> str:
    """Return a digest as plain text.

    variables: those of the mail template. Times are aware datetimes, shown in UTC.
    """
    lines = [
        str(variables.get("headline") or "Several tasks need attention"),
        str(variables.get("explanation") or ""),
        "",
    ]
    for task in _items(variables, "tasks"):
        lines += _task_lines(task)
    if more := variables.get("more"):
        lines.append(f"and {more} more")
    lines.append("")
    lines.append(f"Checked: {_shown(variables.get('check_time')) or 'not known'}")
    if address := variables.get("list_url"):
        lines.append(f"More: {address}")
    return "\n".join(lines) + "\n"


def with_notes(variables: Mapping[str, Any], text: str) -> str:
    """Return `text` with what else the reader must know.

    Above it whom this could not be delivered to; below it, that nobody looked for a while and that
    it was held back.
    """
    above = list(_undelivered(variables))
    if above:
        above = ["This message could not be delivered to:", *above, ""]
    below = []
    if behind := variables.get("held_behind"):
        since = _shown(variables.get("held_since"))
        when = f" since {since}" if since else ""
        below.append(f"Held back{when}, because {behind}, which it depends on, was failing.")
    start, end = (_shown(variables.get(name)) for name in ("not_checked_from", "check_time"))
    if start and end:
        below.append(f"Not checked between {start} and {end}.")
    return "".join([*(f"{line}\n" for line in above), text, *(f"{line}\n" for line in below)])


def _undelivered(variables: Mapping[str, Any]) -> Iterator[str]:
    for one in _items(variables, "undeliverable"):
        yield f"- {_line(one, 'recipient')}: {_line(one, 'error')}"


def _task_lines(task: Mapping[str, Any]) -> Iterator[str]:
    name, rule = _line(task, "task_name"), _line(task, "rule_name")
    said = [_line(task, "current_status") or "not known"]
    if expected := _line(task, "expected_statuses"):
        said.append(f"expected {expected}")
    if since := _shown(task.get("opened_at")):
        said.append(f"since {since}")
    if count := task.get("dependents"):
        said.append(f"tasks that depend on it: {count}")
    yield f"- {name} ({rule})" if rule and rule != name else f"- {name}"
    yield f"  {'; '.join(said)}"
    if words := _line(task, "explanation"):
        yield f"  {words}"
    if address := task.get("event_url"):
        yield f"  {address}"


def _items(variables: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = variables.get(name)
    if not isinstance(value, list | tuple):
        return []
    return [one for one in value if isinstance(one, Mapping)]


def _line(item: Mapping[str, Any], name: str) -> str:
    return one_line(str(item.get(name) or ""))


def _shown(at: object) -> str:
    if isinstance(at, datetime):
        return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return str(at) if at else ""
