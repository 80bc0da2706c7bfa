from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0004_worker_heartbeats"),
    ]

    operations = [
        # The list of alert events with one verdict, the newest first.
        migrations.AddIndex(
            model_name="alertevent",
            index=models.Index(
                fields=["verdict", "opened_at"], name="monitoring_event_verdict_list"
            ),
        ),
        # The list of alert events that ended in one way, the newest first.
        migrations.AddIndex(
            model_name="alertevent",
            index=models.Index(
                fields=["resolution", "opened_at"], name="monitoring_event_resolution"
            ),
        ),
        # The list of notifications of one kind, the newest first.
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(fields=["kind", "id"], name="monitoring_message_kind_list"),
        ),
    ]
