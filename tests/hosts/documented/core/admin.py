from django.contrib import admin

from core.models import BackgroundTask


@admin.register(BackgroundTask)
class BackgroundTaskAdmin(admin.ModelAdmin):
    list_display = ("task_name", "status", "started_at", "finished_at")
