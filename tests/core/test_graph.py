"""What depends on what, laid out in layers."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.graph import downstream, lay_out, names_of, near, outline, pick

Edges = dict[str, list[str]]

names = st.sampled_from("abcdefgh")
graphs = st.dictionaries(names, st.lists(names, max_size=4), max_size=8)
trees = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))).map(
    lambda pairs: _as_edges((min(pair), max(pair)) for pair in pairs if pair[0] != pair[1])
)
"""Without circles: each edge leads to a greater number."""


def _as_edges(pairs: object) -> Edges:
    edges: Edges = {}
    for start, end in pairs:  # type: ignore[attr-defined]
        edges.setdefault(f"{start:02}", []).append(f"{end:02}")
    return edges


def layers(edges: Edges) -> list[list[str]]:
    """Return the names layer by layer, from the top."""
    layout = lay_out(edges)
    found: list[list[str]] = [[] for _ in range(layout.layers)]
    for name, place in sorted(layout.places.items(), key=lambda item: item[1]):
        found[place.layer].append(name)
    return found


def test_what_depends_on_something_stands_behind_it() -> None:
    assert layers({"load": ["clean"], "clean": ["report", "dashboard"]}) == [
        ["load"],
        ["clean"],
        ["dashboard", "report"],
    ]


def test_the_longest_way_counts() -> None:
    assert layers({"a": ["b", "c"], "b": ["c"]}) == [["a"], ["b"], ["c"]]


def test_nothing_has_no_layers() -> None:
    assert layers({}) == []
    assert (lay_out({}).layers, lay_out({}).rows) == (0, 0)


def test_what_depends_on_one_stands_beside_it() -> None:
    assert layers({"a": ["z"], "b": ["y"], "c": ["x"]}) == [["a", "b", "c"], ["z", "y", "x"]]


def test_a_circle_is_laid_out_without_the_edge_that_closes_it() -> None:
    layout = lay_out({"a": ["b"], "b": ["c"], "c": ["a"]})

    assert layout.backward == [("c", "a")]
    assert [layout.places[name].layer for name in "abc"] == [0, 1, 2]


def test_a_task_that_depends_on_itself_is_a_circle() -> None:
    assert lay_out({"a": ["a"]}).backward == [("a", "a")]


def test_a_chain_longer_than_python_recurses_is_laid_out() -> None:
    chain = {f"{number:05}": [f"{number + 1:05}"] for number in range(5_000)}

    assert lay_out(chain).layers == 5_001
    assert len(outline(chain)) == 5_001


@given(graphs)
def test_every_name_has_a_place_of_its_own_in_layers_without_gaps(edges: Edges) -> None:
    layout = lay_out(edges)

    assert set(layout.places) == names_of(edges)
    assert len(set(layout.places.values())) == len(layout.places)
    rows: dict[int, set[int]] = {}
    for place in layout.places.values():
        rows.setdefault(place.layer, set()).add(place.row)
    assert set(rows) == set(range(layout.layers))
    assert all(some == set(range(len(some))) for some in rows.values())


@given(graphs)
def test_every_edge_is_there_once_and_leads_on_unless_it_turns_back(edges: Edges) -> None:
    layout = lay_out(edges)

    assert sorted([*layout.forward, *layout.backward]) == sorted(
        {(name, after) for name, some in edges.items() for after in some}
    )
    assert all(
        layout.places[name].layer < layout.places[after].layer for name, after in layout.forward
    )


@given(graphs)
def test_nobody_is_farther_behind_than_what_is_before_them_asks_for(edges: Edges) -> None:
    layout = lay_out(edges)

    for name, place in layout.places.items():
        before = [layout.places[one].layer for one, after in layout.forward if after == name]
        assert place.layer == 1 + max(before, default=-1)


@given(trees)
def test_without_a_circle_no_edge_turns_back(edges: Edges) -> None:
    assert lay_out(edges).backward == []


@given(graphs, st.randoms(use_true_random=False))
def test_the_order_in_which_edges_are_told_does_not_matter(
    edges: Edges, chance: random.Random
) -> None:
    keys = list(edges)
    chance.shuffle(keys)
    other = {key: chance.sample(edges[key], len(edges[key])) for key in keys}

    assert lay_out(other) == lay_out(edges)
    assert outline(other) == outline(edges)


def test_downstream_is_all_that_waits_for_some() -> None:
    edges = {"a": ["b"], "b": ["c"], "d": ["c", "e"]}

    assert downstream(edges, ["a"]) == {"b", "c"}
    assert downstream(edges, ["c", "nowhere"]) == set()
    assert downstream({"a": ["b"], "b": ["a"]}, ["a"]) == {"b"}


@given(graphs, st.lists(names), st.integers(0, 9))
def test_as_many_are_picked_as_there_is_room_for(edges: Edges, first: list[str], most: int) -> None:
    found = pick(edges, first, most)

    assert len(found) == len(set(found)) == min(most, len(names_of(edges)))
    assert set(found) <= names_of(edges)
    wanted = set(first) & names_of(edges)
    assert set(found[: len(wanted)]) == wanted or len(wanted) > most


def test_those_near_the_first_are_picked_before_others() -> None:
    edges = {"a": ["b"], "m": ["n"], "n": ["o"], "x": ["n"]}

    assert pick(edges, ["n"], 4) == ["n", "m", "o", "x"]


def test_what_does_not_hang_together_with_a_name_is_not_near_it() -> None:
    edges = {"a": ["b"], "m": ["n"], "n": ["o"]}

    assert near(edges, ["o"], 9) == ["o", "n", "m"]
    assert near(edges, ["o"], 2) == ["o", "n"]
    assert near(edges, ["nowhere"], 9) == []


def test_the_outline_names_what_depends_on_what_once_in_full() -> None:
    lines = outline({"a": ["b", "c"], "b": ["d"], "c": ["b"]})

    assert [("-" * line.depth + line.name, line.is_repeated) for line in lines] == [
        ("a", False),
        ("-b", False),
        ("--d", False),
        ("-c", False),
        ("--b", True),
    ]


@given(graphs)
def test_the_outline_tells_every_name_and_every_edge(edges: Edges) -> None:
    lines = outline(edges)
    told: set[tuple[str, str]] = set()
    above: list[str] = []

    for line in lines:
        assert line.depth <= len(above)
        above[line.depth :] = [line.name]
        if line.depth:
            told.add((above[line.depth - 1], line.name))

    assert {line.name for line in lines} == names_of(edges)
    assert told == {(name, after) for name, some in edges.items() for after in some}
