"""The Django app."""

from django.apps import AppConfig


class StormDjangoConfig(AppConfig):
    """Registers the checks."""

    name = "storm_django"
    verbose_name = "Storm"

    def ready(self) -> None:
        from storm_django import checks  # noqa: F401
