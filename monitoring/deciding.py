"""What one check decides about a batch of rules: verdicts, then steps, then who is owed what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from monitoring import alerting, beat, dependents, judging, rule_states
from monitoring.alerting import Decision, Outcome, StateRow
from monitoring.beat import TakeStates
from monitoring.conf import get_settings
from monitoring.core.incidents import step
from monitoring.core.inhibition import Upstreams
from monitoring.core.keys import BEAT
from monitoring.core.values import Rule, Verdict, VerdictKind
from monitoring.models import AlertEvent
from monitoring.people import superuser_addresses
from monitoring.rule_rows import Batch
from monitoring.runs import Begun


class Deciding:
    """What all batches of one check are decided by."""

    def __init__(
        self,
        now: datetime,
        recording_since: datetime | None,
        begun: Begun | None = None,
        *,
        beat_asks: bool = False,
    ) -> None:
        self.now = now
        self.begun, self.beat_asks = begun, beat_asks
        self.recording_since = recording_since
        self._told_of_beat = False

    def decide(self, batch: Batch, take_states: TakeStates) -> Outcome:
        """Judge a batch; only the rules that are not simply fine, as before, need a decision.

        take_states: reads, and locks if it is meant to be written, the states of those.
        """
        now = self.now
        noted = rule_states.read_unsettled([*batch.rules, beat.WATCH], now)
        beat_state = noted.pop(BEAT, None)
        unsettled = {key for key, state in noted.items() if not state.is_fine}
        verdicts = judging.judge_batch(batch, now, self.recording_since, always=unsettled)
        unsettled |= {key for key, found in verdicts.items() if found.kind is not VerdictKind.OK}
        rest = [rule for rule in batch.rules if rule.key in unsettled]
        states = take_states(rest)
        verdicts |= judging.describe(rest, verdicts)
        events = rule_states.open_events(rest)
        upstreams = _upstreams(rest, verdicts, events)
        decisions = [
            _decision(rule, verdicts[rule.key], states[rule.key], events, upstreams, now)
            for rule in rest
        ]
        if self.begun is not None:
            for one in decisions:
                one.not_checked_from = self.begun.run.not_checked_from
        alerting.explain(decisions, now, beat_asks=self.beat_asks)
        about_beat = beat.watch(
            decisions, beat_state, take_states, now, asks=self.beat_asks, begun=self.begun
        )
        # What is not written is found again by every batch.
        if self.begun is not None or not self._told_of_beat:
            decisions += about_beat
        self._told_of_beat |= bool(about_beat)
        needs_people = any(one.step.owed or one.step.tell_cannot_check for one in decisions)
        superusers = superuser_addresses() if needs_people else ()
        owed = alerting.owed_messages(decisions, now, superusers)
        return Outcome(
            settled=batch.fine + len(batch.rules) - len(rest),
            stale=[
                *batch.stale,
                *(state.pk for key, state in noted.items() if state.pk and key not in unsettled),
            ],
            decisions=decisions,
            owed=owed,
        )


def _upstreams(
    rules: Sequence[Rule], verdicts: dict[str, Verdict], events: dict[str, AlertEvent]
) -> Upstreams | None:
    """Return what may hold alerts; None if the setting or the check has no use for it."""
    if not get_settings().INHIBIT_DEPENDENTS:
        return None
    might_tell = any(
        rule.is_stored
        and verdicts[rule.key].is_failing
        and (rule.key not in events or events[rule.key].alert_owed)
        for rule in rules
    )
    return Upstreams(dependents.read_upstreams()) if might_tell else None


def _decision(
    rule: Rule,
    verdict: Verdict,
    state: StateRow,
    events: dict[str, AlertEvent],
    upstreams: Upstreams | None,
    now: datetime,
) -> Decision:
    event = events.get(rule.key)
    upstream = upstreams.of(rule.task_name) if upstreams and rule.is_stored else None
    return Decision(
        rule=rule,
        verdict=verdict,
        state=state,
        event=event,
        step=step(rule, alerting.read_state(state, event), verdict, now, upstream),
    )
