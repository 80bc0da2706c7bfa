"""What an import changes, as the page shows it before one says yes."""

from __future__ import annotations

import json

from django.utils.html import format_html
from django.utils.safestring import SafeString
from import_export.resources import Diff

from monitoring.exchange.rows import FIELDS


class RuleDiff(Diff):  # type: ignore[misc]
    """What a row changes, as HTML without the library's inline styles."""

    def as_html(self) -> list[SafeString]:
        """Return a text for each field; it is empty where nothing changes."""
        return [
            self._one(field, old, new)
            for field, old, new in zip(FIELDS, self.left, self.right, strict=True)
        ]

    def _one(self, field: str, old: object, new: object) -> SafeString:
        if self.new:
            is_empty = new is None or new == "" or new == []
            return format_html("" if is_empty else "{}: <ins>{}</ins>", field, _spelt(new))
        if old == new:
            return SafeString("")
        return format_html("{}: <del>{}</del> <ins>{}</ins>", field, _spelt(old), _spelt(new))


def _spelt(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)
