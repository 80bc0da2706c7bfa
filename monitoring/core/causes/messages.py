"""Causes that lie with the message of a task, which waits for a worker."""

from __future__ import annotations

from monitoring.core.causes.facts import Facts, Message
from monitoring.core.causes.wording import Why, moment, named
from monitoring.core.statuses import Status
from monitoring.core.wording import Text, joined, ngettext
from monitoring.core.wording import Text as _


def not_consumed(facts: Facts) -> Why:
    """Nobody is heard who takes tasks from the queue, and nothing else shows that somebody does."""
    message, queue = _waits(facts), facts.queue
    if message is None or message.status is not Status.PENDING or not message.queue:
        return None
    if queue is None or not queue.workers_known or queue.running:
        return None
    if any(one.is_at_work(facts.now) for one in queue.listeners):
        return None
    if queue.listeners:
        last = max(queue.listeners, key=lambda one: one.last_at_work)
        silence = _(
            "the last that takes tasks from there was heard at {time} ({worker})",
            time=moment(last.last_at_work),
            worker=named(last.node),
        )
    elif queue.workers_known == 1:
        silence = _("the only worker heard of takes no tasks from there")
    else:
        silence = ngettext(
            "the {count} worker heard of takes no tasks from there",
            "the {count} workers heard of take no tasks from there",
            queue.workers_known,
        )
    return _("No worker is heard that consumes its queue"), joined((_sent(message), silence), "; ")


def queued(facts: Facts) -> Why:
    message = _waits(facts)
    if message is None:
        return None
    parts = [_sent(message)]
    if message.status is Status.QUEUED and message.worker:
        parts.append(_holder(facts, message))
    if message.queue and message.ahead:
        parts.append(
            ngettext(
                "behind {count} other that waits",
                "behind {count} others that wait",
                message.ahead,
            )
        )
    running = facts.queue.running if facts.queue else 0
    if running:
        parts.append(
            ngettext(
                "{count} execution of this queue runs",
                "{count} executions of this queue run",
                running,
            )
        )
    return _("It waits in the queue"), joined(parts, "; ")


def _holder(facts: Facts, message: Message) -> Text:
    worker = named(message.worker)
    known = facts.queue.listeners if facts.queue else ()
    holder = next((one for one in known if one.node == message.worker), None)
    if holder is None or holder.is_at_work(facts.now):
        return _("{worker} holds it", worker=worker)
    time = moment(holder.last_at_work)
    return _("{worker} holds it, and was last heard at {time}", worker=worker, time=time)


def _waits(facts: Facts) -> Message | None:
    sent = facts.sent
    return sent if sent is not None and sent.waits else None


def _sent(message: Message) -> Text:
    time = moment(message.submitted_at)
    if not message.queue:
        return _("sent at {time}", time=time)
    return _("sent at {time} to “{queue}”", time=time, queue=named(message.queue))
