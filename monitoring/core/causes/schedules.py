"""Causes that lie with who should have sent a task, or with when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from monitoring.core.causes.facts import Facts, Schedule
from monitoring.core.causes.wording import Why, lasting, moment, named
from monitoring.core.wording import Text, joined, ngettext
from monitoring.core.wording import Text as _

_MOST_NAMES = 3


def disabled(facts: Facts) -> Why:
    ours = [one for one in facts.schedules if one.task_name == facts.rule.task_name]
    if not _was_not_sent(facts) or not ours or _is_scheduled(facts) or _ran_without(facts, ours):
        return None
    parts = [_idle(one, facts.now) for one in ours[:_MOST_NAMES]]
    if more := len(ours) - len(parts):
        parts.append(_("and {more} more", more=more))
    one, several = _("Its periodic task is disabled"), _("Its periodic tasks are disabled")
    return one if len(ours) == 1 else several, joined(parts, "; ")


def _idle(schedule: Schedule, now: datetime) -> Text:
    name = named(schedule.name)
    ends = schedule.ends_at
    if schedule.is_enabled and ends is not None and ends <= now:
        return _("“{name}” ended at {time}", name=name, time=moment(ends))
    return _("“{name}”, last changed at {time}", name=name, time=moment(schedule.changed_at))


def _ran_without(facts: Facts, schedules: Sequence[Schedule]) -> bool:
    """Say that somebody else has sent the task since: then these are not missed."""
    last = facts.verdict.last_known
    if last is None or facts.sender != "":
        return False
    return last.started_at > max(one.changed_at for one in schedules)


def deleted(facts: Facts) -> Why:
    sender, last = facts.sender, facts.verdict.last_known
    if not _was_not_sent(facts) or not sender or last is None or _is_scheduled(facts):
        return None
    left = next((one for one in facts.schedules if one.name == sender), None)
    if left is not None and left.task_name == facts.rule.task_name:
        return None
    sent = _("“{name}” sent its run of {time}", name=named(sender), time=moment(last.started_at))
    if left is None:
        headline = _("Its periodic task was deleted or renamed")
        now = _("none of that name is left, and no other sends this task")
    else:
        headline = _("Its periodic task sends another task")
        now = _("now it sends {task}", task=named(left.task_name))
    return headline, joined((sent, now), "; ")


def beat_silent(facts: Facts) -> Why:
    beat = facts.beat
    if beat is None or not _was_not_sent(facts) or not _is_scheduled(facts):
        return None
    if not beat.is_silent(facts.now):
        return None
    return _("Beat is silent"), _(
        "no periodic task is known to have been sent since {time}, and one was due at {due}",
        time=moment(beat.last_sent_at),
        due=moment(beat.due_at),
    )


def missed(facts: Facts) -> Why:
    """Nothing is known of a message, and the time was there for it."""
    last, due = facts.verdict.last_known, facts.due
    if last is None or due is None or not _was_not_sent(facts) or not facts.is_overdue:
        return None
    ran = _("it last ran at {time}", time=moment(last.started_at))
    if due.is_more:
        often = _("more than {count} runs were due since", count=due.times)
    else:
        often = ngettext("{count} run was due since", "{count} runs were due since", due.times)
    return _("It has missed its schedule"), joined((ran, often), "; ")


def before_window(facts: Facts) -> Why:
    """It ran in good time by all that is known, unless it is known to be overdue."""
    last = facts.verdict.last_known
    if not facts.is_missing or last is None or last.status not in facts.rule.expected_statuses:
        return None
    start = facts.rule.window_start(facts.now)
    early, window = start - last.started_at, facts.now - start
    if not timedelta(0) < early <= window:
        return None
    known = {"time": moment(last.started_at), "early": lasting(early)}
    if _leaves_more_than(window, facts):
        evidence = _(
            "at {time}, {early} before it; is a window of {window} too short?",
            window=lasting(window),
            **known,
        )
    elif facts.due is None and facts.longest_gap is not None:
        evidence = _(
            "at {time}, {early} before it; its runs before were at most {gap} apart",
            gap=lasting(facts.longest_gap),
            **known,
        )
    else:
        evidence = _("at {time}, {early} before it", **known)
    return _("It ran before the window began"), evidence


def _leaves_more_than(window: timedelta, facts: Facts) -> bool:
    """Say that more than a window passes between two runs, by the schedule or by the last runs."""
    if facts.due is not None:
        return not facts.is_overdue
    return facts.longest_gap is not None and facts.longest_gap > window


def nobody_knows(facts: Facts) -> Why:
    name, world = facts.rule.task_name, facts.world
    if world is None or not facts.is_missing or world.knows(name):
        return None
    return _("Nobody knows the task"), world.nowhere(name)


def _was_not_sent(facts: Facts) -> bool:
    """Say that nothing is known to have been sent that the missing execution could come of."""
    return facts.is_missing and facts.sent is None and facts.elsewhere is None


def _is_scheduled(facts: Facts) -> bool:
    return any(one.sends(facts.rule.task_name, facts.now) for one in facts.schedules)
