"""The three hosts with the oldest and newest releases that we support, really installed.

    nox -f tests/hosts/noxfile.py                      # everything
    nox -f tests/hosts/noxfile.py -s oldest            # three hosts, one set of releases
    nox -f tests/hosts/noxfile.py -s "newest(host='results')"

Each session has what a host has before it installs the wheel; the tests, which run where nox does,
install that by the documentation. Environments are kept in `.nox` and brought up to date.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parents[2]
HOSTS = {
    "documented": ["django-celery-beat"],
    "results": ["django-celery-beat", "django-celery-results"],
    "startproject": [],
}
"""Host to what it has besides Django and Celery."""

nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False


def interpreter(*versions: str) -> str | None:
    """Return the first of these Pythons that runs; version managers offer some that do not."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in versions:
        on_path = shutil.which(f"python{version}")
        kept = sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
        for found in [on_path, *map(str, kept)]:
            if found and runs(found):
                return found
    return None


def runs(python: str) -> bool:
    done = subprocess.run([python, "-c", "import venv"], capture_output=True, check=False)
    return done.returncode == 0


AFTER_311 = interpreter("3.14", "3.13", "3.12")


@nox.session(python=sys.executable)
@nox.parametrize("host", [*HOSTS])
def oldest(session: nox.Session, host: str) -> None:
    """Every package at the lowest release that we name."""
    check(
        session,
        host,
        "django==5.2.*",
        "celery==5.5.*",
        "django-celery-beat==2.8.*",
        "django-celery-results==2.5.*",
        "django-jsonform==2.22.*",
        "django-import-export==4.3.*",
    )


@nox.session(python=sys.executable)
@nox.parametrize("host", [*HOSTS])
def newest(session: nox.Session, host: str) -> None:
    """The Django with long-term support, everything else as new as it gets."""
    check(session, host, "django==5.2.*")


@nox.session(python=AFTER_311 or False)
@nox.parametrize("host", [*HOSTS])
def django6(session: nox.Session, host: str) -> None:
    """The newest Django, on a Python that it runs on."""
    if AFTER_311 is None:
        session.skip("Django 6.0 needs Python 3.12 or newer, and none was found")
    check(session, host, "django==6.0.*")


def check(session: nox.Session, host: str, *releases: str) -> None:
    """Install what the host has, hand its interpreter to the tests, and say what they ran with."""
    constraints = Path(session.create_tmp(), "constraints.txt").resolve()
    constraints.write_text("\n".join(releases))
    session.install("--upgrade", "-c", str(constraints), "django", "celery", *HOSTS[host])
    python = Path(session.bin, "python").absolute()
    with session.chdir(ROOT):
        session.run(
            *(sys.executable, "-m", "pytest", f"tests/hosts/test_{host}.py", "-n", "0", "-q"),
            external=True,
            env={
                "HOSTS_PYTHON": str(python),
                "HOSTS_CONSTRAINTS": str(constraints),
                "HOSTS_WHEEL": str(wheel()),
            },
        )
    session.run(str(python), "-m", "pip", "list", "--format=freeze")


@cache
def wheel() -> Path:
    """Build the wheel, once for all sessions of a run."""
    folder = ROOT / "tests" / "hosts" / ".nox" / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (built,) = folder.glob("*.whl")
    return built
