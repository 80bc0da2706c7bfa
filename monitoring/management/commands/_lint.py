"""What the command prints of odd rules: a line for the warning, and one for the fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from monitoring.linting import Finding, label_of


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    for one in findings:
        yield f"  warning  {_label(one)}: {one.message} [{one.id}]"
        yield f"           {one.fix}"


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "severity": one.severity,
            "rule": one.rule.name,
            "task_name": one.rule.task_name,
            "message": one.message,
            "fix": one.fix,
        }
        for one in findings
    ]


def _label(finding: Finding) -> str:
    rule = finding.rule
    # One that is only about to be imported has no primary key yet.
    return f'rule "{rule.name}"' if rule.name else label_of(rule)
