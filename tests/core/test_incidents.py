"""What an alert event goes through: the event table, row by row, and whole lives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition
from hypothesis.stateful import rule as transition

from monitoring.core.incidents import (
    TRANSITIONS,
    Action,
    MessageKind,
    OpenEvent,
    State,
    Step,
    step,
)
from monitoring.core.values import FAILING, Rule, Verdict, VerdictKind
from tests.core import strategies
from tests.core.building import NOW, ago, json_rule, stored_rule, verdict

OK = verdict(VerdictKind.OK)
WRONG = verdict(VerdictKind.STATUS_MISMATCH)
MISSING = verdict(VerdictKind.NO_EXECUTION)
OVERRUNNING = verdict(VerdictKind.OVERRUNNING)
UNKNOWN = verdict(VerdictKind.UNKNOWN)
YOUNG = verdict(VerdictKind.UNKNOWN, young_log=True)
IN_PROGRESS = verdict(VerdictKind.IN_PROGRESS)

FAILING_VERDICTS = pytest.mark.parametrize(
    "failing", [WRONG, MISSING, OVERRUNNING], ids=lambda one: one.kind
)
UNDECIDED_VERDICTS = pytest.mark.parametrize(
    "undecided",
    [UNKNOWN, YOUNG, IN_PROGRESS],
    ids=["unknown", "young log", "in progress"],
)


def opened(kind: VerdictKind = VerdictKind.STATUS_MISMATCH, **fields: Any) -> OpenEvent:
    """Return an event that was opened, and told of, an hour ago."""
    values: dict[str, Any] = {"verdict": kind, "failing_checks": 1, "last_message_at": ago(hours=1)}
    return OpenEvent(**(values | fields))


def state(event: OpenEvent | None = None, **fields: Any) -> State:
    values: dict[str, Any] = {"failing_checks": event.failing_checks if event else 0}
    return State(open_event=event, **(values | fields))


# The table


@dataclass(frozen=True, kw_only=True)
class Row:
    """One situation and what the design says of it."""

    name: str
    before: State
    verdict: Verdict
    rule: Rule = field(default_factory=stored_rule)
    action: Action
    owed: MessageKind | None = None
    failing_checks: int


TABLE = [
    Row(
        name="cannot judge, nothing open",
        before=state(failing_checks=2),
        verdict=UNKNOWN,
        action=Action.NONE,
        failing_checks=2,
    ),
    Row(name="fine", before=state(), verdict=OK, action=Action.NONE, failing_checks=0),
    Row(
        name="failing below the threshold",
        before=state(failing_checks=1),
        verdict=WRONG,
        rule=stored_rule(alert_after=3),
        action=Action.NONE,
        failing_checks=2,
    ),
    Row(
        name="failing at the threshold",
        before=state(failing_checks=2),
        verdict=WRONG,
        rule=stored_rule(alert_after=3),
        action=Action.OPEN,
        owed=MessageKind.ALERT,
        failing_checks=3,
    ),
    Row(
        name="cannot judge, event stays",
        before=state(opened(failing_checks=4)),
        verdict=UNKNOWN,
        action=Action.NONE,
        failing_checks=4,
    ),
    Row(
        name="recovered",
        before=state(opened(failing_checks=4)),
        verdict=OK,
        action=Action.RESOLVE,
        owed=MessageKind.RECOVERY,
        failing_checks=0,
    ),
    Row(
        name="recovered quietly",
        before=state(opened(failing_checks=4)),
        verdict=OK,
        rule=stored_rule(notify_on_recovery=False),
        action=Action.RESOLVE,
        failing_checks=0,
    ),
    Row(
        name="verdict changed",
        before=state(opened(VerdictKind.NO_EXECUTION)),
        verdict=WRONG,
        action=Action.UPDATE,
        owed=MessageKind.ALERT,
        failing_checks=2,
    ),
    Row(
        name="alert still owed",
        before=state(opened(alert_owed=True)),
        verdict=WRONG,
        action=Action.UPDATE,
        owed=MessageKind.ALERT,
        failing_checks=2,
    ),
    Row(
        name="alert held",
        before=state(opened(alert_owed=True)),
        verdict=WRONG,
        rule=stored_rule(snoozed_until=NOW + timedelta(hours=1), remind_hours=0),
        action=Action.UPDATE,
        failing_checks=2,
    ),
    Row(
        name="reminder due",
        before=state(opened()),
        verdict=WRONG,
        rule=stored_rule(remind_hours=1),
        action=Action.UPDATE,
        owed=MessageKind.REMINDER,
        failing_checks=2,
    ),
    Row(
        name="acknowledgement ended",
        before=state(
            opened(is_acknowledged=True, acknowledged_until=ago(minutes=1)),
        ),
        verdict=WRONG,
        action=Action.UPDATE,
        owed=MessageKind.REMINDER,
        failing_checks=2,
    ),
    Row(
        name="still failing",
        before=state(opened()),
        verdict=WRONG,
        action=Action.UPDATE,
        failing_checks=2,
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_situation_is_decided_by_its_row(row: Row) -> None:
    after = step(row.rule, row.before, row.verdict, NOW)

    assert (after.reason, after.action, after.owed, after.failing_checks) == (
        row.name,
        row.action,
        row.owed,
        row.failing_checks,
    )


def test_every_row_of_the_transitions_is_tested_once_and_in_order() -> None:
    assert [row.name for row in TABLE] == [row.name for row in TRANSITIONS]


events = st.builds(
    OpenEvent,
    verdict=st.sampled_from(sorted(FAILING)),
    failing_checks=st.integers(1, 5),
    last_message_at=st.none() | strategies.moments,
    alert_owed=st.booleans(),
    opened_at=st.none() | strategies.moments,
    is_acknowledged=st.booleans(),
    acknowledged_until=st.none() | strategies.moments,
)
states = st.builds(
    State,
    failing_checks=st.integers(0, 5),
    unknown_checks=st.integers(0, 5),
    open_event=st.none() | events,
)


@given(strategies.rules, states, strategies.verdicts)
def test_the_transitions_cover_every_situation(some: Rule, before: State, found: Verdict) -> None:
    after = step(some, before, found, NOW)

    assert after == step(some, before, found, NOW)
    row = next(row for row in TRANSITIONS if row.name == after.reason)
    assert (row.is_open, row.action, row.owed) == (
        before.open_event is not None,
        after.action,
        after.owed,
    )


@given(strategies.rules, states, strategies.verdicts)
def test_a_step_never_contradicts_itself(some: Rule, before: State, found: Verdict) -> None:
    after = step(some, before, found, NOW)

    assert (after.action is Action.RESOLVE) == (
        before.open_event is not None and found.kind is VerdictKind.OK
    )
    assert (after.action is Action.OPEN) <= (before.open_event is None and found.is_failing)
    assert (after.owed is not None) <= (after.action is not Action.NONE)
    assert (after.owed is MessageKind.RECOVERY) <= (after.action is Action.RESOLVE)
    assert (after.suppressed_by != "") <= (after.owed is not None)
    assert (after.suppressed_by != "snooze") or some.is_snoozed(NOW)
    assert after.tell_cannot_check <= (found.kind is VerdictKind.UNKNOWN)
    assert after.tell_cannot_check <= (after.owed is None and not some.is_snoozed(NOW))


# Opening


@FAILING_VERDICTS
def test_the_first_failing_check_opens_an_event_by_default(failing: Verdict) -> None:
    after = step(stored_rule(), state(), failing, NOW)

    assert after == Step(
        action=Action.OPEN,
        owed=MessageKind.ALERT,
        reason="failing at the threshold",
        failing_checks=1,
        unknown_checks=0,
    )


@pytest.mark.parametrize(
    ("before", "action"),
    [(0, Action.NONE), (1, Action.NONE), (2, Action.OPEN), (9, Action.OPEN)],
    ids=["first", "second", "third", "tenth, after the threshold was lowered"],
)
def test_an_event_opens_at_the_third_failing_check_in_a_row(before: int, action: Action) -> None:
    after = step(stored_rule(alert_after=3), state(failing_checks=before), WRONG, NOW)

    assert after.action is action


def test_failing_in_different_ways_is_still_failing_in_a_row() -> None:
    before = state(verdict=VerdictKind.NO_EXECUTION, failing_checks=1)

    assert step(stored_rule(alert_after=2), before, WRONG, NOW).action is Action.OPEN


def test_an_ok_starts_the_count_anew() -> None:
    assert step(stored_rule(alert_after=3), state(failing_checks=2), OK, NOW).failing_checks == 0


@UNDECIDED_VERDICTS
def test_a_check_that_cannot_judge_does_not_interrupt_the_row(undecided: Verdict) -> None:
    after = step(stored_rule(alert_after=3), state(failing_checks=2), undecided, NOW)

    assert (after.action, after.owed, after.failing_checks) == (Action.NONE, None, 2)


# While it fails


@pytest.mark.parametrize(
    ("remind_hours", "since_last", "is_due"),
    [
        (None, timedelta(days=365), False),
        (0, timedelta(0), True),
        (0, timedelta(minutes=5), True),
        (24, timedelta(hours=24, microseconds=-1), False),
        (24, timedelta(hours=24), True),
        (24, timedelta(hours=25), True),
        (0.5, timedelta(minutes=30), True),
    ],
    ids=[
        "never, after a year",
        "every check, at once",
        "every check, after 5 min",
        "daily, a microsecond early",
        "daily, on the dot",
        "daily, late",
        "half-hourly, after 30 min",
    ],
)
def test_a_reminder_is_due_when_its_hours_have_passed_since_the_last_message(
    remind_hours: float | None, since_last: timedelta, is_due: bool
) -> None:
    before = state(opened(last_message_at=NOW - since_last))

    after = step(stored_rule(remind_hours=remind_hours), before, WRONG, NOW)

    assert (after.owed is MessageKind.REMINDER) is is_due


def test_a_reminder_is_due_at_once_if_no_message_was_ever_owed() -> None:
    before = state(opened(last_message_at=None))

    assert step(stored_rule(remind_hours=24), before, WRONG, NOW).owed is MessageKind.REMINDER


def test_without_reminders_a_failing_check_is_only_counted() -> None:
    after = step(stored_rule(), state(opened(failing_checks=7)), WRONG, NOW)

    assert after == Step(
        action=Action.UPDATE,
        owed=None,
        reason="still failing",
        failing_checks=8,
        unknown_checks=0,
    )


@pytest.mark.parametrize("remind_hours", [None, 0, 24], ids=["never", "every check", "daily"])
def test_another_verdict_is_another_alert_whatever_the_reminders(
    remind_hours: float | None,
) -> None:
    before = state(opened(VerdictKind.NO_EXECUTION))

    after = step(stored_rule(remind_hours=remind_hours), before, OVERRUNNING, NOW)

    assert (after.action, after.owed) == (Action.UPDATE, MessageKind.ALERT)


def test_another_verdict_does_not_wait_for_the_threshold_again() -> None:
    before = state(opened(VerdictKind.NO_EXECUTION))

    assert step(stored_rule(alert_after=9), before, WRONG, NOW).owed is MessageKind.ALERT


@pytest.mark.parametrize("alert_owed", [False, True], ids=["told", "alert owed"])
@UNDECIDED_VERDICTS
def test_a_check_that_cannot_judge_leaves_an_open_event_untouched(
    undecided: Verdict, alert_owed: bool
) -> None:
    before = state(opened(failing_checks=4, alert_owed=alert_owed))

    after = step(stored_rule(remind_hours=0), before, undecided, NOW)

    assert (after.action, after.owed, after.failing_checks) == (Action.NONE, None, 4)


# Recovery


@FAILING_VERDICTS
def test_an_ok_resolves_the_event_and_says_so(failing: Verdict) -> None:
    after = step(stored_rule(), state(opened(failing.kind, failing_checks=4)), OK, NOW)

    assert after == Step(
        action=Action.RESOLVE,
        owed=MessageKind.RECOVERY,
        reason="recovered",
        failing_checks=0,
        unknown_checks=0,
    )


def test_a_rule_may_recover_without_a_message() -> None:
    after = step(stored_rule(notify_on_recovery=False), state(opened()), OK, NOW)

    assert (after.action, after.owed) == (Action.RESOLVE, None)


def test_an_ok_resolves_an_event_whose_alert_reached_nobody() -> None:
    after = step(stored_rule(), state(opened(alert_owed=True)), OK, NOW)

    assert after.action is Action.RESOLVE


# JSON arguments, as documented


@FAILING_VERDICTS
def test_json_arguments_owe_a_message_at_the_first_failing_check(failing: Verdict) -> None:
    assert step(json_rule(), state(), failing, NOW).owed is MessageKind.ALERT


@pytest.mark.parametrize("since_last", [timedelta(0), timedelta(minutes=5)], ids=str)
def test_json_arguments_owe_a_message_at_every_further_failing_check(
    since_last: timedelta,
) -> None:
    before = state(opened(last_message_at=NOW - since_last))

    assert step(json_rule(), before, WRONG, NOW).owed is MessageKind.REMINDER


def test_json_arguments_recover_without_a_message() -> None:
    after = step(json_rule(), state(opened()), OK, NOW)

    assert (after.action, after.owed) == (Action.RESOLVE, None)


# Snooze


SNOOZED = NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("before", "found", "remind_hours", "owed"),
    [
        (state(), WRONG, None, MessageKind.ALERT),
        (state(opened(VerdictKind.NO_EXECUTION)), WRONG, None, MessageKind.ALERT),
        (state(opened()), WRONG, 0, MessageKind.REMINDER),
        (state(opened()), OK, None, MessageKind.RECOVERY),
    ],
    ids=["first alert", "changed verdict", "reminder", "recovery"],
)
def test_a_snooze_silences_every_message_and_no_record(
    before: State, found: Verdict, remind_hours: float | None, owed: MessageKind
) -> None:
    awake = stored_rule(remind_hours=remind_hours)

    heard = step(awake, before, found, NOW)
    silenced = step(replace(awake, snoozed_until=SNOOZED), before, found, NOW)

    assert heard.owed is owed
    assert silenced == replace(heard, suppressed_by="snooze")


@pytest.mark.parametrize(
    ("until", "suppressed_by"),
    [(NOW + timedelta(microseconds=1), "snooze"), (NOW, ""), (ago(days=1), "")],
    ids=["still snoozed", "ends right now", "ended"],
)
def test_a_snooze_ends_at_its_instant(until: datetime, suppressed_by: str) -> None:
    after = step(stored_rule(snoozed_until=until), state(), WRONG, NOW)

    assert after.suppressed_by == suppressed_by


def test_an_alert_suppressed_by_a_snooze_goes_out_at_the_first_failing_check_after_it() -> None:
    snoozed = stored_rule(snoozed_until=NOW)
    before = state(opened(alert_owed=True))

    during = step(snoozed, before, WRONG, ago(minutes=5))
    after = step(snoozed, before, WRONG, NOW)

    assert (during.reason, during.owed) == ("alert held", None)
    assert (after.reason, after.owed, after.suppressed_by) == (
        "alert still owed",
        MessageKind.ALERT,
        "",
    )


def test_an_alert_held_by_a_snooze_is_not_replaced_by_a_reminder() -> None:
    before = state(opened(alert_owed=True, last_message_at=ago(days=2)))
    snoozed = stored_rule(remind_hours=1, snoozed_until=SNOOZED)

    assert step(snoozed, before, WRONG, NOW).owed is None


def test_an_alert_that_found_no_recipient_is_owed_at_every_check() -> None:
    before = state(opened(alert_owed=True, last_message_at=NOW))

    after = step(stored_rule(), before, WRONG, NOW)

    assert (after.owed, after.suppressed_by) == (MessageKind.ALERT, "")


# Acknowledgement


@pytest.mark.parametrize(
    ("before", "found", "owed"),
    [
        (
            opened(VerdictKind.NO_EXECUTION, is_acknowledged=True),
            WRONG,
            MessageKind.ALERT,
        ),
        (opened(is_acknowledged=True, alert_owed=True), WRONG, MessageKind.ALERT),
        (opened(is_acknowledged=True), WRONG, MessageKind.REMINDER),
    ],
    ids=["changed verdict", "alert owed", "reminder"],
)
def test_an_acknowledgement_silences_alerts_and_reminders(
    before: OpenEvent, found: Verdict, owed: MessageKind
) -> None:
    after = step(stored_rule(remind_hours=0), state(before), found, NOW)

    assert (after.owed, after.suppressed_by) == (owed, "acknowledgement")


def test_an_acknowledgement_does_not_silence_the_recovery() -> None:
    after = step(stored_rule(), state(opened(is_acknowledged=True)), OK, NOW)

    assert (after.owed, after.suppressed_by) == (MessageKind.RECOVERY, "")


def test_a_snooze_silences_the_recovery_of_an_acknowledged_event_too() -> None:
    after = step(stored_rule(snoozed_until=SNOOZED), state(opened(is_acknowledged=True)), OK, NOW)

    assert (after.owed, after.suppressed_by) == (MessageKind.RECOVERY, "snooze")


# Rules that cannot be judged


def told(rule_: Rule, found: Iterable[Verdict], every: timedelta = timedelta()) -> list[bool]:
    """Return at which of some checks the owners are told that the rule cannot be checked."""
    remembered, answers = state(), []
    for number, one in enumerate(found):
        after = step(rule_, remembered, one, NOW + every * number)
        remembered = state(unknown_checks=after.unknown_checks, failing_checks=after.failing_checks)
        answers.append(after.tell_cannot_check)
    return answers


def test_owners_are_told_once_at_the_third_check_in_a_row_that_cannot_judge() -> None:
    assert told(stored_rule(), [UNKNOWN] * 6) == [False, False, True, False, False, False]


@pytest.mark.parametrize(
    "between", [OK, WRONG, IN_PROGRESS, YOUNG], ids=["ok", "failing", "in progress", "young log"]
)
def test_any_other_verdict_starts_the_count_of_such_checks_anew(between: Verdict) -> None:
    found = [UNKNOWN, UNKNOWN, between, UNKNOWN, UNKNOWN, UNKNOWN]

    assert told(stored_rule(), found) == [False] * 5 + [True]


def test_owners_are_told_again_when_it_happens_again() -> None:
    found = [UNKNOWN] * 4 + [OK] + [UNKNOWN] * 3

    assert told(stored_rule(), found) == [False, False, True, *[False] * 4, True]


def test_a_young_log_is_never_told() -> None:
    assert not any(told(stored_rule(), [YOUNG] * 10))


def test_json_arguments_are_told_by_the_error_of_the_check_instead() -> None:
    assert not any(told(json_rule(), [UNKNOWN] * 10))


def test_a_snooze_puts_the_telling_off_until_the_first_check_after_it() -> None:
    snoozed = stored_rule(snoozed_until=NOW + timedelta(minutes=25))

    assert told(snoozed, [UNKNOWN] * 8, every=timedelta(minutes=5)) == [
        *[False] * 5,
        True,
        False,
        False,
    ]


def test_a_snooze_does_not_make_owners_be_told_twice() -> None:
    snoozed = stored_rule(snoozed_until=NOW + timedelta(minutes=25))
    before = state(unknown_checks=3)

    during = step(snoozed, before, UNKNOWN, NOW)
    after = step(
        snoozed, state(unknown_checks=during.unknown_checks), UNKNOWN, NOW + timedelta(days=1)
    )

    assert not during.tell_cannot_check
    assert not after.tell_cannot_check


# Whole lives


@dataclass
class Message:
    kind: MessageKind
    at: datetime
    suppressed_by: str


@dataclass
class Life:
    """One rule from check to check; remembers as `monitoring/alerting.py` does."""

    rule: Rule
    has_recipient: bool = True
    state: State = field(default_factory=State)
    events: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    """When each event was opened and resolved."""
    owed: list[Message] = field(default_factory=list)

    def check(self, found: Verdict, now: datetime) -> Step:
        after = step(self.rule, self.state, found, now)
        event = self.state.open_event
        if after.owed is not None:
            self.owed.append(Message(after.owed, now, after.suppressed_by))
        if after.action is Action.OPEN:
            assert event is None, "a second event was opened"
            self.events.append((now, None))
            event = OpenEvent(verdict=found.kind, failing_checks=0)
        if after.action is Action.RESOLVE:
            self.events[-1] = (self.events[-1][0], now)
            event = None
        if event is not None and after.action is not Action.NONE:
            event = self._updated(event, found, after, now)
        self.state = State(
            verdict=found.kind,
            failing_checks=after.failing_checks,
            unknown_checks=after.unknown_checks,
            open_event=event,
        )
        return after

    def _updated(self, event: OpenEvent, found: Verdict, after: Step, now: datetime) -> OpenEvent:
        alert_owed = event.alert_owed
        if after.owed is MessageKind.ALERT:
            alert_owed = not self.has_recipient or after.suppressed_by == "snooze"
        return replace(
            event,
            verdict=found.kind,
            failing_checks=after.failing_checks,
            last_message_at=event.last_message_at if after.owed is None else now,
            alert_owed=alert_owed,
        )

    @property
    def is_open(self) -> bool:
        return self.state.open_event is not None


def messages(
    rule_: Rule, found: Iterable[Verdict], every: timedelta = timedelta(hours=1)
) -> list[str]:
    """Return what each of some checks sends, `(kind)` for what a silence suppresses."""
    life = Life(rule_)
    said = []
    for number, one in enumerate(found):
        after = life.check(one, NOW + every * number)
        text = after.owed.value if after.owed else ""
        said.append(f"({text})" if after.suppressed_by else text)
    return said


def test_a_stored_rule_says_once_that_it_fails_and_once_that_it_recovers() -> None:
    assert messages(stored_rule(), [OK, WRONG, WRONG, UNKNOWN, WRONG, OK, OK, MISSING]) == [
        "",
        "alert",
        "",
        "",
        "",
        "recovery",
        "",
        "alert",
    ]


def test_json_arguments_send_a_message_at_every_failing_check_and_none_else() -> None:
    assert messages(json_rule(), [WRONG, WRONG, MISSING, MISSING, OK, WRONG]) == [
        "alert",
        "reminder",
        "alert",
        "reminder",
        "",
        "alert",
    ]


def test_reminders_come_at_their_interval_counted_from_any_message() -> None:
    found = [WRONG] * 4 + [MISSING] * 4

    assert messages(stored_rule(remind_hours=3), found) == [
        "alert",
        "",
        "",
        "reminder",
        "alert",
        "",
        "",
        "reminder",
    ]


def test_a_flapping_task_below_the_threshold_says_nothing() -> None:
    assert messages(stored_rule(alert_after=2), [WRONG, OK] * 5) == [""] * 10


def test_a_snoozed_incident_is_told_after_the_snooze() -> None:
    snoozed = stored_rule(snoozed_until=NOW + timedelta(hours=2, minutes=30))

    assert messages(snoozed, [WRONG] * 5) == ["(alert)", "", "", "alert", ""]


def test_an_incident_that_changes_during_a_snooze_is_told_once_after_it() -> None:
    snoozed = stored_rule(snoozed_until=NOW + timedelta(hours=2, minutes=30))

    assert messages(snoozed, [WRONG, MISSING, MISSING, MISSING, MISSING]) == [
        "(alert)",
        "(alert)",
        "",
        "alert",
        "",
    ]


def test_an_incident_that_ends_during_a_snooze_is_never_heard_of() -> None:
    snoozed = stored_rule(snoozed_until=NOW + timedelta(hours=2, minutes=30))

    assert messages(snoozed, [WRONG, WRONG, OK, OK]) == ["(alert)", "", "(recovery)", ""]


def test_a_snooze_that_began_after_the_alert_adds_no_alert_at_its_end() -> None:
    life = Life(stored_rule())
    life.check(WRONG, NOW)
    life.rule = replace(life.rule, snoozed_until=NOW + timedelta(hours=2))
    life.check(WRONG, NOW + timedelta(hours=1))

    assert life.check(WRONG, NOW + timedelta(hours=2)).owed is None


@given(strategies.rules, st.lists(strategies.verdicts, max_size=15))
def test_an_event_opens_only_after_enough_failing_checks_in_a_row(
    rule_: Rule, found: list[Verdict]
) -> None:
    life = Life(rule_)
    decided: list[bool] = []
    for number, one in enumerate(found):
        if one.is_failing or one.kind is VerdictKind.OK:
            decided.append(one.is_failing)
        after = life.check(one, NOW + timedelta(minutes=30) * number)
        in_a_row = next((i for i, fails in enumerate(reversed(decided)) if not fails), len(decided))
        if after.action is Action.OPEN:
            assert in_a_row == rule_.alert_after
        assert life.is_open == (in_a_row >= rule_.alert_after)


@given(st.lists(strategies.verdicts, max_size=15))
def test_json_arguments_owe_exactly_one_message_for_each_failing_check(
    found: list[Verdict],
) -> None:
    life = Life(json_rule())
    for number, one in enumerate(found):
        after = life.check(one, NOW + timedelta(minutes=5) * number)
        assert (after.owed is not None) == one.is_failing
        assert after.owed is not MessageKind.RECOVERY
        assert after.suppressed_by == ""


class RuleLife(RuleBasedStateMachine):
    """A rule that is checked, snoozed, acknowledged and left without recipients at random."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.life = Life(stored_rule())
        self.failing_in_a_row = 0
        self.heard_since_opening: list[MessageKind] = []

    @initialize(
        alert_after=st.integers(1, 3),
        remind_hours=st.sampled_from([None, 0, 1, 6]),
        notify_on_recovery=st.booleans(),
    )
    def begin(self, **fields: Any) -> None:
        self.life = Life(stored_rule(**fields))

    @transition(found=strategies.verdicts, minutes=st.integers(1, 120))
    def check(self, found: Verdict, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        was_open = self.life.is_open
        owed_before = was_open and self.life.state.open_event.alert_owed  # type: ignore[union-attr]
        is_snoozed = self.life.rule.is_snoozed(self.now)
        if found.is_failing:
            self.failing_in_a_row += 1
        elif found.kind is VerdictKind.OK:
            self.failing_in_a_row = 0

        after = self.life.check(found, self.now)

        if after.action is Action.OPEN:
            assert self.failing_in_a_row == self.life.rule.alert_after
            self.heard_since_opening = []
        if after.owed is not None and is_snoozed:
            assert after.suppressed_by == "snooze"
        if after.owed is MessageKind.RECOVERY:
            assert was_open
            assert found.kind is VerdictKind.OK
        if owed_before and found.is_failing and not is_snoozed:
            assert after.owed is MessageKind.ALERT
        if after.owed is not None and not after.suppressed_by and self.life.has_recipient:
            self.heard_since_opening.append(after.owed)

    @transition(hours=st.integers(1, 12))
    def snooze(self, hours: int) -> None:
        until = self.now + timedelta(hours=hours)
        self.life.rule = replace(self.life.rule, snoozed_until=until)

    @transition(has_recipient=st.booleans())
    def change_recipients(self, has_recipient: bool) -> None:
        self.life.has_recipient = has_recipient

    @precondition(lambda self: self.life.is_open)
    @transition()
    def acknowledge(self) -> None:
        event = self.life.state.open_event
        assert event is not None
        self.life.state = replace(self.life.state, open_event=replace(event, is_acknowledged=True))

    @invariant()
    def at_most_the_last_event_is_open(self) -> None:
        still_open = [resolved_at is None for _, resolved_at in self.life.events]
        assert not any(still_open[:-1])
        assert self.life.is_open == (still_open[-1:] == [True])

    @invariant()
    def an_event_is_open_as_long_as_it_failed_often_enough(self) -> None:
        assert self.life.is_open == (self.failing_in_a_row >= self.life.rule.alert_after)
        assert self.life.state.failing_checks == self.failing_in_a_row

    @invariant()
    def every_recovery_belongs_to_an_event_of_its_own(self) -> None:
        recoveries = [one for one in self.life.owed if one.kind is MessageKind.RECOVERY]
        resolved = [at for _, at in self.life.events if at is not None]
        assert {one.at for one in recoveries} <= set(resolved)
        assert len(recoveries) == (len(resolved) if self.life.rule.notify_on_recovery else 0)

    @invariant()
    def an_open_event_was_heard_of_or_is_owed_or_acknowledged(self) -> None:
        event = self.life.state.open_event
        if event is not None and not event.is_acknowledged:
            assert event.alert_owed or MessageKind.ALERT in self.heard_since_opening


TestRuleLife = RuleLife.TestCase
TestRuleLife.settings = settings(
    max_examples=min(50, settings.default.max_examples), stateful_step_count=20
)
