"""What depends on what, as a picture in layers, with the failing part marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from monitoring.admin.base import MonitoringAdmin, url
from monitoring.admin.display import Tone
from monitoring.core.graph import Edges, Layout, among, downstream, lay_out, names_of, near, pick
from monitoring.core.graph import outline as outlined
from monitoring.core.values import FAILING
from monitoring.dependents import Health, read
from monitoring.models import MonitorRule, RuleState

MOST = 120
"""Tasks in one picture; asked for one of them, it shows what is near that one."""
WIDTH, HEIGHT = 210, 32
COLUMN, ROW = 280, 44
"""From one box to the next."""
MARGIN = 30
LONGEST = 26
"""Characters of a name that fit into its box; the end tells more than the beginning."""


class State(StrEnum):
    """How a task does, as far as this picture says."""

    FAILING = "failing"
    AFFECTED = "affected"
    UNKNOWN = "unknown"
    OK = "ok"
    NOT_WATCHED = "not_watched"


TONES: Mapping[State, Tone] = {
    State.FAILING: Tone.BAD,
    State.AFFECTED: Tone.WARN,
    State.UNKNOWN: Tone.QUIET,
    State.OK: Tone.GOOD,
    State.NOT_WATCHED: Tone.QUIET,
}
MARKS: Mapping[State, str] = {
    State.FAILING: "✕",
    State.AFFECTED: "!",
    State.UNKNOWN: "?",
    State.OK: "✓",
    State.NOT_WATCHED: "·",
}
LABELS: Mapping[State, str | Promise] = {
    State.FAILING: gettext_lazy("Failing"),
    State.AFFECTED: gettext_lazy("Depends on one that fails"),
    State.UNKNOWN: gettext_lazy("Unknown"),
    State.OK: gettext_lazy("OK"),
    State.NOT_WATCHED: gettext_lazy("Not watched"),
}


class AroundForm(forms.Form):
    """Which task to look at."""

    task_name = forms.CharField(label=gettext_lazy("Around the task"), required=False)


@dataclass(kw_only=True, slots=True)
class Node:
    """One task: a box of the picture, and its line of the list."""

    name: str
    state: State
    url: str
    x: int = 0
    y: int = 0

    @property
    def short(self) -> str:
        return self.name if len(self.name) <= LONGEST else f"…{self.name[1 - LONGEST :]}"

    @property
    def tone(self) -> Tone:
        return TONES[self.state]

    @property
    def mark(self) -> str:
        return MARKS[self.state]

    @property
    def label(self) -> str:
        return str(LABELS[self.state])


@dataclass(kw_only=True, slots=True)
class Line:
    """A node in the nested list."""

    node: Node
    is_repeated: bool
    opens: bool = False
    """What follows stands below it."""
    closes: range = field(default_factory=lambda: range(0))
    """Lists that end behind it."""


class Path(NamedTuple):
    """The line of one edge."""

    kind: str
    """`bad` in the failing part, else `quiet`."""
    turns_back: bool
    path: str


class RuleGraph(MonitoringAdmin):
    """Adds the page `dependencies/?task_name=…`."""

    def get_urls(self) -> list[URLPattern]:
        views = {"dependencies": require_safe(self.dependencies_view)}
        return self.views_at("", views) + super().get_urls()

    def dependencies_view(self, request: HttpRequest) -> HttpResponse:
        """Draw the tasks that rules name as dependent, and what they depend on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = AroundForm(request.GET)
        around = form.cleaned_data["task_name"] if form.is_valid() else ""
        edges = _edges()
        names = near(edges, [around], MOST) if around else pick(edges, _failing(), MOST)
        shown = among(edges, names)
        nodes = self._nodes(shown)
        layout = lay_out(shown)
        for name, place in layout.places.items():
            nodes[name].x = MARGIN + place.layer * COLUMN
            nodes[name].y = MARGIN + place.row * ROW
        context = {
            **self.admin_site.each_context(request),
            "title": _("Dependencies"),
            "opts": self.model._meta,
            "form": form,
            "around": around,
            "nodes": [nodes[name] for name in layout.places],
            "paths": _paths(layout, nodes),
            "edge_kinds": ("bad", "quiet"),
            "lines": _lines(shown, nodes),
            "width": 2 * MARGIN + (layout.layers - 1) * COLUMN + WIDTH,
            "height": 2 * MARGIN + (layout.rows - 1) * ROW + HEIGHT,
            "box": (WIDTH, HEIGHT),
            "is_cut": len(names) < (len(names_of(edges)) if not around else 0)
            or len(names) >= MOST,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/monitoring/dependencies.html", context)

    def _nodes(self, shown: Edges) -> dict[str, Node]:
        rules: dict[str, list[int]] = {}
        watching = MonitorRule.objects.filter(enabled=True, task_name__in=list(shown))
        for name, pk in watching.order_by("pk").values_list("task_name", "pk"):
            rules.setdefault(name, []).append(pk)
        health = {name: found.health for name, found in read(shown).items() if name in rules}
        failing = {name for name, found in health.items() if found is Health.FAILING}
        affected = downstream(shown, failing)
        return {
            name: Node(
                name=name,
                state=_state(name, health, affected, name in rules),
                url=self._url(name, rules.get(name, [])),
            )
            for name in shown
        }

    def _url(self, name: str, rules: list[int]) -> str:
        """Return where the rules of a task are; an empty text if it has none."""
        if len(rules) == 1:
            return url(self.admin_site, MonitorRule, "change", rules[0])
        query = urlencode({"task_name": name})
        page = url(self.admin_site, MonitorRule, "changelist")
        return f"{page}?{query}" if rules else ""


def _state(
    name: str, health: Mapping[str, Health], affected: Iterable[str], is_watched: bool
) -> State:
    if health.get(name) is Health.FAILING:
        return State.FAILING
    if name in affected:
        return State.AFFECTED
    if not is_watched:
        return State.NOT_WATCHED
    return State.OK if health.get(name) is Health.OK else State.UNKNOWN


def _edges() -> dict[str, set[str]]:
    """Return each task to those that enabled rules name as dependent on it."""
    rules = MonitorRule.objects.filter(enabled=True).exclude(dependent_tasks=[]).order_by("pk")
    edges: dict[str, set[str]] = {}
    for name, dependents in rules.values_list("task_name", "dependent_tasks"):
        # A row that was written past the model's checks may hold anything.
        some = dependents if isinstance(dependents, list) else []
        named = {after for after in some if isinstance(after, str)}
        if named:
            edges.setdefault(name, set()).update(named)
    return edges


def _failing() -> set[str]:
    """Return the tasks of enabled rules that failed at the last check."""
    failing = RuleState.objects.filter(verdict__in=FAILING).of_enabled_rules()
    return set(failing.values_list("task_name", flat=True))


def _paths(layout: Layout, nodes: Mapping[str, Node]) -> list[Path]:
    """Return a line for each edge, from the side of one box to that of the other."""
    edges = [(edge, False) for edge in layout.forward] + [(edge, True) for edge in layout.backward]
    paths = []
    for (name, after), turns_back in edges:
        one, other = nodes[name], nodes[after]
        is_struck = {one.state, other.state} <= {State.FAILING, State.AFFECTED}
        x, y = one.x + WIDTH, one.y + HEIGHT // 2
        end_y = other.y + HEIGHT // 2
        # What leads back swings out over the boxes, so that it is not taken for the other way.
        rise = ROW if turns_back else 0
        bend = (COLUMN - WIDTH) // 2
        path = f"M{x} {y}C{x + bend} {y - rise} {other.x - bend} {end_y - rise} {other.x} {end_y}"
        paths.append(Path("bad" if is_struck else "quiet", turns_back, path))
    return paths


def _lines(shown: Edges, nodes: Mapping[str, Node]) -> list[Line]:
    found = outlined(shown)
    depths = [line.depth for line in found[1:]] + [0]
    return [
        Line(
            node=nodes[line.name],
            is_repeated=line.is_repeated,
            opens=depth > line.depth,
            closes=range(max(line.depth - depth, 0)),
        )
        for line, depth in zip(found, depths, strict=False)
    ]
