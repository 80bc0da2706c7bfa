from django.apps import AppConfig


class HostLogsConfig(AppConfig):
    name = "tests.hostlogs"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"
