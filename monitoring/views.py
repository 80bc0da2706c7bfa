"""What outside services ask. Nobody is answered who does not know the token."""

from __future__ import annotations

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from monitoring import doors
from monitoring.conf import get_settings
from monitoring.health import as_dict

_AWAY = {
    "status": "failing",
    "problems": [{"name": "database", "text": "the database does not answer"}],
}


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Say whether the monitor is well: 200, or 503 with the reasons, as JSON.

    Asked with `Authorization: Bearer TOKEN`; 404 while MONITORING["HEALTH_TOKEN"] is empty, and to
    everybody else: that there is something here is nobody's business.
    """
    token = get_settings().HEALTH_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not token or not constant_time_compare(given, token):
        return HttpResponseNotFound()
    try:
        found = as_dict(doors.look())
    except Error:
        found = _AWAY
    return JsonResponse(found, status=503 if found["problems"] else 200)
