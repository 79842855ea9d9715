"""The production site's secret key, kept in a file beside the code."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key


def secret_key_from_file(path: Path) -> str:
    """Return the key in *path*, having made the file with a new key if it was not there.

    Raises OSError when the file can be neither read nor made.
    """
    try:
        with open(path, "x", opener=_owner_only) as file:
            file.write(get_random_secret_key())
    except FileExistsError:
        pass
    return path.read_text().strip()


def _owner_only(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
