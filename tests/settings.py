"""The project's test settings plus apps as hosts have them: context models and task logs."""

from config.settings.test import *  # noqa: F403
from config.settings.test import DATABASES as _PROJECT_DATABASES
from config.settings.test import INSTALLED_APPS as _PROJECT_APPS

INSTALLED_APPS = [*_PROJECT_APPS, "django_celery_results", "tests.gap", "tests.hostlogs"]
# For a task log that lives elsewhere. Made of the models as they are: migrations take a while.
DATABASES = _PROJECT_DATABASES | {
    "second": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "TEST": {"MIGRATE": False},
    }
}
