from django.apps import AppConfig


class GapConfig(AppConfig):
    name = "tests.gap"
    label = "gap"
    default_auto_field = "django.db.models.BigAutoField"
