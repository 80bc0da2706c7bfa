"""Near names for a misspelt one, and free ones for one that is taken."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable

from monitoring.core.wording import Text as _

_NEAR = 0.6
"""How much of two names is alike, of 1; the standard library's own cutoff."""
_AS_NEAR = 0.15
"""How much less another may be alike than the nearest: names of one module all begin alike."""


def nearest(name: str, candidates: Iterable[str], most: int = 3) -> list[str]:
    """Return up to `most` candidates that look like `name`, the nearest first; case is ignored."""
    wanted = name.casefold()
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = difflib.get_close_matches(wanted, list(by_folded), n=most, cutoff=_NEAR)
    alike = {one: difflib.SequenceMatcher(None, one, wanted).ratio() for one in found}
    return [by_folded[one] for one in found if alike[one] >= alike[found[0]] - _AS_NEAR]


def free_name(wanted: str, taken: Container[str], most: int) -> str:
    """Return a name, or the first of `name (2)`, `name (3)` … that is free.

    most: characters that it may have; what is too long is cut.
    """
    name, number = wanted[:most], 1
    while name in taken:
        number += 1
        end = f" ({number})"
        name = wanted[: most - len(end)] + end
    return name


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest candidates, or an empty string."""
    found = nearest(name, candidates)
    if not found:
        return ""
    quoted = f'"{found[0]}"'
    for item in found[1:]:
        quoted = _("{one} or {other}", one=quoted, other=f'"{item}"')
    return _(" (did you mean {names}?)", names=quoted)
