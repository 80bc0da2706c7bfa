"""Rules that watch one variant of a task, told apart by a row of another model."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.mail import EmailMultiAlternatives
from django.test import override_settings

from monitoring import contexts
from monitoring.models import AlertEvent, Notification
from tests.factories import ago, execution, rule
from tests.gap.models import (
    CollectorSession,
    Export,
    IngestorSession,
    NightSession,
    Shipment,
    Source,
    SourceNote,
)
from tests.shell.conftest import Monitor

pytestmark = pytest.mark.django_db

Mailbox = list[EmailMultiAlternatives]

HOURLY = "Hourly Tomorrow.io"
DAILY = "Daily Salient"


def entry(
    model: str = "gap.models.IngestorSession", type_: str = HOURLY, **keys: Any
) -> dict[str, Any]:
    return {
        "ingestor_session": {
            "context_model": model,
            "context_type": type_,
            "expected_statuses": ["Completed"],
            "notify_to": ["weather-team@example.com"],
            "lookback_hours": 2,
            **keys,
        }
    }


def ingested(type_: str, status: str = "Completed", **columns: Any) -> IngestorSession:
    """Store a session of a type and an execution for it."""
    session = IngestorSession.objects.create(ingestor_type=type_)
    execution("ingestor_session", status, context_id=str(session.pk), **columns)
    return session


def with_fields(**fields: str) -> Any:
    """Override the setting CONTEXT_FIELDS, with `__` for the dot of a model's label."""
    named = {label.replace("__", "."): field for label, field in fields.items()}
    return override_settings(MONITORING=django_settings.MONITORING | {"CONTEXT_FIELDS": named})


def problem(monitor: Monitor, config: dict[str, Any]) -> str:
    with pytest.raises(ValueError, match="arguments") as error:
        monitor(config)
    return str(error.value).removeprefix('arguments[0]["ingestor_session"]: ')


