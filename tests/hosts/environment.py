"""Environments that have the built wheel, and the pip that installs it there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An interpreter with the packages of a host, and what `pip install` of ours means there."""

    python: Path
    wheel: Path
    is_lent: bool
    """Everything but the wheel is taken from where the tests run."""
    releases: str = ""
    """Lines of a constraints file: which releases of the other packages."""

    def pip(self, *arguments: str) -> str:
        """Run pip on the environment and return what it printed."""
        constraint = self.wheel.with_name("constraints.txt")
        # By this, our name means the wheel, wherever else something of that name may be found.
        constraint.write_text(f"django-task-monitoring @ {self.wheel.as_uri()}\n{self.releases}\n")
        variables = {"PIP_CONSTRAINT": str(constraint), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        if self.is_lent and arguments[0] == "install":
            variables |= {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
        elif arguments[0] == "install":
            variables |= {"PIP_UPGRADE": "1", "PIP_UPGRADE_STRATEGY": "eager"}
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.python, *arguments],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"pip {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def folder(self) -> Path:
        return self.python.parents[1]


def lent(folder: Path, wheel: Path) -> Environment:
    """Make an environment that downloads nothing."""
    venv.create(folder, with_pip=False)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(paths["purelib"], "lent.pth").write_text("\n".join(sorted(packages)))
    return Environment(python=folder / "bin" / "python", wheel=wheel, is_lent=True)


def given(python: Path, wheel: Path, releases: str) -> Environment:
    """Use an environment that has everything a host has before it installs the wheel."""
    environment = Environment(python=python, wheel=wheel, is_lent=False, releases=releases)
    environment.pip("uninstall", "--yes", "django-task-monitoring")  # what an earlier run left
    return environment
