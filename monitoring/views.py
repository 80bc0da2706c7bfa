"""What outside services ask. Nobody is answered who does not know the token."""

from __future__ import annotations

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from monitoring import doors, exposition
from monitoring.conf import get_settings
from monitoring.health import as_dict

_AWAY = {
    "status": "failing",
    "problems": [{"name": "database", "text": "the database does not answer"}],
}


def _knows(request: HttpRequest, token: str) -> bool:
    """Say whether the request brings this token: `Authorization: Bearer TOKEN`."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bool(token) and constant_time_compare(given, token)


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Say whether the monitor is well: 200, or 503 with the reasons, as JSON.

    404 while MONITORING["HEALTH_TOKEN"] is empty, and to everybody else: that there is something
    here is nobody's business.
    """
    if not _knows(request, get_settings().HEALTH_TOKEN):
        return HttpResponseNotFound()
    try:
        found = as_dict(doors.look())
    except Error:
        found = _AWAY
    return JsonResponse(found, status=503 if found["problems"] else 200)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Tell Prometheus what the monitor sees, in the format that it asks for.

    404 while MONITORING["METRICS_TOKEN"] is empty, and to everybody else; 501 without
    prometheus-client, 503 while the database does not answer.
    """
    if not _knows(request, get_settings().METRICS_TOKEN):
        return HttpResponseNotFound()
    if not exposition.IS_INSTALLED:
        return HttpResponse(f"{exposition.MISSING}\n", content_type="text/plain", status=501)
    try:
        facts = doors.measure()
    except Error:
        text = "the database does not answer\n"
        return HttpResponse(text, content_type="text/plain", status=503)
    body, content_type = exposition.expose(facts, request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)
