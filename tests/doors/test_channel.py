"""A worker, whose children may have none of their own, calls a service by a process it starts."""

from __future__ import annotations

import pytest

from monitoring.models import Channel, MonitorRule, Notification
from tests.doors.harness import System, wait_until
from tests.doors.servers import EMBEDDED
from tests.factories import ago
from tests.hook_server import hook_server
from tests.mail_server import free_port

pytestmark = pytest.mark.door


@pytest.mark.parametrize("system", [EMBEDDED], indirect=True)
def test_a_task_that_raises_is_told_to_a_channel_while_the_mail_server_is_away(
    system: System,
) -> None:
    with hook_server() as hooks:
        channel = Channel(name="ops")
        channel.set_url(hooks.json_url)
        channel.save()
        MonitorRule.objects.create(
            name="Stored",
            task_name="door.fail",
            created_at=ago(days=30),
            notify_to=["ops@example.com"],
            channels=["ops"],
        )
        system.start_worker(EMAIL_URL=f"smtp://127.0.0.1:{free_port()}")
        system.ended(system.send("door.fail"))

        system.send("monitor_task_status")

        wait_until(lambda: hooks.titles, "the service gets a message")
        sent = Notification.objects.filter(channel="ops", state="sent")
        wait_until(sent.exists, "the message is marked")
        assert hooks.titles == ["[ALERT] door.fail Status Check Failed"]
        assert Notification.objects.get(channel="").state == "pending"
