"""A Django project in a folder of its own, whose commands a test runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def django_admin(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the project, whose settings are ``settings.py`` of the folder."""
    inherited = {key: value for key, value in os.environ.items() if "TEST_" not in key}
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=folder,
        env=inherited
        | {
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        }
        | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
