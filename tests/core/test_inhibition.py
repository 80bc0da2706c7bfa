"""Which failing task holds the alert of another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.inhibition import Upstream, Upstreams
from tests.core.building import ago


def fails(
    task_name: str, *dependents: str, told: bool = True, event_id: int = 1, minutes: int = 10
) -> Upstream:
    return Upstream(
        event_id=event_id,
        task_name=task_name,
        dependents=frozenset(dependents),
        has_told=told,
        since=ago(minutes=minutes),
    )


def upstream_of(task_name: str, *events: Upstream) -> str | None:
    found = Upstreams(events).of(task_name)
    return found.task_name if found else None


def test_a_task_is_held_by_one_that_it_depends_on() -> None:
    assert upstream_of("report", fails("import", "report")) == "import"


def test_a_task_that_nobody_names_is_held_by_nobody() -> None:
    assert upstream_of("report", fails("import", "export")) is None


def test_one_that_has_told_nobody_holds_nobody() -> None:
    assert upstream_of("report", fails("import", "report", told=False)) is None


def test_a_chain_holds_through_what_is_held_itself() -> None:
    chain = [fails("fetch", "import"), fails("import", "report", told=False)]

    assert upstream_of("report", *chain) == "fetch"


def test_the_nearest_is_named() -> None:
    chain = [fails("fetch", "import"), fails("import", "report")]

    assert upstream_of("report", *chain) == "import"


def test_of_several_the_one_that_failed_first_is_named() -> None:
    both = [fails("late", "report", minutes=5), fails("early", "report", minutes=50)]

    assert upstream_of("report", *both) == "early"


def test_a_task_does_not_hold_itself() -> None:
    assert upstream_of("report", fails("report", "report")) is None


def test_two_that_depend_on_each_other_hold_each_other_only_if_one_has_told() -> None:
    quiet = [fails("a", "b", told=False), fails("b", "a", told=False)]
    loud = [fails("a", "b"), fails("b", "a", told=False)]

    assert (upstream_of("a", *quiet), upstream_of("b", *quiet)) == (None, None)
    assert (upstream_of("a", *loud), upstream_of("b", *loud)) == (None, "a")


names = st.sampled_from("abcdef")
events = st.lists(
    st.builds(
        Upstream,
        event_id=st.integers(1, 99),
        task_name=names,
        dependents=st.frozensets(names),
        has_told=st.booleans(),
        since=st.integers(1, 99).map(lambda minutes: ago(minutes=minutes)),
    ),
    max_size=12,
)


@given(names, events)
def test_any_tangle_ends_and_names_another_task_that_has_told(
    task_name: str, some: list[Upstream]
) -> None:
    found = Upstreams(some).of(task_name)

    assert found is None or (found.has_told and found.task_name != task_name and found in some)
