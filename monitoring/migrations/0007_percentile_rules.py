from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0006_worker_queues"),
    ]

    operations = [
        # Made anew below, with the two verdicts that these fields lead to.
        migrations.RemoveConstraint(
            model_name="alertevent",
            name="monitoring_event_verdict",
        ),
        migrations.AddField(
            model_name="monitorrule",
            name="max_duration_factor",
            field=models.FloatField(
                blank=True,
                help_text="How many times its own 95th percentile an execution may take; empty: any.",
                null=True,
                verbose_name="duration factor",
            ),
        ),
        migrations.AddField(
            model_name="monitorrule",
            name="min_success_rate",
            field=models.FloatField(
                blank=True,
                help_text="Share of the window's finished executions that must end as expected.",
                null=True,
                verbose_name="lowest success rate in percent",
            ),
        ),
        migrations.AlterField(
            model_name="alertevent",
            name="verdict",
            field=models.CharField(
                choices=[
                    ("ok", "OK"),
                    ("status_mismatch", "Status mismatch"),
                    ("no_execution", "No execution"),
                    ("overrunning", "Overrunning"),
                    ("slow", "Slow"),
                    ("low_success_rate", "Low success rate"),
                    ("unknown", "Unknown"),
                    ("in_progress", "In progress"),
                ],
                max_length=16,
                verbose_name="verdict",
            ),
        ),
        migrations.AlterField(
            model_name="rulestate",
            name="verdict",
            field=models.CharField(
                blank=True,
                choices=[
                    ("ok", "OK"),
                    ("status_mismatch", "Status mismatch"),
                    ("no_execution", "No execution"),
                    ("overrunning", "Overrunning"),
                    ("slow", "Slow"),
                    ("low_success_rate", "Low success rate"),
                    ("unknown", "Unknown"),
                    ("in_progress", "In progress"),
                ],
                default="",
                max_length=16,
                verbose_name="verdict",
            ),
        ),
        migrations.AddConstraint(
            model_name="alertevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "verdict__in",
                        [
                            "ok",
                            "status_mismatch",
                            "no_execution",
                            "overrunning",
                            "slow",
                            "low_success_rate",
                            "unknown",
                            "in_progress",
                        ],
                    )
                ),
                name="monitoring_event_verdict",
            ),
        ),
        migrations.AddConstraint(
            model_name="monitorrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("max_duration_factor__isnull", True),
                    ("max_duration_factor__range", (1, 1000)),
                    _connector="OR",
                ),
                name="monitoring_rule_duration_factor",
            ),
        ),
        migrations.AddConstraint(
            model_name="monitorrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("min_success_rate__isnull", True),
                    ("min_success_rate__range", (1, 100)),
                    _connector="OR",
                ),
                name="monitoring_rule_success_rate",
            ),
        ),
    ]
