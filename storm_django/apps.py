"""The Django app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class StormDjangoConfig(AppConfig):
    """Registers the checks, and connects the references between the ORMs."""

    name = "storm_django"
    verbose_name = "Storm"

    def ready(self) -> None:
        from storm_django import checks  # noqa: F401
        from storm_django.constraints import add_missing_after_migrate
        from storm_django.reference_sets import add_accessors

        post_migrate.connect(add_missing_after_migrate)
        add_accessors()
