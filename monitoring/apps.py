from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MonitoringConfig(AppConfig):
    name = "monitoring"
    label = "monitoring"
    verbose_name = _("Task monitoring")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Imported here because they need the models, which are not loaded before this point.
        # `tasks` is imported so that django-celery-beat offers the tasks without a worker.
        from monitoring import periodic_tasks, recorder, system_checks, tasks  # noqa: F401

        recorder.connect()
        periodic_tasks.connect()
