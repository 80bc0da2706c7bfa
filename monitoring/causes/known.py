"""What was read for the rules of one batch that fail, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from monitoring import contexts, periodic_tasks
from monitoring.conf import get_settings
from monitoring.core.causes.facts import (
    LONGEST_WAIT,
    NO_PAST,
    Beat,
    Due,
    Facts,
    Listener,
    Message,
    Past,
    Queue,
    Schedule,
)
from monitoring.core.findings import World
from monitoring.core.rhythm import longest_gap
from monitoring.core.statuses import FINISHED
from monitoring.core.values import Execution, Rule, Verdict, VerdictKind
from monitoring.core.workers import Heartbeat
from monitoring.models import WorkerHeartbeat
from monitoring.registry import task_names
from monitoring.schedules import Schedule as Plan
from monitoring.schedules import entries
from monitoring.tasklogs import clues
from monitoring.tasklogs.clues import Unstarted
from monitoring.tasklogs.history import recent
from monitoring.tasklogs.names import seen_names

Failing = tuple[Rule, Verdict]
MOST_STRANGERS = 20
"""Rules whose task is compared with every name that is known: more of them are hardly misspelt."""
_MOST_DUE = 50
"""Times that a task was due which are counted: of more, it does not matter how many."""


def look_at_beat(now: datetime) -> Beat | None:
    """Return what beat was last seen to do; None: nobody can tell."""
    sent_at = clues.last_sent_by_beat() if get_settings().keeps_own_log else None
    return periodic_tasks.look_at_beat(sent_at, now)


@dataclass
class Known:
    """What was read for the rules of one batch."""

    now: datetime
    failing: Sequence[Failing]
    pasts: Mapping[Any, Past] = field(default_factory=dict)
    """By primary key of the execution, as `senders`."""
    senders: Mapping[Any, str] = field(default_factory=dict)
    unstarted: Mapping[str, Unstarted] = field(default_factory=dict)
    """By task name, as `ran`."""
    ran: Mapping[str, tuple[str, Execution]] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    """Those that messages wait in, by name."""
    workers: Mapping[str, Heartbeat] = field(default_factory=dict)
    types: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By rule key: context id to the value that the rule looks at."""
    schedules: Mapping[str, Sequence[Schedule]] = field(default_factory=dict)
    """By the task they send."""
    by_name: Mapping[str, Schedule] = field(default_factory=dict)
    beat: Beat | None = None
    plans: Mapping[str, Sequence[Plan]] = field(default_factory=dict)
    """By the task they send: when those that are enabled do."""
    gaps: Mapping[str, timedelta] = field(default_factory=dict)
    """By task: the longest time between its last runs."""
    in_code: frozenset[str] = frozenset()
    scheduled: frozenset[str] = frozenset()
    strangers: Sequence[Failing] = ()
    """Rules whose task is not in the code, and was looked for elsewhere."""
    world: World | None = None

    @property
    def missing(self) -> list[Failing]:
        """Return the rules without an execution."""
        return [pair for pair in self.failing if pair[1].kind is VerdictKind.NO_EXECUTION]

    # Reading

    def read_log(self) -> None:
        """Read how executions fared before, what ran elsewhere, and what our own log tells."""
        found = (_in_question(verdict) for _, verdict in self.failing)
        # What ended without an error has nothing to be compared with.
        compared = [one for one in found if one and (one.error or one.status not in FINISHED)]
        if compared:
            self.pasts = clues.pasts(compared)
        filtered = {rule.task_name for rule, _ in self.missing if rule.context is not None}
        if filtered:
            self.ran = clues.ran(filtered, self.now)
        if get_settings().keeps_own_log:
            self._read_own_log()

    def _read_own_log(self) -> None:
        """Read what only our own log can tell: messages, queues, workers, who has sent what."""
        missing = self.missing
        if missing:
            earliest = min(rule.window_start(self.now) for rule, _ in missing)
            since = min(earliest, self.now - LONGEST_WAIT)
            self.unstarted = clues.unstarted({rule.task_name for rule, _ in missing}, since)
        last = [verdict.last_known.pk for _, verdict in missing if verdict.last_known is not None]
        if last:
            self.senders = clues.senders(last)
        waiting = [one.message for one in self.unstarted.values() if one.message.waits]
        names = {message.queue for message in waiting if message.queue}
        if names or any(_in_question(verdict) is not None for _, verdict in self.failing):
            self._read_workers(names)

    def _read_workers(self, queues: set[str]) -> None:
        rows = WorkerHeartbeat.objects.values_list("node", "queues", *Heartbeat._fields)
        workers = [
            Listener(node, Heartbeat(*heartbeat), tuple(told) if isinstance(told, list) else ())
            for node, told, *heartbeat in rows
        ]
        self.workers = {one.node: one.heartbeat for one in workers}
        running = clues.running_by_queue(queues) if queues else {}
        self.queues = {
            name: Queue(
                running=running.get(name, 0),
                listeners=tuple(one for one in workers if one.hears(name)),
                workers_known=sum(bool(one.queues) for one in workers),
            )
            for name in queues
        }

    def read_contexts(self) -> None:
        """Read which contexts other runs and messages of the tasks with a filter are for."""
        groups: dict[Any, list[Rule]] = {}
        for rule, _ in self.missing:
            if rule.context is not None:
                groups.setdefault(contexts.resolve(rule.context), []).append(rule)
        for (model, path), rules in groups.items():
            names = {rule.task_name for rule in rules}
            ids = {self.ran[name][0] for name in names & self.ran.keys()}
            ids |= {self.unstarted[name].context_id for name in names & self.unstarted.keys()}
            found = contexts.types_of(model, path, ids)
            self.types |= {rule.key: found for rule in rules}

    def read_schedules(self, beat_asks: bool) -> None:
        """Read what beat should have sent, and what it was last seen to send."""
        names = {rule.task_name for rule, _ in self.missing}
        messages = {one.message.sender for one in self.unstarted.values()}
        found = periodic_tasks.schedules_of(names, {*self.senders.values(), *messages} - {""})
        by_task: dict[str, list[Schedule]] = {}
        for one in found:
            by_task.setdefault(one.task_name, []).append(one)
        self.schedules, self.by_name = by_task, {one.name: one for one in found}
        if not beat_asks and any(one.sends(one.task_name, self.now) for one in found):
            self.beat = look_at_beat(self.now)
        if self.beat is None or not self.beat.is_silent(self.now):
            self._read_plans()

    def _read_plans(self) -> None:
        """Read when the tasks are due of which nothing is known but that they ran before."""
        ran = {rule.task_name for rule, verdict in self.missing if verdict.last_known is not None}
        ran -= {name for name, one in self.unstarted.items() if one.message.waits}
        scheduled = {name for name in ran if any(one.is_enabled for one in self._of(name))}
        plans: dict[str, list[Plan]] = {}
        if scheduled:
            for entry in entries(self.now, scheduled):
                plans.setdefault(entry.task, []).append(entry.schedule)
        self.plans = plans

    @property
    def free(self) -> set[str]:
        """Return the tasks that ran before, and that no periodic task sends, disabled or not."""
        ran = {rule.task_name for rule, verdict in self.missing if verdict.last_known is not None}
        return ran - self.schedules.keys()

    def read_gaps(self) -> None:
        """Read how regularly the tasks ran that beat does not send."""
        found = recent(sorted(self.free)[: clues.MOST_PASTS], clues.PAST)
        gaps = {name: longest_gap([one.started_at for one in runs]) for name, runs in found.items()}
        self.gaps = {name: gap for name, gap in gaps.items() if gap is not None}

    def left_no_trace(self, unexplained: Sequence[Failing]) -> list[Failing]:
        """Return the rules of whose task nothing was found in the log and in beat's tables."""
        return [
            (rule, verdict)
            for rule, verdict in unexplained
            if verdict.kind is VerdictKind.NO_EXECUTION
            and verdict.last_known is None
            and rule.task_name not in self.unstarted
            and not self._of(rule.task_name)
        ]

    def read_scheduled(self, traceless: Sequence[Failing]) -> None:
        """Read which tasks beat sends, if some of these tasks are not in the code either."""
        self.in_code = frozenset(task_names())
        strange = (pair for pair in traceless if pair[0].task_name not in self.in_code)
        strangers = list(islice(strange, MOST_STRANGERS))
        if strangers:
            self.scheduled = periodic_tasks.enabled_tasks()
            self.strangers = strangers

    def read_names(self) -> None:
        """Read which tasks the log knows."""
        self.world = World(
            now=self.now,
            in_code=self.in_code,
            scheduled=self.scheduled,
            seen=frozenset(seen_names()),
        )

    # Telling

    def facts(self, rule: Rule, verdict: Verdict) -> Facts:
        """Return what is known of one rule."""
        found, last = _in_question(verdict), verdict.last_known
        message = self._message(rule)
        sender = self.senders.get(last.pk) if last is not None else None
        elsewhere, elsewhere_type = self._elsewhere(rule)
        return Facts(
            now=self.now,
            rule=rule,
            verdict=verdict,
            sender=sender,
            schedules=self._schedules(rule, sender, message),
            beat=self.beat,
            due=self._due(rule, last),
            longest_gap=self.gaps.get(rule.task_name),
            message=message,
            queue=self.queues.get(message.queue) if message is not None else None,
            elsewhere=elsewhere,
            elsewhere_type=elsewhere_type,
            worker=self.workers.get(found.worker) if found is not None else None,
            world=self.world,
            past=self.pasts.get(found.pk, NO_PAST) if found is not None else NO_PAST,
        )

    def _of(self, task_name: str) -> Sequence[Schedule]:
        return self.schedules.get(task_name, ())

    def _due(self, rule: Rule, last: Execution | None) -> Due | None:
        """Return when the task was due since its last run; None: nobody can tell."""
        plans = self.plans.get(rule.task_name)
        if last is None or not plans:
            return None
        if any(one.has_changed_since(last.started_at) for one in self._of(rule.task_name)):
            return None
        return periodic_tasks.due_since(plans, last.started_at, self.now, _MOST_DUE)

    def _schedules(
        self, rule: Rule, sender: str | None, message: Message | None
    ) -> tuple[Schedule, ...]:
        named = (self.by_name.get(name) for name in (sender, message and message.sender) if name)
        ours = [*self._of(rule.task_name), *(one for one in named if one is not None)]
        return tuple(dict.fromkeys(ours))

    def _message(self, rule: Rule) -> Message | None:
        """Return the newest message of the task, if it is for the context that the rule watches."""
        found = self.unstarted.get(rule.task_name)
        if found is None or not self._is_of(rule, found.context_id):
            return None
        return found.message

    def _elsewhere(self, rule: Rule) -> tuple[Execution | None, str]:
        """Return what ran in the window for another context, and which one."""
        context_id, found = self.ran.get(rule.task_name, ("", None))
        types = self.types.get(rule.key)
        # Where the contexts could not be read, nothing is known to be of another one.
        if rule.context is None or found is None or types is None:
            return None, ""
        if found.started_at < rule.window_start(self.now) or self._is_of(rule, context_id):
            return None, ""
        return found, types.get(context_id, "")

    def _is_of(self, rule: Rule, context_id: str) -> bool:
        types = self.types.get(rule.key, {})
        return rule.context is None or types.get(context_id) == rule.context.type


def _in_question(verdict: Verdict) -> Execution | None:
    """Return the execution that failed or still runs."""
    return verdict.still_running or verdict.execution
