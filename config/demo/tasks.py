"""Sample tasks of the demo, one for each thing that can happen to a task.

fixtures/demo.json schedules them and holds the rules that watch them.
"""

import time

from celery import Task, shared_task

# Longer than the half minute that its rule allows, shorter than the time between two runs, so
# that the demo shows the alert and the recovery after it.
IMPORT_SECONDS = 120


@shared_task(name="hourly_data_sync")
def hourly_data_sync() -> str:
    """Succeed after a moment."""
    time.sleep(1)
    return "1,284 records synchronised"


@shared_task(name="generate_daily_report")
def generate_daily_report() -> None:
    """Fail every time."""
    time.sleep(1)
    raise ValueError("No sales figures for 'North' in the last 24 hours")


# Acknowledged late: stopping the demo puts it back instead of losing it half done.
@shared_task(name="import_measurements", acks_late=True)
def import_measurements() -> str:
    """Run for much longer than expected, like a task that waits for a server that hangs."""
    time.sleep(IMPORT_SECONDS)
    return "Imported at last"


@shared_task(name="flaky_upload", bind=True, max_retries=3)
def flaky_upload(self: "Task[..., str]") -> str:
    """Fail twice, be retried each time, then succeed."""
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError("The server closed the connection"), countdown=2)
    return "Uploaded"


@shared_task(name="weekly_backup")
def weekly_backup() -> None:
    """Never run: nothing schedules it, which is what its rule finds out."""


@shared_task(name="refresh_dashboard")
def refresh_dashboard() -> None:
    """Succeed; no rule watches it, so that there is something to discover."""
    time.sleep(1)


@shared_task(name="collect_weather")
def collect_weather() -> None:
    """Succeed once an hour; past.py makes up what it did before."""
    time.sleep(1)


@shared_task(name="send_invoices")
def send_invoices() -> None:
    """Succeed every night; past.py makes up what it did before, and no rule watches it."""
    time.sleep(1)
