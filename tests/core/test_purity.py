"""The core is plain Python: no framework, no clock."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import monitoring.core

ROOT = Path(__file__).parents[2]
CORE = Path(monitoring.core.__path__[0])
MODULES = sorted(CORE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(CORE.parents[1]).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


BLOCKED = ("django", "celery", "django_celery_beat", "kombu")
IMPORT_ALL_WITH_FRAMEWORKS_BLOCKED = f"""
import sys
from importlib import import_module

for name in {BLOCKED!r}:
    sys.modules[name] = None
for name in {[name_of(path) for path in MODULES]!r}:
    import_module(name)
loaded = {{name for name in sys.modules if name.startswith("monitoring")}}
outside = {{name for name in loaded if not (name + ".").startswith("monitoring.core.")}}
print(sorted(outside - {{"monitoring"}}))
"""

CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "localtime", "gmtime"}
"""Methods and functions that read a clock, whatever they are called on."""


def test_every_module_can_be_imported_without_django_and_celery() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL_WITH_FRAMEWORKS_BLOCKED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_reads_no_clock(path: Path) -> None:
    tree = ast.parse(path.read_text())

    read = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
    ]
    imported = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(name.name == "time" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    ]
    assert read + imported == []
