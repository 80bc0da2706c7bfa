"""The project that runs the app: settings, URLs, Celery, the demo."""

# Importing Celery with the project makes `shared_task` bind to it in every process.
from config.celery import app as celery_app

__all__ = ["celery_app"]
