"""Messages as plain text without a template: of a digest, and what any message says besides.

Nothing here raises: facts may have waited in the outbox since an older release wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from monitoring.core.texts import one_line
from monitoring.core.wording import ENGLISH, Words, joined, said
from monitoring.core.wording import Text as _


def digest_text(variables: Mapping[str, Any], words: Words = ENGLISH) -> str:
    """Return a digest as plain text.

    variables: those of the mail template. Times are aware datetimes, shown in UTC.
    """
    lines = [
        str(variables.get("headline") or "") or _("Several tasks need attention"),
        str(variables.get("explanation") or ""),
        "",
    ]
    for task in _items(variables, "tasks"):
        lines += _task_lines(task)
    if more := variables.get("more"):
        lines.append(_("and {more} more", more=more))
    lines.append("")
    time = _shown(variables.get("check_time")) or _("not known")
    lines.append(_("Checked: {time}", time=time))
    if address := variables.get("list_url"):
        lines.append(_("More: {address}", address=address))
    return "\n".join(said(line, words) for line in lines) + "\n"


def with_notes(variables: Mapping[str, Any], text: str, words: Words = ENGLISH) -> str:
    """Return `text` with what else the reader must know.

    Above it whom this could not be delivered to; below it, that nobody looked for a while and that
    it was held back.
    """
    above = list(_undelivered(variables))
    if above:
        above = [_("This message could not be delivered to:"), *above, ""]
    below: list[str] = []
    if behind := variables.get("held_behind"):
        below.append(_held(str(behind), _shown(variables.get("held_since"))))
    start, end = (_shown(variables.get(name)) for name in ("not_checked_from", "check_time"))
    if start and end:
        below.append(_("Not checked between {start} and {end}.", start=start, end=end))
    before, after = ("".join(f"{said(line, words)}\n" for line in part) for part in (above, below))
    return f"{before}{text}{after}"


def _held(task: str, since: str) -> str:
    if not since:
        return _("Held back, because {task}, which it depends on, was failing.", task=task)
    return _(
        "Held back since {since}, because {task}, which it depends on, was failing.",
        since=since,
        task=task,
    )


def _undelivered(variables: Mapping[str, Any]) -> Iterator[str]:
    for one in _items(variables, "undeliverable"):
        yield f"- {_line(one, 'recipient')}: {_line(one, 'error')}"


def _task_lines(task: Mapping[str, Any]) -> Iterator[str]:
    name, rule = _line(task, "task_name"), _line(task, "rule_name")
    found = [_line(task, "current_status") or _("not known")]
    if expected := _line(task, "expected_statuses"):
        found.append(_("expected {statuses}", statuses=expected))
    if since := _shown(task.get("opened_at")):
        found.append(_("since {since}", since=since))
    if count := task.get("dependents"):
        found.append(_("tasks that depend on it: {count}", count=count))
    yield f"- {name} ({rule})" if rule and rule != name else f"- {name}"
    yield joined(["  ", joined(found, "; ")], "")
    if words := _line(task, "explanation"):
        yield f"  {words}"
    if cause := _line(task, "cause"):
        yield joined(["  ", _("Probable cause: {cause}", cause=cause)], "")
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
