"""Monitoring of Celery tasks, kept in Django models and edited in the Django admin."""
