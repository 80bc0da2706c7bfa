"""Naming a context model is reading it: only models that the editor may view, and no telling
which others exist."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from monitoring.models import MonitorRule
from tests.admin.conftest import client_of, staff
from tests.admin.data import url
from tests.admin.test_rule_form import ADD, errors, form
from tests.factories import rule

pytestmark = [pytest.mark.django_db, pytest.mark.any_database, pytest.mark.matrix]

EDITOR = ("add_monitorrule", "change_monitorrule", "view_monitorrule")
SESSION = {"context_model": "gap.IngestorSession", "context_type": "Hourly Tomorrow.io"}


def editor(*codenames: str) -> Client:
    """Log in somebody who edits rules and may view these models."""
    user = staff(f"editor-{'-'.join(codenames)}", *EDITOR)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return client_of(user)


def saves(client: Client, address: str = ADD, **fields: Any) -> bool:
    response = client.post(address, form(**fields))
    if response.status_code == 200:
        print(response.context["adminform"].form.errors)
    return response.status_code == 302


@pytest.mark.parametrize(
    "name", ["gap.IngestorSession", "gap.models.IngestorSession", "gap.ingestorsession"]
)
def test_who_may_view_a_model_may_name_it(name: str) -> None:
    assert saves(editor("view_ingestorsession"), **(SESSION | {"context_model": name}))
    assert MonitorRule.objects.get().context_model == name


def test_permission_to_change_a_model_is_not_permission_to_view_it() -> None:
    assert not saves(editor("change_ingestorsession"), **SESSION)


def test_superusers_may_name_every_model(root: Client) -> None:
    assert saves(root, **SESSION)


@pytest.mark.parametrize(
    "listed", ["gap.IngestorSession", "GAP.INGESTORSESSION", "gap.models.IngestorSession"]
)
def test_a_model_that_the_settings_list_may_be_named_by_every_editor(
    settings: Any, listed: str
) -> None:
    settings.MONITORING = {"CONTEXT_MODELS": [listed]}

    assert saves(editor(), **SESSION)


def test_a_model_out_of_bounds_is_answered_like_one_that_does_not_exist() -> None:
    client = editor()
    answers = {
        name: errors(client, context_model=name, context_field="x", context_type="x")
        for name in ("auth.User", "auth.Usex", "gap.IngestorSession", "nowhere.Nothing", "gap.Nope")
    }

    for name, answer in answers.items():
        assert answer == {"context_model": [f'"{name}" is not an installed model']}


def test_near_names_are_taken_from_models_the_editor_may_use() -> None:
    misspelt = {"context_model": "gap.IngestorSesion", "context_type": "x"}

    (answer,) = errors(editor("view_ingestorsession"), **misspelt)["context_model"]
    assert answer == (
        '"gap.IngestorSesion" is not an installed model (did you mean "gap.IngestorSession"?)'
    )
    (answer,) = errors(editor(), **misspelt)["context_model"]
    assert answer == '"gap.IngestorSesion" is not an installed model'


def test_a_field_that_is_not_there_is_named_at_the_field() -> None:
    found = errors(editor("view_ingestorsession"), **SESSION, context_field="ingestortype")

    assert found == {
        "context_field": [
            'gap.IngestorSession has no field "ingestortype" (did you mean "ingestor_type"?)'
        ]
    }


def test_a_model_without_a_default_field_needs_one() -> None:
    (answer,) = errors(editor("view_source"), context_model="gap.Source", context_type="x")[
        "context_field"
    ]

    assert answer.startswith('context_field is needed for "gap.Source"')


@pytest.mark.parametrize("field", ["source__kind", "source__nothing", "source__kind__x"])
def test_a_path_into_a_model_out_of_bounds_is_refused_before_it_is_looked_at(field: str) -> None:
    shipment = {"context_model": "gap.Shipment", "context_type": "x", "context_field": field}

    assert errors(editor("view_shipment"), **shipment) == {
        "context_field": [f'"{field}" leads to a model that you may not view']
    }


@pytest.mark.parametrize("field", ["pk__kind", "source_id__kind", "source__pk__kind"])
def test_another_name_of_the_relation_leads_out_of_bounds_too(field: str) -> None:
    note = {"context_model": "gap.SourceNote", "context_type": "x", "context_field": field}

    assert errors(editor("view_sourcenote"), **note) == {
        "context_field": [f'"{field}" leads to a model that you may not view']
    }


def test_a_path_through_two_relations_is_an_error_at_the_field(root: Client) -> None:
    shipment = {"context_model": "gap.Shipment", "context_type": "x"}

    assert errors(root, **shipment, context_field="source__region__name") == {
        "context_field": [
            'context_field "source__region__name" of gap.Shipment goes through more than one '
            "relation: name a field of the model, or of a row that it points to"
        ]
    }


def test_a_model_whose_key_in_the_settings_is_wrong_is_refused(root: Client, settings: Any) -> None:
    settings.MONITORING = {"CONTEXT_KEYS": {"gap.IngestorSession": "code"}}

    (answer,) = errors(root, **SESSION)["context_field"]

    assert answer.startswith('MONITORING["CONTEXT_KEYS"]["gap.IngestorSession"] is "code"')


def test_a_path_into_a_model_that_one_may_view_is_fine() -> None:
    shipment = {"context_model": "gap.Shipment", "context_type": "x"}

    assert saves(editor("view_shipment", "view_source"), **shipment, context_field="source__kind")


@pytest.mark.parametrize(
    "field", ["a b", "%s", "__", "ingestor_type__contains", "ingestor_type__x", "\\", "pk__"]
)
def test_a_field_path_that_is_junk_is_an_error_at_the_field(root: Client, field: str) -> None:
    found = errors(root, **SESSION, context_field=field)

    assert list(found) == ["context_field"]
    assert len(found["context_field"]) == 1


@pytest.mark.parametrize(
    "name", ["User", "a.b.c.d", "auth.", ".User", "auth..User", "auth User", "a" * 200 + ".B"]
)
def test_a_model_name_that_is_junk_is_one_error_at_the_model(root: Client, name: str) -> None:
    found = errors(root, context_model=name, context_type="x")

    assert list(found) == ["context_model"]
    assert len(found["context_model"]) == 1


@pytest.mark.parametrize(
    "half", [{"context_model": "gap.Source"}, {"context_type": "x"}, {"context_field": "kind"}]
)
def test_half_a_context_is_one_error(root: Client, half: dict[str, str]) -> None:
    found = errors(root, **half)

    assert list(found) == ["context_model"]
    assert len(found["context_model"]) == 1


class TestStoredContext:
    """Somebody else pointed the rule at a model that this editor may not view."""

    STORED = SESSION | {"context_field": "ingestor_type"}

    def address(self) -> str:
        row = rule("hourly_data_sync", name="Data is synchronised", **self.STORED)
        return url(MonitorRule, "change", row.pk)

    def test_everything_else_may_be_changed(self) -> None:
        assert saves(editor(), self.address(), **self.STORED, lookback_hours="3")
        assert MonitorRule.objects.get().lookback_hours == 3

    def test_it_may_be_taken_off(self) -> None:
        assert saves(editor(), self.address())
        assert MonitorRule.objects.get().context_model == ""

    @pytest.mark.parametrize(
        "change",
        [
            {"context_type": "Daily"},
            {"context_field": "id"},
            {"context_model": "gap.models.IngestorSession"},
            {"context_model": "gap.CollectorSession"},
        ],
    )
    def test_it_may_not_be_pointed_at_other_rows_of_it(self, change: dict[str, str]) -> None:
        found = errors(editor(), self.address(), **(self.STORED | change))

        assert list(found) == ["context_model"]
        assert "is not an installed model" in found["context_model"][0]
