from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


class MonitoringConfig(AppConfig):
    name = "monitoring"
    label = "monitoring"
    verbose_name = _("Task monitoring")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        # Their own message, when the models are imported without them, does not say what to do.
        for needed in ("django_celery_beat", "django_jsonform"):
            if not apps.is_installed(needed):
                raise ImproperlyConfigured(
                    f'"monitoring" needs "{needed}": add it to INSTALLED_APPS.'
                )
        super().import_models()

    def ready(self) -> None:
        # Imported here because they need the models, which are not loaded before this point.
        # `tasks` is imported so that django-celery-beat offers the tasks without a worker.
        from monitoring import (
            periodic_tasks,
            recorder,
            system_checks,  # noqa: F401
            tasks,  # noqa: F401
            workers,
        )

        recorder.connect()
        workers.connect()
        periodic_tasks.connect()
