"""Django's settings while Storm's own suite runs: the aliases come with the tests' databases."""

from typing import Any

DATABASES: dict[str, dict[str, Any]] = {"default": {}}
INSTALLED_APPS = ["storm_django", "txmiddleware"]
SECRET_KEY = "storm_suite"
USE_TZ = True
