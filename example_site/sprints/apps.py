"""Application configuration of the scheduler."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

DRIVERS = "summit-drivers"
VOLUNTEERS = "summit-volunteers"
# What drivers may do in the admin.
DRIVERS_PERMISSIONS = [
    *["view_attendance", "view_comment", "change_comment", "delete_comment"],
    *[
        f"{action}_{storm_class}"
        for action in ("view", "add", "change", "delete")
        for storm_class in ("room", "slot", "session")
    ],
]


class SprintsConfig(AppConfig):
    """The scheduler; makes the groups that mean something to it."""

    name = "example_site.sprints"
    label = "sprints"
    verbose_name = "Sprint scheduler"

    def ready(self) -> None:
        post_migrate.connect(_create_groups, sender=self)


def _create_groups(using: str, **kwargs: Any) -> None:
    from django.contrib.auth.models import Group, Permission

    groups = Group.objects.using(using)
    groups.get_or_create(name=VOLUNTEERS)
    drivers, _ = groups.get_or_create(name=DRIVERS)
    drivers.permissions.add(
        *Permission.objects.using(using).filter(
            content_type__app_label="sprints", codename__in=DRIVERS_PERMISSIONS
        )
    )
