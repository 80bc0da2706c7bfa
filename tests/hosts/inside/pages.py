# Run by `manage.py shell` of a host: the pages of the admin, as a superuser sees them.
#
# Prints a line of JSON: address to status.

import json

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from monitoring.models import AlertEvent

user, _ = get_user_model().objects.get_or_create(username="root", is_staff=True, is_superuser=True)
browser = Client(SERVER_NAME="localhost")
browser.force_login(user)
addresses = ["/admin/", reverse("admin:app_list", args=["monitoring"])]
for model in apps.get_app_config("monitoring").get_models():
    if admin.site.is_registered(model):
        addresses.append(reverse(f"admin:monitoring_{model._meta.model_name}_changelist"))
addresses.append(reverse("admin:monitoring_monitorrule_add"))
addresses.append(reverse("admin:django_celery_beat_periodictask_add"))
for pk in AlertEvent.objects.values_list("pk", flat=True)[:1]:
    addresses.append(reverse("admin:monitoring_alertevent_change", args=[pk]))
print(json.dumps({address: browser.get(address).status_code for address in addresses}))
