"""The periodic tasks that run the monitor, and the names that beat and its admin know."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
from celery import current_app
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django_celery_beat.admin import TaskSelectWidget
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from monitoring.periodic_tasks import install

ADVICE = 'write [] to check all rules, or [{"task_name": {"expected_statuses": ["Completed"]}}]'
OURS = ("monitor_task_status", "monitoring.tasks.deliver_notifications")


def periodic_task(**columns: Any) -> PeriodicTask:
    schedule, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.HOURS)
    values = {"name": "Nightly", "task": "monitor_task_status", "interval": schedule}
    return PeriodicTask(**(values | columns))


@pytest.mark.django_db
class TestSaving:
    @pytest.mark.parametrize("args", ["null", "7", "1.5", '"sync"', "true", "{}", '{"a": 1}'])
    def test_arguments_that_are_no_array_are_refused(self, args: str) -> None:
        with pytest.raises(ValidationError) as error:
            periodic_task(args=args).save()

        assert error.value.message_dict == {"args": [f"must be a JSON array, got {args}: {ADVICE}"]}
        assert not PeriodicTask.objects.exists()

    @pytest.mark.parametrize("kwargs", ["null", "7", '"sync"', "[]"])
    def test_keyword_arguments_that_are_no_object_are_refused(self, kwargs: str) -> None:
        with pytest.raises(ValidationError) as error:
            periodic_task(kwargs=kwargs).save()

        assert error.value.message_dict == {
            "kwargs": [f"must be a JSON object, got {kwargs}: write {{}} for none"]
        }

    def test_both_are_named_at_once(self) -> None:
        with pytest.raises(ValidationError) as error:
            periodic_task(args="null", kwargs="null").save()

        assert set(error.value.message_dict) == {"args", "kwargs"}

    @pytest.mark.parametrize(
        ("args", "kwargs"),
        [
            ("[]", "{}"),
            ("", ""),
            ('[{"sync": {"expected_statuses": ["Completed"]}}]', "{}"),
            ("[]", '{"rules": ["Nightly"]}'),
            ("[null]", "{}"),  # an array: the check itself says what is wrong with it
        ],
    )
    def test_others_are_saved(self, args: str, kwargs: str) -> None:
        periodic_task(args=args, kwargs=kwargs).save()

        assert PeriodicTask.objects.count() == 1

    def test_changing_a_good_one_into_a_bad_one_is_refused(self) -> None:
        row = periodic_task()
        row.save()
        row.args = "null"

        with pytest.raises(ValidationError):
            row.save()

        assert PeriodicTask.objects.get().args == "[]"

    def test_other_tasks_are_none_of_our_business(self) -> None:
        periodic_task(task="other", args="null").save()

        assert PeriodicTask.objects.get().args == "null"

    def test_what_is_no_json_is_left_to_beats_own_form(self) -> None:
        periodic_task(args="[").save()

        assert PeriodicTask.objects.get().args == "["

    def test_a_fixture_is_loaded_and_left_to_the_system_check(self, tmp_path: Any) -> None:
        periodic_task().save()
        fixture = tmp_path / "beat.json"
        call_command("dumpdata", "django_celery_beat.periodictask", output=str(fixture))
        fixture.write_text(fixture.read_text().replace('"args": "[]"', '"args": "null"'))

        call_command("loaddata", str(fixture), verbosity=0)

        assert PeriodicTask.objects.get().args == "null"


@pytest.mark.django_db
class TestInstalling:
    def test_one_with_unreadable_arguments_is_passed_over(self) -> None:
        periodic_task(args="[").save()

        row, is_new = install(5)

        assert (is_new, row.args) == (True, "[]")

    def test_one_with_misread_arguments_does_not_count(self) -> None:
        PeriodicTask.objects.bulk_create([periodic_task(args="null")])

        _, is_new = install(5)

        assert is_new

    def test_a_name_that_is_taken_by_something_else_is_no_obstacle(self) -> None:
        periodic_task(name="Check all task monitoring rules", kwargs='{"rules": ["x"]}').save()

        row, is_new = install(5)

        assert is_new
        assert row.name != "Check all task monitoring rules"


class TestTheNames:
    @pytest.mark.parametrize("name", OURS)
    def test_are_registered_with_celery(self, name: str) -> None:
        assert name in current_app.tasks

    @pytest.mark.process
    def test_are_registered_without_a_worker(self) -> None:
        # Another process, because this one has imported more than a host's web server does.
        script = (
            "import django; django.setup(); from celery import current_app; "
            "print(*sorted(current_app.tasks))"
        )
        output = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout

        assert set(OURS) <= set(output.split())

    def test_stand_in_the_dropdown_of_the_admin(self) -> None:
        choices = [value for value, _ in TaskSelectWidget().tasks_as_choices()]

        assert set(OURS) <= set(choices)


def test_the_command_says_what_it_did_with_a_taken_name(db: None) -> None:
    periodic_task(name="Check all task monitoring rules", kwargs='{"rules": ["x"]}').save()
    output = StringIO()

    call_command("monitor", "install-schedules", stdout=output)

    assert "created" in output.getvalue()
