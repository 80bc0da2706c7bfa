"""Causes that an execution of the task tells itself."""

from __future__ import annotations

import re
from datetime import timedelta

from monitoring.core.causes.facts import UNHEARD, Facts, Message
from monitoring.core.causes.wording import Why, lasting, moment, named, on_worker, quoted
from monitoring.core.lifecycle import WORKER_LOST
from monitoring.core.statuses import Status
from monitoring.core.values import Execution
from monitoring.core.wording import Text, joined, ngettext
from monitoring.core.wording import Text as _

_WORKER_LOST_ERROR = re.compile(r"(?:\w+\.)*WorkerLostError\b:?(?P<said>.*)", re.DOTALL)
_NOT_REGISTERED = re.compile(r"(?:\w+\.)*NotRegistered\b")
_RAISED = re.compile(
    r"(?:[A-Za-z_]\w*\.)*(?P<kind>[A-Z]\w*)(?::\s*(?P<said>.*)|\(.*\))?", re.DOTALL
)
_ENDINGS = {
    "expired": _("Its message expired before a worker took it"),
    "terminated": _("It was revoked while it ran"),
    "revoked": _("It was revoked"),
}


def worker_lost(facts: Facts) -> Why:
    found = _ended(facts, Status.STOPPED)
    if found is None:
        return None
    if told := _WORKER_LOST_ERROR.match(found.error):
        said = quoted(told["said"]) or _("the worker says no more")
        return _("The process that ran it was lost"), on_worker(said, found)
    if found.error != WORKER_LOST:
        return None
    began, worker = moment(found.started_at), facts.worker
    if worker is None:
        evidence = _("began at {start}, and no end of it was heard", start=began)
    elif worker.booted_at > found.started_at:
        evidence = _(
            "began at {start}, and the worker was started anew at {time}",
            start=began,
            time=moment(worker.booted_at),
        )
    else:
        evidence = _(
            "began at {start}, and the worker was last heard at {time}",
            start=began,
            time=moment(worker.seen_at),
        )
    return _("Its worker was lost"), on_worker(evidence, found)


def not_registered(facts: Facts) -> Why:
    found, message = _ended(facts, Status.STOPPED), _unstarted(facts, Status.STOPPED)
    told = found or message
    if told is None or not _NOT_REGISTERED.match(told.error):
        return None
    time = found.started_at if found else message.at if message else None
    return _("The worker does not know the task"), _(
        "{worker} refused it at {time}: no task of this name is registered there",
        worker=named(told.worker) or _("a worker"),
        time=moment(time),
    )


def cancelled(facts: Facts) -> Why:
    found, message = _ended(facts, Status.CANCELLED), _unstarted(facts, Status.CANCELLED)
    told = found or message
    error = told.error.casefold() if told else ""
    how = next((word for word in _ENDINGS if word in error), "")
    if not how:
        return None
    if found is not None:
        evidence = _(
            "began at {start}, ended at {end}",
            start=moment(found.started_at),
            end=moment(found.finished_at),
        )
        return _ENDINGS[how], on_worker(evidence, found)
    return _ENDINGS[how], _dropped(facts, message, how) if message else ""


def _dropped(facts: Facts, message: Message, how: str) -> Text:
    parts: list[str] = []
    if message.submitted_at is not None:
        parts.append(_("sent at {time}", time=moment(message.submitted_at)))
    parts.append(_("dropped at {time}", time=moment(message.at)))
    expires = next((one.expires for one in facts.schedules if one.name == message.sender), None)
    if how == "expired" and expires is not None:
        limit = lasting(timedelta(seconds=expires))
        name = named(message.sender)
        parts.append(_("the periodic task “{name}” gives it {limit}", name=name, limit=limit))
    return joined(parts, "; ")


def raised(facts: Facts) -> Why:
    found = _ended(facts, Status.STOPPED) or _ended(facts, Status.INVALIDATED)
    error = _summary(found.error) if found else ""
    if found is None or not error:
        return None
    told = _RAISED.fullmatch(error)
    said = quoted((told["said"] or "") if told else error)
    parts: list[str] = [said] if said else []
    if found.status is Status.INVALIDATED:
        parts.append(_("it waits to be tried again"))
    parts += _before(facts)
    headline = _("It raised {kind}", kind=named(told["kind"])) if told else _("It failed")
    return headline, joined(parts or [_("it says no more")], "; ")


def _summary(error: str) -> str:
    """Return an error without the traceback that some logs put before it."""
    error = error.strip()
    return error.splitlines()[-1].strip() if error.startswith("Traceback") else error


def _before(facts: Facts) -> list[Text]:
    past = facts.past
    if past.other_error:
        return [_("another error than that of the failure before")]
    if past.first_seen is None:
        return []
    if past.same_error == 1:
        same = _("same error as the last failure")
    else:
        same = ngettext(
            "same error as the last {count} failure",
            "same error as the last {count} failures",
            past.same_error,
        )
    first = moment(past.first_seen)
    if past.was_cut:
        return [_("{same}, first seen at {time} or earlier", same=same, time=first)]
    return [_("{same}, first seen at {time}", same=same, time=first)]


def still_running(facts: Facts) -> Why:
    found = facts.running
    if found is None:
        return None
    started = moment(found.started_at)
    so_far = lasting(facts.now - found.started_at)
    parts = [_("for {time} now, since {start}", time=so_far, start=started)]
    if facts.past.usual is not None:
        parts.append(_("it usually takes {time}", time=lasting(facts.past.usual)))
    worker = facts.worker
    if worker is not None and facts.now - worker.seen_at > UNHEARD:
        parts.append(_("its worker was last heard at {time}", time=moment(worker.seen_at)))
    return _("It still runs"), on_worker(joined(parts, "; "), found)


def in_other_context(facts: Facts) -> Why:
    found, context = facts.elsewhere, facts.rule.context
    if not facts.is_missing or found is None or context is None:
        return None
    evidence = (
        _("its run of {time} ({status}) was for “{found}”, not for “{wanted}”")
        if facts.elsewhere_type
        else _("its run of {time} ({status}) was for nothing that is known, not for “{wanted}”")
    )
    return _("It ran, but in another context"), _(
        evidence,
        time=moment(found.started_at),
        status=_(found.status.value),
        found=named(facts.elsewhere_type),
        wanted=named(context.type),
    )


def _ended(facts: Facts, status: Status) -> Execution | None:
    """Return the execution that was judged, if this is its status."""
    found = facts.verdict.execution
    if facts.is_missing or found is None or found.status is not status:
        return None
    return found


def _unstarted(facts: Facts, status: Status) -> Message | None:
    sent = facts.sent
    return sent if sent is not None and sent.status is status else None
