"""Addresses for outside services; the admin's are the admin site's."""

from django.urls import path

from monitoring.views import health

app_name = "monitoring"
urlpatterns = [path("health/", health, name="health")]
