"""The project's test settings plus apps as hosts have them: context models and task logs."""

from config.settings.test import *  # noqa: F403
from config.settings.test import INSTALLED_APPS as _PROJECT_APPS

INSTALLED_APPS = [*_PROJECT_APPS, "django_celery_results", "tests.gap", "tests.hostlogs"]
