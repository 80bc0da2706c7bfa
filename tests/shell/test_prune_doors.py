"""Two doors to the deletion of old history: `manage.py monitor prune` and the Celery task."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from monitoring import doors
from monitoring.models import BackgroundTask
from monitoring.tasks import PRUNE_PASS, prune_history
from tests.factories import ago, execution

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

NOTHING = {"messages": 0, "events": 0, "runs": 0, "executions": 0, "workers": 0}


@pytest.fixture(autouse=True)
def _three_are_old() -> None:
    for number in (100, 200, 300):
        at = ago(days=number)
        execution("sync", started=at, last_update=at)
    execution("sync")


def prune(*options: str) -> str:
    output = StringIO()
    call_command("monitor", "prune", *options, stdout=output)
    return output.getvalue()


class TestTheCommand:
    def test_deletes_and_says_how_much(self) -> None:
        output = prune()

        assert output == "0 messages, 0 events, 0 runs, 3 executions, 0 workers deleted\n"
        assert BackgroundTask.objects.count() == 1

    def test_says_how_much_would_go_and_deletes_nothing(self) -> None:
        output = prune("--dry-run")

        assert output == "0 messages, 0 events, 0 runs, 3 executions, 0 workers would be deleted\n"
        assert BackgroundTask.objects.count() == 4

    @pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["for real", "dry run"])
    def test_prints_numbers_as_json(self, options: tuple[str, ...]) -> None:
        assert json.loads(prune("--json", *options)) == NOTHING | {"executions": 3}

    def test_has_nothing_to_say_if_everything_is_kept_for_ever(self, settings: Any) -> None:
        forever = {"RETENTION_DAYS": dict.fromkeys(NOTHING, 0)}
        settings.MONITORING = settings.MONITORING | forever

        assert prune() == "nothing deleted\n"
        assert prune("--json") == "{}\n"


class TestTheTask:
    def test_deletes_and_returns_how_much(self) -> None:
        assert prune_history() == NOTHING | {"executions": 3}
        assert BackgroundTask.objects.count() == 1

    def test_in_a_worker_stops_in_time_and_comes_back_if_that_was_not_enough(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        some = NOTHING | {"executions": 7}
        passes = [(some, False), (some, True), (NOTHING, False)]
        asked: list[float | None] = []
        sent: list[int] = []

        def pass_(seconds: float | None = None) -> tuple[dict[str, int], bool]:
            asked.append(seconds)
            return passes[len(asked) - 1]

        monkeypatch.setattr(doors, "prune", pass_)
        monkeypatch.setattr(prune_history, "delay", lambda: sent.append(len(asked)))
        for done, _ in passes:
            prune_history.push_request(id="x", called_directly=False, is_eager=False)
            try:
                assert prune_history.run() == done
            finally:
                prune_history.pop_request()

        assert asked == [PRUNE_PASS] * 3
        # Not after the last: it would look through the same rows for ever.
        assert sent == [1]
