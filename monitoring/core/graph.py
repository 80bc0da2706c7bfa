"""What depends on what, laid out in layers: names and edges in, places out.

An edge leads from a task to one that depends on it. Who depends on themselves by a detour is laid
out as if the last edge of the detour were not there, and that edge is told apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Edges = Mapping[str, Collection[str]]
"""Each name to those that depend on it."""


class Place(NamedTuple):
    layer: int
    """0 has nothing before it; each edge leads to a greater one, but for those that turn back."""
    row: int
    """From the top of the layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    places: Mapping[str, Place]
    forward: Sequence[tuple[str, str]]
    backward: Sequence[tuple[str, str]]
    """Edges that close a circle."""

    @property
    def layers(self) -> int:
        return 1 + max((place.layer for place in self.places.values()), default=-1)

    @property
    def rows(self) -> int:
        """How many names the fullest layer has."""
        return 1 + max((place.row for place in self.places.values()), default=-1)


class Line(NamedTuple):
    """One name of the outline."""

    depth: int
    name: str
    is_repeated: bool
    """What depends on it stands where it was named first."""


def names_of(edges: Edges) -> set[str]:
    """Return every name, of whichever end of an edge."""
    return set(edges).union(*edges.values())


def among(edges: Edges, names: Collection[str]) -> dict[str, list[str]]:
    """Return the edges between some names, and every such name, in order and each once."""
    wanted = set(names)
    return {name: sorted(wanted.intersection(edges.get(name, ()))) for name in sorted(wanted)}


def lay_out(edges: Edges) -> Layout:
    """Return where each name stands: as far behind what it depends on as the longest way there.

    The same edges, in whichever order, are laid out in the same way.
    """
    whole = among(edges, names_of(edges))
    backward = set(_turning_back(whole))
    forward = {
        name: [after for after in whole[name] if (name, after) not in backward] for name in whole
    }
    layer = dict.fromkeys(whole, 0)
    before: dict[str, list[str]] = {name: [] for name in whole}
    for name in _in_order(forward):
        for after in forward[name]:
            layer[after] = max(layer[after], layer[name] + 1)
            before[after].append(name)
    return Layout(
        places=_in_rows(layer, before),
        forward=[(name, after) for name in whole for after in forward[name]],
        backward=sorted(backward),
    )


def _turning_back(edges: Edges) -> Iterator[tuple[str, str]]:
    """Yield the edges that lead back to where a walk along the edges has come from."""
    done: set[str] = set()
    for start in edges:
        way: dict[str, Iterator[str]] = {} if start in done else {start: iter(edges[start])}
        while way:
            name = next(reversed(way))
            after = next(way[name], None)
            if after is None:
                done.add(name)
                del way[name]
            elif after in way:
                yield name, after
            elif after not in done:
                way[after] = iter(edges[after])


def _in_order(edges: Edges) -> Iterator[str]:
    """Yield every name after all that lead to it; there must be no circle."""
    missing = dict.fromkeys(edges, 0)
    for some in edges.values():
        for after in some:
            missing[after] += 1
    ready = deque(name for name, count in missing.items() if not count)
    while ready:
        name = ready.popleft()
        yield name
        for after in edges[name]:
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)


def _in_rows(layer: Mapping[str, int], before: Edges) -> dict[str, Place]:
    """Put each name near the middle of what it depends on, so that few edges cross."""
    by_layer: dict[int, list[str]] = {}
    for name, number in layer.items():
        by_layer.setdefault(number, []).append(name)
    places: dict[str, Place] = {}

    def middle(name: str) -> tuple[float, str]:
        rows = [places[one].row for one in before[name]]
        return (sum(rows) / len(rows) if rows else 0.0, name)

    for number in sorted(by_layer):
        for row, name in enumerate(sorted(by_layer[number], key=middle)):
            places[name] = Place(number, row)
    return places


def downstream(edges: Edges, names: Iterable[str]) -> set[str]:
    """Return all that depend on some names, directly or not, without these names."""
    starts = set(names)
    return set(_walk(edges, starts, len(starts) + len(names_of(edges)))) - starts


def near(edges: Edges, first: Iterable[str], most: int) -> list[str]:
    """Return at most so many names: the first, and what hangs together with them.

    Those that are few edges away come before others, in whichever direction.
    """
    return list(_near(edges, first, most)[0])


def pick(edges: Edges, first: Iterable[str], most: int) -> list[str]:
    """Return at most so many names: those near the first, then what is left, what is near that."""
    found, both = _near(edges, first, most)
    for name in sorted(both):
        if len(found) >= most:
            break
        if name not in found:
            found |= _walk(both, [name], most - len(found), found)
    return list(found)


def _near(edges: Edges, first: Iterable[str], most: int) -> tuple[dict[str, None], Edges]:
    """Return what is near, and every name with those at the other ends of its edges."""
    both: dict[str, set[str]] = {}
    for name, some in edges.items():
        both.setdefault(name, set()).update(some)
        for after in some:
            both.setdefault(after, set()).add(name)
    return _walk(both, sorted(set(first).intersection(both)), most), both


def _walk(
    edges: Edges, starts: Iterable[str], most: int, known: Collection[str] = ()
) -> dict[str, None]:
    """Return the names that edges lead to, the nearest first; the starts are the nearest."""
    found: dict[str, None] = {}
    queue = deque(starts)
    while queue and len(found) < most:
        name = queue.popleft()
        if name not in found and name not in known:
            found[name] = None
            queue.extend(sorted(edges.get(name, ())))
    return found


def outline(edges: Edges) -> list[Line]:
    """Return the same as a nested list: under each name what depends on it, each once in full."""
    whole = among(edges, names_of(edges))
    named: set[str] = set()
    lines: list[Line] = []

    def tell(start: str) -> None:
        queue = [(0, start)]
        while queue:
            depth, name = queue.pop()
            lines.append(Line(depth, name, name in named and bool(whole[name])))
            if name not in named:
                named.add(name)
                queue += [(depth + 1, after) for after in reversed(whole[name])]

    behind = {after for some in whole.values() for after in some}
    for name in whole:
        if name not in behind:
            tell(name)
    for name in whole:  # circles that nothing leads into
        if name not in named:
            tell(name)
    return lines
