"""A check in a process of its own, which tells how long it took and how large it grew.

Started by `test_scale`; the database is a JSON dictionary as in Django's settings.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any


def megabytes(what: str) -> float:
    """Return what the process has in memory now (`VmRSS`), or had at most (`VmHWM`)."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def main(database: dict[str, Any]) -> dict[str, Any]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()

    from django.db import connections
    from django.db.utils import ConnectionHandler

    connections["default"] = ConnectionHandler({"default": database})["default"]

    from tests.benchmarks import situations

    connections["default"].ensure_connection()
    before = megabytes("VmRSS")
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        report = situations.check()
        seconds.append(time.perf_counter() - began)
    return {
        "checked": report.counts["checked"],
        "first_seconds": seconds[0],
        "seconds": min(seconds[1:]),
        "megabytes_before": before,
        "megabytes_more": megabytes("VmHWM") - before,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
