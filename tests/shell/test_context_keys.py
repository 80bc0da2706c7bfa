"""Context rows of any model: found by a unique field, typed by a row they point to, elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from monitoring.contexts import ContextError, key_field, setting_problems, types_of
from monitoring.models import AlertEvent
from tests.factories import ago, execution, rule
from tests.gap.models import (
    Export,
    IngestorSession,
    Reading,
    Region,
    Shipment,
    Source,
    SourceNote,
    Station,
)
from tests.shell.conftest import Monitor
from tests.shell.test_contexts import entry, problem

pytestmark = pytest.mark.django_db


def with_settings(**settings: Any) -> Any:
    return override_settings(MONITORING=django_settings.MONITORING | settings)


def with_key(field: str, model: str = "gap.Station", type_field: str = "grade") -> Any:
    """Let the rows of a model be found by a field."""
    return with_settings(CONTEXT_KEYS={model: field}, CONTEXT_FIELDS={model: type_field})


def station(code: str = "A-1", grade: str = "fine", **columns: Any) -> Station:
    return Station.objects.create(code=code, grade=grade, **({"callsign": code} | columns))


def watched(context_id: object, status: str = "Completed", **columns: Any) -> None:
    execution("ingestor_session", status, context_id=str(context_id), **columns)


STATION = entry("gap.Station", "fine")


class TestAUniqueField:
    def test_finds_the_row(self, monitor: Monitor) -> None:
        station()
        watched("A-1")

        with with_key("code"):
            assert monitor(STATION)["ok"] == 1

    def test_the_primary_key_finds_it_no_more(self, monitor: Monitor) -> None:
        watched(station().pk)

        with with_key("code"):
            assert monitor(STATION)["failures"][0]["verdict"] == "no_execution"

    def test_another_type_with_another_code_is_passed_over(self, monitor: Monitor) -> None:
        station("A-1", "fine")
        station("B-2", "coarse")
        watched("A-1", "Stopped", started=ago(minutes=60))
        watched("B-2", started=ago(minutes=10))

        with with_key("code"):
            assert monitor(STATION)["failures"][0]["current_status"] == "Stopped"

    @pytest.mark.parametrize(
        "label", ["gap.Station", "GAP.STATION", "gap.station", "gap.models.Station"]
    )
    def test_the_label_in_the_setting_may_be_spelt_like_that_of_a_rule(
        self, monitor: Monitor, label: str
    ) -> None:
        station()
        watched("A-1")

        with with_key("code", label):
            assert monitor(STATION)["ok"] == 1

    @pytest.mark.parametrize("context_id", ["a-1", "A-1 ", " A-1", "A-2", "x" * 255, "\U0001f600"])
    def test_a_text_matches_exactly(self, monitor: Monitor, context_id: str) -> None:
        station()
        watched(context_id)

        with with_key("code"):
            assert monitor(STATION)["failing"] == 1

    @pytest.mark.parametrize("spelling", [str, lambda key: key.hex, lambda key: str(key).upper()])
    def test_a_uuid_matches_in_every_spelling(self, monitor: Monitor, spelling: Any) -> None:
        watched(spelling(station().serial))

        with with_key("serial"):
            assert monitor(STATION)["ok"] == 1

    @pytest.mark.parametrize("context_id", ["7", "007", " 7"])
    def test_an_integer_matches_in_every_spelling(self, monitor: Monitor, context_id: str) -> None:
        station(number=7)
        watched(context_id)

        with with_key("number"):
            assert monitor(STATION)["ok"] == 1

    @pytest.mark.parametrize("context_id", ["7.0", "7x", "", str(2**31), str(10**200), "None"])
    def test_what_is_no_integer_of_a_row_does_not_match(
        self, monitor: Monitor, context_id: str
    ) -> None:
        station(number=7)
        station("B-2", number=None)
        watched(context_id)

        with with_key("number"):
            assert monitor(STATION)["failing"] == 1

    def test_garbage_beside_it_costs_a_row_nothing(self, monitor: Monitor) -> None:
        station()
        watched("A-1", started=ago(minutes=60))
        for context_id in ("x" * 255, "\U0001f600", "' OR 1=1 --", "%s", "\\"):
            watched(context_id, "Stopped")

        with with_key("code"):
            assert monitor(STATION)["ok"] == 1

    def test_may_be_a_relation_to_one_row(self, monitor: Monitor) -> None:
        source = Source.objects.create(kind="satellite")
        station(source=source)
        watched(source.pk)

        with with_key("source"):
            assert monitor(STATION)["ok"] == 1

    def test_may_be_unique_by_a_constraint_of_its_own(self, monitor: Monitor) -> None:
        station(callsign="zulu")
        watched("zulu")

        with with_key("callsign"):
            assert monitor(STATION)["ok"] == 1

    def test_may_be_named_as_the_primary_key(self, monitor: Monitor) -> None:
        watched(station().pk)

        with with_key("pk"):
            assert monitor(STATION)["ok"] == 1

    def test_stands_in_for_a_primary_key_of_several_columns(self, monitor: Monitor) -> None:
        Reading.objects.create(series=1, position=2, code="R-1", quality="fine")
        watched("R-1")

        with with_key("code", "gap.Reading", "quality"):
            assert monitor(entry("gap.Reading", "fine"))["ok"] == 1


class TestAKeyThatCannotBeUsed:
    @pytest.mark.parametrize(
        ("field", "complaint"),
        [
            ("cdoe", 'is "cdoe", which is no field of the model (did you mean "code"?)'),
            ("kind__kind", 'is "kind__kind", which is no field of the model'),
            ("x y", 'is "x y", which is no field of the model'),
            ("slot", 'is "slot", which is not unique: one context id could mean several rows'),
            ("grade", 'is "grade", which is not unique: one context id could mean several rows'),
        ],
    )
    def test_makes_an_entry_unknown_with_the_reason(
        self, monitor: Monitor, mailoutbox: list[EmailMultiAlternatives], field: str, complaint: str
    ) -> None:
        watched(station().pk)

        with with_key(field):
            assert problem(monitor, STATION) == (
                f'MONITORING["CONTEXT_KEYS"]["gap.Station"] {complaint}'
            )
        assert not AlertEvent.objects.exists()
        assert not mailoutbox

    def test_a_relation_from_elsewhere_is_no_column(self, monitor: Monitor) -> None:
        with with_key("sourcenote", "gap.Source", "kind"):
            assert problem(monitor, entry("gap.Source", "x")).startswith(
                'MONITORING["CONTEXT_KEYS"]["gap.Source"] is "sourcenote", which is not unique'
            )

    def test_makes_a_stored_rule_unknown_with_the_reason(
        self, monitor: Monitor, old_log: None
    ) -> None:
        rule(
            "ingestor_session",
            name="Stations",
            context_model="gap.Station",
            context_field="grade",
            context_type="fine",
        )

        with (
            with_key("grade"),
            pytest.raises(ValueError, match=r'^rule "Stations": .* is not unique'),
        ):
            monitor()

    def test_the_others_are_checked(self, monitor: Monitor) -> None:
        session = IngestorSession.objects.create(ingestor_type="Hourly")
        watched(session.pk)
        good = entry(type_="Hourly")["ingestor_session"] | {"expected_statuses": ["Stopped"]}
        execution("second", context_id=str(session.pk))

        with with_key("grade"), pytest.raises(ValueError, match="is not unique"):
            monitor({**STATION, "second": good})

        assert [event.task_name for event in AlertEvent.objects.all()] == ["second"]

    def test_a_primary_key_of_several_columns_needs_one(self, monitor: Monitor) -> None:
        with with_settings(CONTEXT_FIELDS={"gap.Reading": "quality"}):
            assert problem(monitor, entry("gap.Reading", "fine")) == (
                "gap.Reading has a primary key of several columns: name a unique field in "
                'MONITORING["CONTEXT_KEYS"]["gap.Reading"]'
            )

    def test_reading_types_says_it_too(self) -> None:
        with with_key("grade"), pytest.raises(ContextError, match="is not unique"):
            types_of(Station, "grade", ["1"])


class TestAPath:
    def shipped(self, context_id: str = "A-1") -> None:
        region = Region.objects.create(name="north")
        source = Source.objects.create(kind="satellite", region=region)
        Shipment.objects.create(code=context_id, source=source)
        watched(context_id)

    def check(self, monitor: Monitor, path: str, type_: str) -> dict[str, Any]:
        with with_settings(CONTEXT_FIELDS={"gap.Shipment": path}):
            return monitor(entry("gap.Shipment", type_))

    def test_through_one_relation_ends_at_a_field(self, monitor: Monitor) -> None:
        self.shipped()

        assert self.check(monitor, "source__kind", "satellite")["ok"] == 1
        assert self.check(monitor, "source__kind", "ship")["failing"] == 1

    def test_may_end_at_a_relation(self, monitor: Monitor) -> None:
        self.shipped()

        assert self.check(monitor, "source__region", str(Region.objects.get().pk))["ok"] == 1

    @pytest.mark.parametrize("path", ["source", "source_id", "source__pk", "source__id"])
    def test_may_be_the_key_of_the_related_row(self, monitor: Monitor, path: str) -> None:
        self.shipped()

        assert self.check(monitor, path, str(Source.objects.get().pk))["ok"] == 1

    def test_and_a_key_of_its_own_go_together(self, monitor: Monitor) -> None:
        station(source=Source.objects.create(kind="satellite"))
        watched("A-1")

        with with_key("code", type_field="source__kind"):
            assert monitor(entry("gap.Station", "satellite"))["ok"] == 1

    def test_may_lead_back_through_a_relation_to_one_row(self, monitor: Monitor) -> None:
        source = Source.objects.create(kind="satellite")
        SourceNote.objects.create(source=source, tone="glad")
        watched(source.pk)

        with with_settings(CONTEXT_FIELDS={"gap.Source": "sourcenote__tone"}):
            assert monitor(entry("gap.Source", "glad"))["ok"] == 1

    @pytest.mark.parametrize(
        "path", ["source__region__name", "source__region__nothing", "source__sourcenote__tone"]
    )
    def test_through_more_relations_is_an_error(self, monitor: Monitor, path: str) -> None:
        with with_settings(CONTEXT_FIELDS={"gap.Shipment": path}):
            assert problem(monitor, entry("gap.Shipment", "north")) == (
                f'context_field "{path}" of gap.Shipment goes through more than one relation: '
                "name a field of the model, or of a row that it points to"
            )

    @pytest.mark.parametrize("path", ["shipment__code", "shipment"])
    def test_to_many_rows_is_an_error(self, monitor: Monitor, path: str) -> None:
        with with_settings(CONTEXT_FIELDS={"gap.Source": path}):
            assert problem(monitor, entry("gap.Source", "A-1")) == (
                f'context_field "{path}" of gap.Source leads to many rows: name a field of one'
            )

    def test_that_is_misspelt_in_the_related_model_gets_the_nearest(self, monitor: Monitor) -> None:
        with with_settings(CONTEXT_FIELDS={"gap.Shipment": "source__knid"}):
            assert problem(monitor, entry("gap.Shipment", "satellite")) == (
                'gap.Shipment has no field "source__knid" '
                '(did you mean "source__kind" or "source__id"?)'
            )


@pytest.fixture(scope="module")
def elsewhere(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """A second database, in memory, with tables of context models."""
    connections.databases["elsewhere"] = connections.databases["default"] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {},
    }
    with django_db_blocker.unblock():
        with connections["elsewhere"].schema_editor() as editor:
            for model in (Region, Source, Station):
                editor.create_model(model)
        yield "elsewhere"
        connections["elsewhere"].close()
    del connections["elsewhere"]
    del connections.databases["elsewhere"]


class GapElsewhere:
    """Routes the app of the context models away from the log."""

    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        return "elsewhere" if model._meta.app_label == "gap" else None

    db_for_write = db_for_read


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.django_db(databases=["default", "elsewhere"])
class TestAnotherDatabase:
    @pytest.fixture(autouse=True)
    def routed(self) -> Iterator[None]:
        with override_settings(DATABASE_ROUTERS=[f"{__name__}.GapElsewhere"]):
            yield

    def test_is_read_where_the_router_says(self, monitor: Monitor) -> None:
        station(source=Source.objects.create(kind="satellite"))
        watched("A-1")
        assert Station.objects.using("elsewhere").count() == 1
        assert Station.objects.using("default").count() == 0

        with with_key("code", type_field="source__kind"):
            assert monitor(entry("gap.Station", "satellite"))["ok"] == 1
            assert monitor(entry("gap.Station", "ship"))["failing"] == 1

    def test_that_cannot_be_read_makes_the_rule_unknown(self, monitor: Monitor) -> None:
        watched("A-1")
        with connections["elsewhere"].cursor() as cursor:
            cursor.execute("DROP TABLE gap_station")

        with with_key("code"):
            assert "gap.Station cannot be read: " in problem(monitor, STATION)


class TestTheNumberOfQueries:
    def queries(self, monitor: Monitor, config: dict[str, Any]) -> int:
        with CaptureQueriesContext(connection) as captured:
            monitor(config)
        return len(captured)

    @pytest.mark.parametrize(("field", "path"), [("code", "grade"), ("code", "source__kind")])
    def test_does_not_depend_on_how_many_executions_there_are(
        self, monitor: Monitor, field: str, path: str
    ) -> None:
        counts = []
        for beginning, many in (("A", 2), ("B", 200)):
            source = Source.objects.bulk_create(Source(kind="fine") for _ in range(many))
            for number in range(many):
                code = f"{beginning}-{number}"
                station(code, source=source[number])
                watched(code)
            with with_key(field, type_field=path):
                monitor(STATION)  # the first check does more
                counts.append(self.queries(monitor, STATION))

        assert counts[0] == counts[1]

    @pytest.mark.parametrize(
        ("model", "field", "known"),
        [
            (IngestorSession, "ingestor_type", lambda: range(1, 10_001)),
            (Export, "layout", lambda: (uuid.UUID(int=number) for number in range(10_000))),
            (Shipment, "source__kind", lambda: (f"A-{number}" for number in range(10_000))),
        ],
    )
    def test_is_one_for_every_ten_thousand_ids(
        self, model: Any, field: str, known: Any, django_assert_num_queries: Any
    ) -> None:
        ids = [str(one) for one in known()]
        more = {"A-x", str(uuid.UUID(int=2**100)), "20000"}

        with django_assert_num_queries(3):  # with the savepoint round it
            assert types_of(model, field, ids) == {}
        with django_assert_num_queries(6):
            assert types_of(model, field, [*ids, *more]) == {}

    def test_is_none_when_nothing_could_be_a_key(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            assert types_of(Export, "layout", ["", "garbage", "\x00", "\ud800"]) == {}

    def test_what_no_driver_takes_is_left_out_of_texts_too(self) -> None:
        station()

        with with_key("code"):
            found = types_of(Station, "grade", ["A-1", "A\x00", "\ud800", "x" * 21])

        assert found == {"A-1": "fine"}

    def test_several_spellings_of_one_key_all_get_its_type(self) -> None:
        row = Export.objects.create(layout="wide")
        spellings = [str(row.pk), row.pk.hex, str(row.pk).upper()]

        assert types_of(Export, "layout", spellings) == dict.fromkeys(spellings, "wide")


class TestWhatTheSettingsName:
    def test_is_fine_by_default(self) -> None:
        assert list(setting_problems()) == []

    def test_is_fine_when_it_is_there(self) -> None:
        with with_settings(
            CONTEXT_FIELDS={"gap.models.Shipment": "source__kind"},
            CONTEXT_KEYS={"gap.Station": "code"},
            CONTEXT_MODELS=["gap.Station"],
        ):
            assert list(setting_problems()) == []

    def test_is_told_one_by_one_when_it_is_not(self) -> None:
        with with_settings(
            CONTEXT_FIELDS={"gap.Export": "layuot", "nowhere.Export": "layout"},
            CONTEXT_KEYS={"gap.Station": "slot", "nowhere.Qqq": "code"},
            CONTEXT_MODELS=["nowhere.Zzz"],
        ):
            assert list(setting_problems()) == [
                'MONITORING["CONTEXT_FIELDS"]: gap.Export has no field "layuot" '
                '(did you mean "layout"?)',
                'MONITORING["CONTEXT_FIELDS"]: "nowhere.Export" is not an installed model',
                'MONITORING["CONTEXT_KEYS"]["gap.Station"] is "slot", which is not unique: '
                "one context id could mean several rows",
                'MONITORING["CONTEXT_KEYS"]: "nowhere.Qqq" is not an installed model',
                'MONITORING["CONTEXT_MODELS"]: "nowhere.Zzz" is not an installed model',
            ]

    def test_the_key_of_a_model_is_its_primary_key_by_default(self) -> None:
        assert key_field(Shipment).name == "code"
