"""The project's test settings plus an app with context models, as a host would have one."""

from config.settings.test import *  # noqa: F403
from config.settings.test import INSTALLED_APPS as _PROJECT_APPS

INSTALLED_APPS = [*_PROJECT_APPS, "tests.gap"]
