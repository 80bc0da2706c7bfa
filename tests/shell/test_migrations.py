"""What a migration makes of rows that were there before."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from monitoring.core.keys import BEAT, argument_key
from monitoring.models import MonitorRule, RuleState
from monitoring.rule_rows import key_of
from tests.factories import rule

pytestmark = pytest.mark.django_db


def test_a_state_gets_the_rule_that_its_key_has_named() -> None:
    plain, gone = rule("sync"), rule("gone")
    filtered = rule("files", context_model="gap.IngestorSession", context_type="files")
    retargeted = rule("plain now", context_model="gap.IngestorSession", context_type="files")
    for row in (plain, filtered, gone, retargeted):
        RuleState.objects.create(key=key_of(row), task_name=row.task_name)
    MonitorRule.objects.filter(pk=retargeted.pk).update(context_model="", context_type="")
    for key in (BEAT, argument_key("periodic", "sync", None)):
        RuleState.objects.create(key=key, task_name="sync")
    pk_of_gone = gone.pk
    gone.delete()

    migration = import_module("monitoring.migrations.0010_states_of_rules")
    migration.name_the_rules(apps, SimpleNamespace(connection=connection))

    found = RuleState.objects.order_by("pk").values_list("rule", "has_context")
    assert list(found) == [
        (plain.pk, False),
        (filtered.pk, True),
        (pk_of_gone, False),
        (retargeted.pk, True),
        (None, False),
        (None, False),
    ]
