"""Addresses for outside services; the admin's are the admin site's."""

from django.urls import path

from monitoring.views import health, metrics

app_name = "monitoring"
urlpatterns = [
    path("health/", health, name="health"),
    # Without a slash at its end, as Prometheus has it everywhere.
    path("metrics", metrics, name="metrics"),
    # As people type them too: a redirect would lose the token.
    path("health", health),
    path("metrics/", metrics),
]
