import django.db.models.deletion
from django.db import migrations, models

import monitoring.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0002_permissions_and_notes"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeliveryWakeup",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="at")),
            ],
            options={
                "verbose_name": "delivery wake-up",
                "verbose_name_plural": "delivery wake-ups",
            },
        ),
        migrations.AddField(
            model_name="alertevent",
            name="acknowledged_until",
            field=models.DateTimeField(
                blank=True,
                help_text="When messages begin again; empty: not before it is resolved.",
                null=True,
                verbose_name="acknowledged until",
            ),
        ),
        migrations.AddField(
            model_name="alertevent",
            name="periodic_task",
            field=monitoring.models.fields.ExactCharField(
                blank=True,
                default="",
                help_text="Whose JSON arguments watch it; empty for rules.",
                max_length=200,
                verbose_name="periodic task",
            ),
        ),
        migrations.AddField(
            model_name="alertevent",
            name="upstream",
            field=models.ForeignKey(
                blank=True,
                help_text="What was failing already when this began, and this task depends on.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="monitoring.alertevent",
                verbose_name="upstream",
            ),
        ),
        migrations.AddField(
            model_name="monitorrun",
            name="identity",
            field=monitoring.models.fields.ExactCharField(
                blank=True,
                default="",
                editable=False,
                help_text="The same for two checks that were asked for the same.",
                max_length=64,
                verbose_name="identity",
            ),
        ),
        migrations.AddField(
            model_name="monitorrun",
            name="not_checked_from",
            field=models.DateTimeField(
                blank=True,
                help_text="Checks were missing from here until this one.",
                null=True,
                verbose_name="not checked from",
            ),
        ),
        migrations.AddField(
            model_name="monitorrun",
            name="task_id",
            field=monitoring.models.fields.ExactCharField(
                blank=True,
                default="",
                help_text="Of the message that asked for it; empty if a person did.",
                max_length=255,
                verbose_name="task id",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="digest",
            field=models.ForeignKey(
                blank=True,
                help_text="The one mail that says this together with many others.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="members",
                to="monitoring.notification",
                verbose_name="digest",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="is_digest",
            field=models.BooleanField(
                default=False,
                help_text="One mail that says many others.",
                verbose_name="is a digest",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="refused_since",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="The first of the refusals in a row by a server that could be reached.",
                null=True,
                verbose_name="refused since",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="run",
            field=models.ForeignKey(
                blank=True,
                help_text="The check that decided it.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="notifications",
                to="monitoring.monitorrun",
                verbose_name="check",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="stands_in_for",
            field=models.ForeignKey(
                blank=True,
                help_text="The message that was refused for good and goes to superusers instead.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="monitoring.notification",
                verbose_name="stands in for",
            ),
        ),
        migrations.AlterField(
            model_name="alertevent",
            name="alert_owed",
            field=models.BooleanField(
                default=False,
                help_text="Nobody has been told yet: no recipient was found, the rule is snoozed, or a task that this one depends on was failing already.",
                verbose_name="alert owed",
            ),
        ),
        migrations.AlterField(
            model_name="alertevent",
            name="resolution",
            field=models.CharField(
                blank=True,
                choices=[
                    ("recovered", "Recovered"),
                    ("rule_disabled", "Rule disabled"),
                    ("rule_deleted", "Rule deleted"),
                    ("rule_retargeted", "Rule pointed at something else"),
                    ("manual", "Resolved by hand"),
                    ("unwatched", "No longer watched"),
                ],
                default="",
                max_length=16,
                verbose_name="resolution",
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="alert_event",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: a digest, or it says that a rule cannot be checked.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notifications",
                to="monitoring.alertevent",
                verbose_name="alert event",
            ),
        ),
        migrations.AddIndex(
            model_name="monitorrun",
            index=models.Index(
                fields=["identity", "state", "started_at"], name="monitoring_run_identity"
            ),
        ),
        migrations.AddIndex(
            model_name="monitorrun",
            index=models.Index(fields=["task_id"], name="monitoring_run_task_id"),
        ),
        migrations.AddIndex(
            model_name="rulestate",
            index=models.Index(fields=["task_name"], name="monitoring_state_task"),
        ),
        migrations.AddConstraint(
            model_name="deliverywakeup",
            constraint=models.CheckConstraint(
                condition=models.Q(("id", 1)), name="monitoring_one_delivery_wakeup"
            ),
        ),
    ]
