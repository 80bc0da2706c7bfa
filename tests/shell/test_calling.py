"""The process that calls services: whom it may call, and what it may touch here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.channels import apprise
from monitoring.channels.apprise import Caller
from monitoring.channels.base import DeliveryError, incident_of
from monitoring.core.retries import Fault
from monitoring.models import Channel, Notification
from tests.hook_server import LOOPBACK, Hooks, hook_server

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with Caller() as caller:
        yield caller


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with hook_server() as hooks:
        yield hooks


@pytest.fixture
def _loopback(settings: Any) -> None:
    settings.MONITORING = settings.MONITORING | LOOPBACK


def channel(url: str) -> Channel:
    made = Channel(name="ops")
    made.set_url(url)
    return made


def refusal(caller: Caller, url: str) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        caller.send_test(channel(url))
    assert caught.value.fault is Fault.REFUSED
    return caught.value


def run(script: str) -> str:
    """Run Python in a process of its own, because a guard is never taken off again."""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestWhomItCalls:
    def test_nobody_inside(self, caller: Caller, hooks: Hooks) -> None:
        error = refusal(caller, hooks.json_url)

        assert str(error) == (
            "127.0.0.1 is not called, because it is a private address: "
            'MONITORING["CHANNEL_PRIVATE_HOSTS"] can allow it'
        )
        assert hooks.asked == 0

    def test_nobody_inside_by_another_name(self, caller: Caller, hooks: Hooks) -> None:
        error = refusal(caller, hooks.json_url.replace("127.0.0.1", "localhost"))

        assert "(localhost) is not called" in str(error)
        assert hooks.asked == 0

    @pytest.mark.usefixtures("_loopback")
    def test_whoever_was_allowed(self, caller: Caller, hooks: Hooks) -> None:
        caller.send_test(channel(hooks.json_url))

        assert hooks.titles == ["Test of task monitoring"]

    def test_whoever_was_allowed_by_name(self, caller: Caller, hooks: Hooks, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | {"CHANNEL_PRIVATE_HOSTS": ["localhost"]}

        caller.send_test(channel(hooks.json_url.replace("127.0.0.1", "localhost")))

        assert len(hooks.messages) == 1

    @pytest.mark.usefixtures("_loopback")
    @pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "169.254.169.254", "0.0.0.0"])
    def test_nobody_inside_whom_it_is_sent_on_to(
        self, caller: Caller, hooks: Hooks, host: str
    ) -> None:
        hooks.answers.append(f"http://{host}:{hooks.port}/latest/meta-data")

        error = refusal(caller, hooks.json_url)

        assert f"{host.strip('[]')} is not called" in str(error)
        assert hooks.asked == 1

    def test_nobody_inside_whom_a_name_leads_to_only_the_second_time(self) -> None:
        said = run(
            "import socket\n"
            "from monitoring.channels.calling import Guard, RefusedError\n"
            "answers = iter(['93.184.215.14', '127.0.0.1'])\n"
            "def look_up(host, port, *rest, **named):\n"
            "    return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (next(answers), port))]\n"
            "socket.getaddrinfo = look_up\n"
            "server = socket.create_server(('127.0.0.1', 0))\n"
            "guard = Guard()\n"
            "guard.install()\n"
            "socket.getaddrinfo('rebind.example.com', 80)\n"
            "try:\n"
            "    socket.create_connection(('rebind.example.com', server.getsockname()[1]))\n"
            "except RefusedError as error:\n"
            "    print(error)\n"
        )

        assert said.startswith("127.0.0.1 (rebind.example.com) is not called")

    @pytest.mark.parametrize(
        "attempt",
        [
            "socket.socket().connect(('localhost', 80))",
            "socket.socket().connect_ex(('127.0.0.1', 80))",
            "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
            "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 514))",
            "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', 514))",
            "subprocess.run(['true'])",
            "os.system('true')",
            "os.fork()",
            "open('/etc/passwd')",
            "open('/tmp/x', 'w')",
            "os.open('/etc/passwd', os.O_RDONLY)",
        ],
    )
    def test_nobody_in_a_roundabout_way(self, attempt: str) -> None:
        said = run(
            "import os, socket, subprocess\n"
            "from monitoring.channels.calling import Guard, RefusedError\n"
            "guard = Guard()\n"
            "guard.install()\n"
            "try:\n"
            f"    {attempt}\n"
            "except RefusedError:\n"
            "    print(len(guard.refused))\n"
        )

        assert said == "1"

    @pytest.mark.usefixtures("_loopback")
    def test_no_proxy(self, hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")

        with Caller() as caller:
            caller.send_test(channel(hooks.json_url))

        assert len(hooks.messages) == 1


class TestWhatItTouches:
    @pytest.mark.usefixtures("_loopback")
    def test_no_file(self, caller: Caller, hooks: Hooks) -> None:
        url = f"workflows://127.0.0.1:{hooks.port}/workflow/signature/?template=/etc/passwd"

        assert str(refusal(caller, url)) == "it would read a file of this machine"
        assert hooks.asked == 0

    def test_no_secret_of_its_parents_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = {}
        monkeypatch.setenv("DJANGO_SECRET_KEY", "s3cr3t")
        monkeypatch.setattr(
            subprocess, "Popen", lambda command, **named: seen.update(named, command=command)
        )

        apprise._start()

        assert "DJANGO_SECRET_KEY" not in seen["env"]
        assert seen["command"][1:] == ["-P", "-m", "monitoring.channels.calling"]


class TestAnAddressThatIsRead:
    def test_is_called_by_nobody(self, caller: Caller, hooks: Hooks) -> None:
        caller.read(hooks.json_url)

        assert hooks.asked == 0

    @pytest.mark.parametrize("url", ["nonsense://x/y", "slack://too-short"])
    def test_that_no_service_understands_is_refused(self, caller: Caller, url: str) -> None:
        with pytest.raises(DeliveryError, match="no service understands this address"):
            caller.read(url)

    @pytest.mark.parametrize("url", ["https://hooks.example.com/x", "HTTP://hooks.example.com"])
    def test_of_a_webhook_is_told_how_that_is_written(self, caller: Caller, url: str) -> None:
        with pytest.raises(DeliveryError, match=r"json:// or jsons://\)"):
            caller.read(url)


class TestAnIncident:
    def test_at_pagerduty_is_one_for_each_of_ours_and_closed_with_it(self) -> None:
        said = run(
            "from monitoring.channels.calling import Calls\n"
            "calls = Calls()\n"
            f"url = 'pagerduty://{'k' * 32}@{'a' * 20}/source/component'\n"
            "for given in (url, url + '?action=trigger', url + '?dedup=mine'):\n"
            "    service = calls._service(given, 'monitoring-event-7@localhost')\n"
            "    print(service.dedup, service.action)\n"
        )

        assert said.splitlines() == [
            "monitoring-event-7@localhost map",
            "monitoring-event-7@localhost trigger",
            "mine trigger",
        ]

    def test_is_named_alike_by_all_its_messages(self) -> None:
        alert, recovery = (
            Notification(alert_event_id=7, message_id=f"<{number}@example.com>")
            for number in range(2)
        )

        assert incident_of(alert) == incident_of(recovery) == "monitoring-event-7@example.com"
        assert incident_of(Notification(message_id="<1@example.com>")) == ""


class TestTheProcess:
    def test_that_dies_is_started_anew(self, hooks: Hooks, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | LOOPBACK
        with Caller() as caller:
            caller.send_test(channel(hooks.json_url))
            assert caller._process is not None
            caller._process.kill()
            caller._process.wait()

            with pytest.raises(DeliveryError, match="the call was cut short") as caught:
                caller.send_test(channel(hooks.json_url))
            caller.send_test(channel(hooks.json_url))

        assert caught.value.fault is Fault.DEFERRED
        assert len(hooks.messages) == 2

    def test_ends_with_the_pass(self, hooks: Hooks, settings: Any) -> None:
        settings.MONITORING = settings.MONITORING | LOOPBACK
        with Caller() as caller:
            caller.send_test(channel(hooks.json_url))
            process = caller._process

        assert process is not None
        assert process.poll() is not None

    def test_is_python_where_a_web_server_says_that_it_is(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")

        assert apprise._python() == str(Path(sys.exec_prefix) / "bin" / "python3")


def test_nothing_else_imports_the_optional_packages() -> None:
    said = run(
        "import os, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings.test'\n"
        "os.environ['DATABASE_URL'] = 'sqlite://:memory:'\n"
        "import django\n"
        "django.setup()\n"
        "import monitoring.admin, monitoring.delivery, monitoring.channels.apprise\n"
        "print([name for name in ('apprise', 'cryptography') if name in sys.modules])\n"
    )

    assert said == "[]"
