"""The modules of ``storm.tests`` that are about a vendor, or about none."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import storm.tests

OWN = {
    "storm.tests.databases.sqlite": "sqlite",
    "storm.tests.databases.postgres": "postgresql",
    "storm.tests.databases.mysql": "mysql",
    "storm.tests.store.sqlite": "sqlite",
    "storm.tests.store.postgres": "postgresql",
    "storm.tests.store.mysql": "mysql",
}
"""The modules that are about one vendor; the others run with each."""


def load_modules(vendor: str) -> Iterator[ModuleType]:
    """Import the modules, which Storm names after what they test rather than ``test_*.py``."""
    for found in pkgutil.walk_packages(storm.tests.__path__, "storm.tests."):
        if not found.ispkg and OWN.get(found.name, vendor) == vendor:
            yield import_module(found.name)
