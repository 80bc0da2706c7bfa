"""From the facts of a message to its subject, text and HTML, through django-templated-mail."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation
from templated_mail.mail import BaseEmailMessage

from monitoring.conf import get_settings
from monitoring.core.digest_text import digest_text, with_notes
from monitoring.core.messages import TIME_FACTS, plain_text
from monitoring.core.texts import one_line

logger = logging.getLogger("monitoring.rendering")

TEMPLATE = "emails/task_status_alert.html"
DIGEST_TEMPLATE = "emails/task_status_digest.html"
"""For facts that hold `tasks`: one mail about many of them."""

_TIMES_OF_ITEMS = {"tasks": "opened_at", "dependent_states": "since"}
"""Lists among the facts, and the point in time that each of their items may hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """A rendered message; `html_body` is empty if the template could not be used."""

    subject: str
    text_body: str
    html_body: str


def render(facts: Mapping[str, Any], alert_event_id: int | None) -> Mail:
    """Render one message; never raises and never returns an empty text.

    A host's template may be broken or lack the parts: the subject and the plain text of the
    product then stand in, because an alert must not be lost to a template.
    """
    context = template_context(facts, alert_event_id)
    is_digest = "tasks" in facts
    template = DIGEST_TEMPLATE if is_digest else TEMPLATE
    builtin = digest_text if is_digest else plain_text
    with mail_language(), timezone.override(UTC):
        fallback = with_notes(context, builtin(context, translation), translation)
        try:
            message = _Message(context=context, template_name=template)
            message.render_parts()
        except Exception:
            logger.exception(
                "the mail template %s failed; the plain text is sent instead", template
            )
            return Mail(subject=facts["subject"], text_body=fallback, html_body="")
    return Mail(
        subject=one_line(message.subject)[:255] or facts["subject"],
        text_body=message.body or fallback,
        html_body=message.html or "",
    )


def mail_language() -> translation.override:
    """Speak the language of mails, whatever that of the request or of the worker is.

    English if the catalogue cannot be loaded: a broken file of a host costs no alert.
    """
    language = get_settings().LANGUAGE_CODE
    try:
        with translation.override(language):
            return translation.override(language)
    except Exception:
        logger.exception("the catalogue of %s cannot be loaded; mails are in English", language)
        return translation.override(None)


class _Message(BaseEmailMessage):  # type: ignore[misc]
    """A templated mail that is only rendered here and composed when it is sent."""

    html: str | None

    def render_parts(self) -> None:
        self.render()
        if not (self.subject or self.body or self.html):
            # A template without the three blocks is one whole HTML page.
            self.html = get_template(self.template_name).render(self.get_context_data()).strip()

    def _attach_body(self) -> None:
        """Keep text and HTML apart; the library would make the HTML the body."""


def template_context(facts: Mapping[str, Any], alert_event_id: int | None) -> dict[str, Any]:
    """Return the variables of the mail template."""
    context = {
        **facts,
        **{name: _as_datetime(facts.get(name)) for name in TIME_FACTS},
        "site_name": get_settings().SITE_NAME,
        "event_url": event_url(alert_event_id),
    }
    for name, time in _TIMES_OF_ITEMS.items():
        if name in facts:
            context[name] = [
                {**item, time: _as_datetime(item.get(time))} for item in facts[name] or ()
            ]
    if "tasks" in context:
        context["list_url"] = list_url()
        for task in context["tasks"]:
            task["event_url"] = event_url(task.get("event_id"))
    return context


def event_url(alert_event_id: int | None) -> str:
    """Return the address of an alert event in the admin, or an empty string if there is none."""
    if alert_event_id is None:
        return ""
    return _admin_url("admin:monitoring_alertevent_change", alert_event_id)


def list_url() -> str:
    """Return the address of the alert events in the admin, or an empty string if there is none."""
    return _admin_url("admin:monitoring_alertevent_changelist")


def _admin_url(name: str, *args: int) -> str:
    base = get_settings().BASE_URL
    if not base:
        return ""
    try:
        path = reverse(name, args=args)
    except NoReverseMatch:  # a host without the admin
        return ""
    return base.rstrip("/") + path


def _as_datetime(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value).astimezone(UTC) if value else None
