from django.db import migrations, models

import monitoring.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0003_delivery_guarantees"),
    ]

    operations = [
        migrations.CreateModel(
            name="WorkerHeartbeat",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "node",
                    monitoring.models.fields.ExactCharField(
                        help_text="Its node name.",
                        max_length=255,
                        unique=True,
                        verbose_name="worker",
                    ),
                ),
                (
                    "booted_at",
                    models.DateTimeField(
                        help_text="Start of its process; what ran before that is over.",
                        verbose_name="booted at",
                    ),
                ),
                ("seen_at", models.DateTimeField(verbose_name="last seen at")),
                (
                    "stopped_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When it began to shut down in an orderly way.",
                        null=True,
                        verbose_name="stopped at",
                    ),
                ),
            ],
            options={
                "verbose_name": "worker",
                "verbose_name_plural": "workers",
                "ordering": ("node",),
            },
        ),
    ]
