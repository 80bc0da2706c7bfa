"""The Celery application of this project."""

import os

from celery import Celery

# A worker started without settings must not fall back to those that print mail to the console:
# production is the default here, and it says in one sentence what it is missing.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
