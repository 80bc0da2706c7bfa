"""A real browser for tests: a page of somebody who is logged in, on a host with a strict CSP."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client, override_settings
from playwright.sync_api import Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from monitoring.models import AlertEvent, BackgroundTask, MonitorRule, MonitorRun, Notification
from monitoring.rule_rows import key_of
from tests.admin.data import event, message, run, state_of
from tests.factories import NOW, ago, execution, rule, superuser

CHROMIUM = shutil.which("chromium")
in_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS = Path(__file__).parents[2] / ".screenshots"
NOT_OURS = ("[data-django-jsonform-container]", "#searchbar", ".vDateField", ".vTimeField")
WIDTHS = {"wide": 1280, "narrow": 400}
IS_STILL = """async () => {
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    const ending = document.getAnimations().filter(
        one => one.effect.getComputedTiming().endTime !== Infinity
    );
    await Promise.all(ending.map(one => one.finished.catch(() => {})));
}"""
NOTHING_IS_BUSY = "() => !document.querySelector('[aria-busy]')"
THAT_IS_ALL = "that is all"


@pytest.fixture(scope="module")
def live_server() -> Iterator[LiveServer]:
    """pytest-django's server, whose middleware is settled when it starts."""
    middleware = ["tests.admin.strict_csp.middleware", *settings.MIDDLEWARE]
    with override_settings(MIDDLEWARE=middleware):
        server = LiveServer("localhost")
    yield server
    server.stop()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console said."""
    return []


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A browser that all tests of this process share, by the address to drive it at.

    Each test has a context of its own, which shares nothing with others; to start a browser takes
    longer than most tests.
    """
    profile = tmp_path_factory.mktemp("chromium")
    command = [str(CHROMIUM), *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{_port_of(profile / 'DevToolsActivePort', process)}"
        finally:
            process.terminate()


def _port_of(path: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and (lines := path.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise RuntimeError(f"{CHROMIUM} does not start")


@pytest.fixture
def page(
    live_server: LiveServer,
    complaints: list[str],
    chromium: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Page]:
    """A page of somebody who is logged in, that must not have complained at the end."""
    # Playwright runs an event loop in this thread; the tests do not share their database with it.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with time_machine.travel(NOW), sync_playwright() as playwright:
        client = Client()
        client.force_login(superuser())
        cookie = client.cookies["sessionid"].value
        browser = playwright.chromium.connect_over_cdp(chromium)
        context = browser.new_context(base_url=live_server.url)
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda entry: complaints.append(f"{entry.type}: {entry.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        context.close()
    assert complaints == []


def shoot(page: Page, name: str) -> None:
    """Write pictures of a page, light and dark, wide and narrow, if they are asked for."""
    if not os.environ.get("SCREENSHOTS"):
        return
    SCREENSHOTS.mkdir(exist_ok=True)
    at_rest(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width, pixels in WIDTHS.items():
            page.set_viewport_size({"width": pixels, "height": 800})
            # What is out of view, such as a mail in its frame, may not have been drawn.
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": pixels, "height": max(800, height)})
            page.wait_for_timeout(300)
            page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{width}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})


def at_rest(page: Page) -> None:
    """Wait until a page has loaded and nothing in it is being looked up.

    Not until the network is idle: a request that was given up for a newer one counts for ever.
    """
    page.wait_for_load_state("load")
    page.wait_for_function(NOTHING_IS_BUSY)


def forget(page: Page, complaints: list[str]) -> None:
    """Take no offence at what a page has complained of; all of it has come in before the last."""
    at_rest(page)
    with page.expect_console_message(lambda entry: entry.text == THAT_IS_ALL):
        page.evaluate("text => console.info(text)", THAT_IS_ALL)
    complaints.clear()


def violations(page: Page, complaints: list[str]) -> list[str]:
    """Return what axe finds in the content of a page, less what Django and jsonform draw."""
    page.evaluate(IS_STILL)  # colours fade from light to dark
    assert complaints == []
    result = Axe().run(
        page,
        context={
            "include": [["#content"]],
            "exclude": [[selector] for selector in NOT_OURS],
        },
    )
    forget(page, complaints)  # axe itself tries an inline style
    return [
        f"{found['id']}: {node['html']}"
        for found in result.response["violations"]
        for node in found["nodes"]
    ]


def failing() -> dict[type[Any], Any]:
    """Store a rule that fails, beside others, and return a row of each model about it."""
    ran = execution(
        "generate_daily_report",
        "Stopped",
        started=ago(hours=3),
        finished_at=ago(hours=2.9),
        worker="celery@worker-2",
        queue="reports",
        errors="MissingFigures: no sales figures for 2026-03-09",
        stack_trace_errors="Traceback (most recent call last):\n"
        '  File "/srv/app/reports/tasks.py", line 41, in generate_daily_report\n'
        "    figures = load_figures(day)\n"
        "reports.MissingFigures: no sales figures for 2026-03-09\n",
    )
    watched = rule("generate_daily_report", name="Daily report is made", lookback_hours=25)
    state_of(watched, "status_mismatch", failing_checks=3)
    found = event(
        watched.task_name,
        rule=watched,
        rule_name=watched.name,
        open_key=key_of(watched),
        task_id=ran.task_id,
        started_at=ran.started_at,
        finished_at=ran.finished_at,
        lookback_hours=25,
        dependent_tasks=["send_report_emails", "update_dashboard"],
    )
    sent = message(
        found,
        subject="[ALERT] generate_daily_report Status Check Failed",
        text_body="It did not end as expected.\n",
        html_body="<html lang=en><title>Alert</title><h1>It did not end as expected</h1></html>",
    )
    message(found, state="failed", error="550 no such user", recipient="gone@example.com")
    message(found, state="suppressed", suppressed_by="snooze", kind="reminder", sent_at=None)
    state_of(rule("hourly_data_sync", name="Data is in sync"), "ok")
    rule("x" * 250, name="y" * 250, enabled=False)
    for status in ("Pending", "Queued", "Running", "Completed", "Cancelled", "Invalidated"):
        execution("hourly_data_sync", status)
    event("hourly_data_sync", resolved_at=NOW, resolution="recovered")
    run(state="failed", error="OperationalError: database is locked")
    checked = run(checked=3, ok=1, failing=1, unknown=1, messages=3)
    return {
        MonitorRule: watched,
        AlertEvent: found,
        Notification: sent,
        BackgroundTask: ran,
        MonitorRun: checked,
    }
