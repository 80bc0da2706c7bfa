import django.utils.timezone
from django.db import migrations, models

import monitoring.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0007_percentile_rules"),
    ]

    operations = [
        migrations.CreateModel(
            name="Channel",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    monitoring.models.fields.ExactCharField(
                        help_text="Names it in rules and files; it cannot be changed later.",
                        max_length=100,
                        unique=True,
                        verbose_name="name",
                    ),
                ),
                (
                    "enabled",
                    models.BooleanField(
                        default=True,
                        help_text="Without it, superusers get what the channel would have got.",
                        verbose_name="enabled",
                    ),
                ),
                (
                    "scheme",
                    models.CharField(
                        blank=True,
                        editable=False,
                        max_length=32,
                        verbose_name="kind of service",
                    ),
                ),
                (
                    "encrypted_url",
                    models.TextField(
                        blank=True,
                        editable=False,
                        serialize=False,
                        verbose_name="encrypted address",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        editable=False,
                        verbose_name="created at",
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(auto_now=True, verbose_name="updated at"),
                ),
            ],
            options={
                "verbose_name": "channel",
                "verbose_name_plural": "channels",
                "ordering": ("name",),
            },
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(("name", ""), _negated=True),
                name="monitoring_channel_has_name",
            ),
        ),
        # Names, like the other lists of a rule: no rule names a channel yet.
        migrations.AddField(
            model_name="monitorrule",
            name="channels",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Names of channels that are told too.",
                verbose_name="channels",
            ),
        ),
        # What is owed already goes by mail.
        migrations.AddField(
            model_name="notification",
            name="channel",
            field=monitoring.models.fields.ExactCharField(
                blank=True,
                default="",
                help_text="The channel that the recipient is; empty: it is a mail address.",
                max_length=100,
                verbose_name="channel",
            ),
        ),
    ]
