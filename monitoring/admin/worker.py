"""Workers: which are at work, and which were lost."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.admin.base import HistoryAdmin, OfOurLog, moment
from monitoring.admin.display import EMPTY, Tone, badge, code, listed
from monitoring.conf import get_settings
from monitoring.core.workers import Heartbeat, is_silent, limits
from monitoring.models import WorkerHeartbeat


@admin.register(WorkerHeartbeat)
class WorkerAdmin(OfOurLog, HistoryAdmin):
    booted = moment("booted_at", _("booted"))
    seen = moment("seen_at", _("last seen"))
    stopped = moment("stopped_at", _("stopped"))

    list_display = ("state_badge", "name", "consumed", "booted", "seen", "stopped")
    list_display_links = ("name",)
    search_fields = ("node",)
    search_help_text = _("Part of the worker's name.")
    sortable_by = ("name",)
    fieldsets = (
        (
            None,
            {"fields": (("id_of_worker", "state_badge"), "consumed", "booted", "seen", "stopped")},
        ),
    )

    @admin.display(description=_("state"))
    def state_badge(self, row: WorkerHeartbeat) -> str:
        if row.stopped_at is not None:
            return badge(_("Stopped"), Tone.QUIET)
        heartbeat = Heartbeat(row.booted_at, row.seen_at, row.stopped_at)
        silent = limits(get_settings().WORKER_SILENT_MINUTES, 0).silent
        if is_silent(heartbeat, timezone.now(), silent):
            return badge(_("Lost"), Tone.BAD)
        return badge(_("At work"), Tone.GOOD)

    @admin.display(description=_("worker"), ordering="node")
    def name(self, row: WorkerHeartbeat) -> str:
        return str(row.node)

    @admin.display(description=_("worker"))
    def id_of_worker(self, row: WorkerHeartbeat) -> str:
        return code(row.node)

    @admin.display(description=_("queues"))
    def consumed(self, row: WorkerHeartbeat) -> str:
        """Return by which names it knows what it takes tasks from, as it told last."""
        return listed(row.queues) if row.queues else EMPTY
