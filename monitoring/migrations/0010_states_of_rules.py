from __future__ import annotations

import hashlib
from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Cast, StrIndex, Substr


def name_the_rules(apps: Any, schema_editor: Any) -> None:
    """Write down what the key of a state, `rule:<primary key>:<digest>`, has said until now.

    The digest is that of the task alone, unless there is a context filter.
    """
    states = apps.get_model("monitoring", "RuleState").objects.using(schema_editor.connection.alias)
    rest = Substr("key", len("rule:") + 1)
    rule_pk = Cast(Substr(rest, 1, StrIndex(rest, Value(":")) - 1), models.BigIntegerField())
    of_rules = states.filter(key__startswith="rule:")
    of_rules.update(rule_id=rule_pk)
    filtered = [
        pk
        for pk, key, task_name in of_rules.values_list("pk", "key", "task_name").iterator()
        if not key.endswith(f":{_digest(task_name)}")
    ]
    for start in range(0, len(filtered), 500):
        states.filter(pk__in=filtered[start : start + 500]).update(has_context=True)


def _digest(task_name: str) -> str:
    text = f"{len(task_name)}:{task_name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Migration(migrations.Migration):
    """Say which rule a state is of, so that the database can join the two."""

    dependencies = [("monitoring", "0009_executions_by_status")]

    operations = [
        migrations.AddField(
            model_name="rulestate",
            name="rule",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="states",
                to="monitoring.monitorrule",
                verbose_name="rule",
            ),
        ),
        migrations.AddField(
            model_name="rulestate",
            name="has_context",
            field=models.BooleanField(default=False, verbose_name="has a context filter"),
        ),
        migrations.AddIndex(
            model_name="rulestate",
            index=models.Index(fields=["verdict"], name="monitoring_state_verdict"),
        ),
        migrations.RunPython(name_the_rules, migrations.RunPython.noop, elidable=True),
    ]
