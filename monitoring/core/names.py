"""Near names for a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from monitoring.core.wording import Text as _


def nearest(name: str, candidates: Iterable[str], most: int = 3) -> list[str]:
    """Return up to `most` candidates that look like `name`, the nearest first; case is ignored."""
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = difflib.get_close_matches(name.casefold(), list(by_folded), n=most, cutoff=0.6)
    return [by_folded[folded] for folded in found]


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest candidates, or an empty string."""
    found = nearest(name, candidates)
    if not found:
        return ""
    quoted = f'"{found[0]}"'
    for item in found[1:]:
        quoted = _("{one} or {other}", one=quoted, other=f'"{item}"')
    return _(" (did you mean {names}?)", names=quoted)
