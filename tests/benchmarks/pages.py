"""The pages of the admin that are measured, and whose statements are planned in a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.test import Client

from monitoring.models import (
    AlertEvent,
    BackgroundTask,
    Channel,
    MonitorRule,
    MonitorRun,
    Notification,
)
from tests.admin.data import url


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    open: Callable[[Client], Any]
    answers: int = 200


def listed(name: str, model: type[Any], query: str = "") -> Page:
    return Page(name, lambda client: client.get(url(model, "changelist") + query))


def changed(name: str, model: type[Any]) -> Page:
    def open_it(client: Client) -> Any:
        return client.get(url(model, "change", model.objects.order_by("-pk")[0].pk))

    return Page(name, open_it)


def quietest() -> MonitorRule:
    return MonitorRule.objects.order_by("-pk")[0]


def busiest() -> MonitorRule:
    """Return the rule of the task that ran every minute; see `data.fill`."""
    return MonitorRule.objects.order_by("pk")[0]


def typed(row: MonitorRule, **limits: str) -> dict[str, str]:
    """Return the form of a rule, with what somebody has typed."""
    return {
        "name": row.name,
        "task_name": row.task_name,
        "enabled": "on",
        "expected_statuses": '["Completed"]',
        "lookback_hours": "24",
        "alert_after": "1",
        "while_running": "judge",
        "notify_to": '["ops@example.com"]',
        "dependent_tasks": "[]",
        "notify_on_recovery": "on",
        **limits,
    }


def preview(client: Client) -> Any:
    return client.post(url(MonitorRule, "preview"), typed(quietest(), name="new"))


def backtest(row: Callable[[], MonitorRule], **limits: str) -> Callable[[Client], Any]:
    def open_it(client: Client) -> Any:
        address = f"{url(MonitorRule, 'backtest')}?rule={row().pk}"
        return client.post(address, typed(row(), **limits))

    return open_it


def save(client: Client) -> Any:
    row = quietest()
    dependents = f'["{busiest().task_name}"]'
    address = url(MonitorRule, "change", row.pk)
    return client.post(address, typed(row, dependent_tasks=dependents))


NAME = "team_7.jobs.task_000007"
PAGES = (
    listed("rules", MonitorRule),
    listed("rules, failing", MonitorRule, "?state=failing"),
    listed("rules, search", MonitorRule, "?q=task_00000"),
    changed("one rule", MonitorRule),
    Page("preview of a rule", preview),
    Page("save a rule", save, answers=302),
    Page("backtest of a rule", backtest(quietest)),
    Page("backtest, every minute", backtest(busiest)),
    Page(
        "backtest, every minute, measured",
        backtest(busiest, max_duration_factor="3", min_success_rate="90"),
    ),
    Page("discover", lambda client: client.get(url(MonitorRule, "discover"))),
    listed("rules, alert open", MonitorRule, "?alert=open"),
    listed("executions", BackgroundTask),
    listed("executions, page 20", BackgroundTask, "?p=20"),
    listed("executions, of a task", BackgroundTask, f"?task_name={NAME}"),
    listed("executions, stopped", BackgroundTask, "?status__exact=Stopped"),
    listed("executions, search", BackgroundTask, "?q=team_7.jobs"),
    listed("executions, search for nothing", BackgroundTask, "?q=nowhere"),
    changed("one execution", BackgroundTask),
    listed("alert events", AlertEvent),
    listed("alert events, open", AlertEvent, "?state=open"),
    listed("alert events, by hand", AlertEvent, "?resolution__exact=manual"),
    listed("alert events, overrunning", AlertEvent, "?verdict__exact=overrunning"),
    listed("alert events, search", AlertEvent, "?q=team_7.jobs"),
    changed("one alert event", AlertEvent),
    listed("notifications", Notification),
    listed("notifications, failed", Notification, "?state__exact=failed"),
    listed("notifications, reminders", Notification, "?kind__exact=reminder"),
    listed("notifications, search", Notification, "?q=nobody"),
    listed("checks", MonitorRun),
    listed("channels", Channel),
    Page("the last day", lambda client: client.get(url(MonitorRule, "day"))),
    Page("the last day, page 20", lambda client: client.get(url(MonitorRule, "day") + "?p=20")),
    Page("dependencies", lambda client: client.get(url(MonitorRule, "dependencies"))),
    Page("overview", lambda client: client.get("/admin/monitoring/")),
)