class TestTheFilter:
    def test_an_execution_of_the_type_counts(self, monitor: Monitor) -> None:
        ingested(HOURLY)

        assert monitor(entry())["ok"] == 1

    def test_a_failed_execution_of_the_type_alerts(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        ingested(HOURLY, "Stopped")

        monitor(entry())

        assert [mail.subject for mail in mailoutbox] == [
            "[ALERT] ingestor_session Status Check Failed"
        ]

    def test_a_newer_success_of_another_type_does_not_hide_a_failure(
        self, monitor: Monitor
    ) -> None:
        ingested(HOURLY, "Stopped", started=ago(minutes=60))
        ingested(DAILY, "Completed", started=ago(minutes=10))

        assert monitor(entry())["failures"][0]["current_status"] == "Stopped"

    def test_a_newer_failure_of_another_type_raises_no_false_alarm(self, monitor: Monitor) -> None:
        ingested(HOURLY, "Completed", started=ago(minutes=60))
        ingested(DAILY, "Stopped", started=ago(minutes=10))

        assert monitor(entry())["ok"] == 1

    def test_the_latest_of_the_type_counts(self, monitor: Monitor) -> None:
        ingested(HOURLY, "Completed", started=ago(minutes=60))
        ingested(HOURLY, "Stopped", started=ago(minutes=10))

        assert monitor(entry())["failing"] == 1

    def test_of_two_of_the_type_that_started_together_the_greater_primary_key_counts(
        self, monitor: Monitor
    ) -> None:
        ingested(HOURLY, "Stopped", started=ago(minutes=10))
        ingested(HOURLY, "Completed", started=ago(minutes=10))

        assert monitor(entry())["ok"] == 1

    def test_only_another_type_in_the_window_is_no_execution(self, monitor: Monitor) -> None:
        ingested(DAILY)

        assert monitor(entry())["failures"][0]["current_status"] == "No execution found"

    def test_one_of_the_type_before_the_window_does_not_count(self, monitor: Monitor) -> None:
        ingested(HOURLY, started=ago(hours=3))

        assert monitor(entry())["failures"][0]["verdict"] == "no_execution"

    def test_windows_of_different_length_are_kept_apart(self, monitor: Monitor) -> None:
        ingested(HOURLY, started=ago(hours=3))
        ingested(DAILY, started=ago(hours=3))
        collected = CollectorSession.objects.create(ingestor_type=HOURLY)
        execution("collector_session", context_id=str(collected.pk), started=ago(hours=3))
        collector = entry("gap.models.CollectorSession", lookback_hours=4)["ingestor_session"]

        summary = monitor({**entry(), "collector_session": collector})

        assert [one["task_name"] for one in summary["failures"]] == ["ingestor_session"]

    @pytest.mark.parametrize("other", ["hourly tomorrow.io", f"{HOURLY} ", "Hourly", ""])
    def test_the_type_is_compared_exactly(self, monitor: Monitor, other: str) -> None:
        ingested(other)

        assert monitor(entry())["failing"] == 1

    def test_another_task_with_the_same_row_is_another_task(self, monitor: Monitor) -> None:
        session = IngestorSession.objects.create(ingestor_type=HOURLY)
        execution("collector_session", context_id=str(session.pk))

        assert monitor(entry())["failing"] == 1

    def test_the_same_key_in_another_model_is_another_row(self, monitor: Monitor) -> None:
        IngestorSession.objects.create(pk=7, ingestor_type=DAILY)
        CollectorSession.objects.create(pk=7, ingestor_type=HOURLY)
        execution("ingestor_session", context_id="7")

        assert monitor(entry())["failing"] == 1
        assert monitor(entry("gap.models.CollectorSession"))["ok"] == 1

    def test_the_mail_says_which_type_is_watched(self, monitor: Monitor) -> None:
        monitor(entry())

        facts = Notification.objects.get().facts
        assert facts["context_model"] == "gap.models.IngestorSession"
        assert facts["context_type"] == HOURLY

    def test_the_alert_event_says_it_too(self, monitor: Monitor) -> None:
        monitor(entry())

        event = AlertEvent.objects.get()
        assert (event.context_model, event.context_type) == ("gap.models.IngestorSession", HOURLY)

    def test_two_types_of_one_task_are_two_rules_with_an_event_each(
        self, monitor: Monitor, old_log: None
    ) -> None:
        for type_ in (HOURLY, DAILY):
            rule(
                "ingestor_session",
                name=type_,
                context_model="gap.IngestorSession",
                context_type=type_,
                notify_to=["o@example.com"],
            )

        monitor()

        assert AlertEvent.objects.open().count() == 2

    def test_a_waiting_rule_passes_over_one_of_its_type_that_runs(
        self, monitor: Monitor, old_log: None
    ) -> None:
        rule("ingestor_session", context_model="gap.IngestorSession", context_type=HOURLY)
        ingested(HOURLY, "Completed", started=ago(minutes=20))
        ingested(DAILY, "Stopped", started=ago(minutes=10))
        ingested(HOURLY, "Running", started=ago(minutes=5))

        assert monitor()["ok"] == 1

    def test_a_longest_runtime_counts_for_its_type_from_before_the_window(
        self, monitor: Monitor, old_log: None
    ) -> None:
        rule(
            "ingestor_session",
            context_model="gap.IngestorSession",
            context_type=HOURLY,
            max_runtime_minutes=30,
            notify_to=["o@example.com"],
        )
        ingested(HOURLY, "Running", started=ago(hours=5))
        ingested(DAILY, "Running", started=ago(hours=4))

        failure = monitor()["failures"][0]

        assert failure["verdict"] == "overrunning"
        assert failure["started_at"] == ago(hours=5).isoformat()


class TestHowTheModelIsNamed:
    @pytest.mark.parametrize(
        "model", ["gap.models.IngestorSession", "gap.IngestorSession", "gap.ingestorsession"]
    )
    def test_the_first_documented_model_by_name(self, monitor: Monitor, model: str) -> None:
        ingested(HOURLY)

        assert monitor(entry(model))["ok"] == 1

    @pytest.mark.parametrize("model", ["gap.models.CollectorSession", "gap.CollectorSession"])
    def test_the_second_documented_model_by_name(self, monitor: Monitor, model: str) -> None:
        session = CollectorSession.objects.create(ingestor_type=HOURLY)
        execution("ingestor_session", context_id=str(session.pk))

        assert monitor(entry(model))["ok"] == 1

    def test_a_misspelt_model_is_an_error_with_the_nearest_name(self, monitor: Monitor) -> None:
        assert problem(monitor, entry("gap.models.IngestorSesion")) == (
            'context_model "gap.models.IngestorSesion" is not an installed model '
            '(did you mean "gap.IngestorSession"?)'
        )

    def test_a_model_of_no_installed_app_is_an_error(self, monitor: Monitor) -> None:
        assert problem(monitor, entry("zzz.Qqq")) == (
            'context_model "zzz.Qqq" is not an installed model'
        )

    @pytest.mark.parametrize(
        "model", ["os.path.join", "IngestorSession", "gap.models.sub.IngestorSession", "gap."]
    )
    def test_another_path_is_refused_unread(self, monitor: Monitor, model: str) -> None:
        text = problem(monitor, entry(model))

        assert text.startswith('context_model must look like "gap.models.IngestorSession"')

    def test_a_wrong_model_opens_no_event_and_mails_nobody(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        problem(monitor, entry("gap.Nothing"))

        assert not AlertEvent.objects.exists()
        assert not mailoutbox

    def test_a_wrong_model_does_not_cost_the_others_their_check(
        self, monitor: Monitor, mailoutbox: Mailbox
    ) -> None:
        good = entry()["ingestor_session"]

        with pytest.raises(ValueError, match="is not an installed model"):
            monitor({**entry("gap.Nothing"), "second": good})

        assert [mail.subject for mail in mailoutbox] == ["[ALERT] second Has Not Executed"]

    @pytest.mark.parametrize(
        ("keys", "complaint"),
        [
            (
                {"context_type": None},
                "context_model is given without context_type: set both or neither",
            ),
            (
                {"context_model": None},
                "context_type is given without context_model: set both or neither",
            ),
            ({"context_type": 7}, "context_type must be a text of up to 255 characters, got 7"),
        ],
    )
    def test_half_a_filter_is_an_error(
        self, monitor: Monitor, keys: dict[str, Any], complaint: str
    ) -> None:
        assert problem(monitor, entry(**keys)) == complaint


class TestTheField:
    def test_a_model_without_a_known_field_needs_one(self, monitor: Monitor) -> None:
        assert problem(monitor, entry("gap.models.Export")) == (
            'context_field is needed for "gap.models.Export": name it in the rule or in '
            'MONITORING["CONTEXT_FIELDS"]["gap.Export"]'
        )

    def test_the_setting_names_it(self, monitor: Monitor) -> None:
        row = Export.objects.create(layout="wide")
        execution("ingestor_session", context_id=str(row.pk))

        with with_fields(gap__Export="layout"):
            assert monitor(entry("gap.models.Export", "wide"))["ok"] == 1

    def test_the_label_in_the_setting_may_have_any_case(self, monitor: Monitor) -> None:
        row = Export.objects.create(layout="wide")
        execution("ingestor_session", context_id=str(row.pk))

        with with_fields(GAP__export="layout"):
            assert monitor(entry("gap.models.Export", "wide"))["ok"] == 1

    def test_the_setting_may_name_another_one_for_a_documented_model(
        self, monitor: Monitor
    ) -> None:
        session = IngestorSession.objects.create(ingestor_type=DAILY)
        execution("ingestor_session", context_id=str(session.pk))

        with with_fields(gap__IngestorSession="id"):
            assert monitor(entry(type_=str(session.pk)))["ok"] == 1

    def test_a_stored_rule_names_its_own(self, monitor: Monitor, old_log: None) -> None:
        row = Export.objects.create(layout="wide")
        execution("export", context_id=str(row.pk))
        rule("export", context_model="gap.Export", context_field="layout", context_type="wide")

        assert monitor()["ok"] == 1

    def test_an_unknown_field_is_an_error_with_the_nearest_name(self, monitor: Monitor) -> None:
        with with_fields(gap__Export="layuot"):
            text = problem(monitor, entry("gap.models.Export", "wide"))

        assert text == 'gap.Export has no field "layuot" (did you mean "layout"?)'

    def test_a_field_of_a_related_row(self, monitor: Monitor) -> None:
        source = Source.objects.create(kind="satellite")
        Shipment.objects.create(code="A-1", source=source)
        execution("ingestor_session", context_id="A-1")

        with with_fields(gap__Shipment="source__kind"):
            assert monitor(entry("gap.Shipment", "satellite"))["ok"] == 1

    def test_an_unknown_field_of_a_related_row_is_an_error(self, monitor: Monitor) -> None:
        with with_fields(gap__Shipment="source__knid"):
            text = problem(monitor, entry("gap.Shipment", "satellite"))

        assert text.startswith('gap.Shipment has no field "source__knid"')

    def test_a_row_without_a_related_row_has_no_type(self, monitor: Monitor) -> None:
        Shipment.objects.create(code="A-1", source=None)
        execution("ingestor_session", context_id="A-1")

        with with_fields(gap__Shipment="source__kind"):
            assert monitor(entry("gap.Shipment", "None"))["failing"] == 1

    def test_a_value_that_is_no_text_is_compared_as_one(self, monitor: Monitor) -> None:
        source = Source.objects.create(kind="satellite")
        Shipment.objects.create(code="A-1", source=source)
        execution("ingestor_session", context_id="A-1")

        with with_fields(gap__Shipment="source"):
            assert monitor(entry("gap.Shipment", str(source.pk)))["ok"] == 1


class TestTheKey:
    @pytest.mark.parametrize(
        "context_id",
        [
            "",
            " ",
            "garbage",
            "1.5",
            "-1",
            "None",
            "999999",
            str(2**63),
            str(10**200),
            "9" * 250,
            "a3bb189e-8bf9-3888-9912-ace4e6543002",
            "\U0001f600",
            "1; DROP TABLE gap_ingestorsession",
        ],
    )
    def test_one_that_points_at_no_row_does_not_match(
        self, monitor: Monitor, context_id: str
    ) -> None:
        ingested(HOURLY, started=ago(hours=5))
        execution("ingestor_session", "Completed", context_id=context_id)

        assert monitor(entry())["failures"][0]["current_status"] == "No execution found"

    def test_one_of_a_deleted_row_does_not_match(self, monitor: Monitor) -> None:
        ingested(HOURLY).delete()

        assert monitor(entry())["failing"] == 1

    def test_one_that_points_at_no_row_does_not_hide_an_older_match(self, monitor: Monitor) -> None:
        ingested(HOURLY, started=ago(minutes=60))
        execution("ingestor_session", "Stopped", context_id="garbage", started=ago(minutes=5))

        assert monitor(entry())["ok"] == 1

    @pytest.mark.parametrize("spelling", [str, lambda key: key.hex, lambda key: str(key).upper()])
    def test_a_uuid_matches_in_every_spelling(self, monitor: Monitor, spelling: Any) -> None:
        row = Export.objects.create(layout="wide")
        execution("ingestor_session", context_id=spelling(row.pk))

        with with_fields(gap__Export="layout"):
            assert monitor(entry("gap.Export", "wide"))["ok"] == 1

    @pytest.mark.parametrize("context_id", ["12", "garbage", str(uuid.UUID(int=7)), "x" * 255])
    def test_what_is_no_uuid_of_a_row_does_not_match(
        self, monitor: Monitor, context_id: str
    ) -> None:
        Export.objects.create(layout="wide")
        execution("ingestor_session", context_id=context_id)

        with with_fields(gap__Export="layout"):
            assert monitor(entry("gap.Export", "wide"))["failing"] == 1

    @pytest.mark.parametrize("context_id", ["a-1", "A-1 ", "A-2", "x" * 255])
    def test_a_text_matches_exactly(self, monitor: Monitor, context_id: str) -> None:
        Shipment.objects.create(code="A-1", source=Source.objects.create(kind="satellite"))
        execution("ingestor_session", context_id=context_id)

        with with_fields(gap__Shipment="source__kind"):
            assert monitor(entry("gap.Shipment", "satellite"))["failing"] == 1

    def test_the_key_of_a_model_that_extends_another(self, monitor: Monitor) -> None:
        night = NightSession.objects.create(ingestor_type=HOURLY)
        execution("ingestor_session", context_id=str(night.pk))

        with with_fields(gap__NightSession="ingestor_type"):
            assert monitor(entry("gap.NightSession"))["ok"] == 1

    def test_a_huge_key_of_such_a_model_does_not_match(self, monitor: Monitor) -> None:
        execution("ingestor_session", context_id=str(10**30))

        with with_fields(gap__NightSession="ingestor_type"):
            assert monitor(entry("gap.NightSession"))["failing"] == 1

    def test_a_key_that_is_a_relation_is_not_looked_up_one_by_one(
        self, monitor: Monitor, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(60):
            note = SourceNote.objects.create(source=Source.objects.create(kind="x"), tone="glad")
            execution("ingestor_session", context_id=str(note.pk))

        with with_fields(gap__SourceNote="tone"), django_assert_max_num_queries(48):
            assert monitor(entry("gap.SourceNote", "glad"))["ok"] == 1


class TestATableThatCannotBeRead:
    def test_the_rule_is_unknown(self, monitor: Monitor, old_log: None) -> None:
        execution("ingestor_session", context_id="1")

        with with_fields(gap__Vanished="ingestor_type"):
            text = problem(monitor, entry("gap.Vanished"))

        assert text.startswith("gap.Vanished cannot be read: ")
        assert "gap_vanished" in text

    def test_the_others_are_checked_and_mailed(self, monitor: Monitor, mailoutbox: Mailbox) -> None:
        execution("ingestor_session", context_id="1")
        good = entry()["ingestor_session"]

        with (
            with_fields(gap__Vanished="ingestor_type"),
            pytest.raises(ValueError, match="cannot be read"),
        ):
            monitor({**entry("gap.Vanished"), "second": good})

        assert [mail.subject for mail in mailoutbox] == ["[ALERT] second Has Not Executed"]

    def test_a_value_the_driver_refuses_makes_the_rule_unknown_too(
        self, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ingested(HOURLY)
        monkeypatch.setattr(contexts, "_as_key", lambda *_: 10**30)

        try:
            summary = monitor(entry())
        except ValueError as error:
            assert "gap.IngestorSession cannot be read: " in str(error)  # noqa: PT017
        else:
            assert summary["failing"] == 1  # a database that takes it finds no such row
