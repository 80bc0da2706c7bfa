"""Identity of what is watched, from one check to the next.

The key changes when the rule is pointed at another task or context: what was counted or opened
for the old target then says nothing about the new one.
"""

from __future__ import annotations

import hashlib

from monitoring.core.values import ContextFilter

BEAT = "beat"
"""Of the event and the state of beat itself, which is watched without a rule."""


def rule_key(rule_id: int, task_name: str, context: ContextFilter | None) -> str:
    """Return the key of a stored rule; it starts with `rule:<primary key>:`."""
    return f"rule:{rule_id}:{_digest(task_name, *_context_parts(context))}"


def argument_key(periodic_task: str, task_name: str, context: ContextFilter | None) -> str:
    """Return the key of one entry of the JSON arguments of one periodic task."""
    return f"args:{_digest(periodic_task, task_name, *_context_parts(context))}"


def _context_parts(context: ContextFilter | None) -> tuple[str, ...]:
    return (context.model, context.field, context.type) if context else ()


def _digest(*parts: str) -> str:
    # Lengths keep ("ab", "c") and ("a", "bc") apart.
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]
