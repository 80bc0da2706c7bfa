from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add start, key and end to an index, so that a long history is read without its rows."""

    dependencies = [("monitoring", "0008_channels")]

    operations = [
        migrations.RemoveIndex(model_name="backgroundtask", name="monitoring_by_status"),
        migrations.AddIndex(
            model_name="backgroundtask",
            index=models.Index(
                fields=["status", "task_name", "started_at", "id", "finished_at"],
                name="monitoring_by_status",
            ),
        ),
    ]
