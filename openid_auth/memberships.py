"""Teams of the provider become groups and the staff flag."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group

from openid_auth.conf import conf

logger = logging.getLogger("openid_auth")


def teams_mapping() -> Mapping[str, str]:
    """Return the name of the group for each team, as the settings say."""
    if not conf.OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO:
        return conf.OPENID_LAUNCHPAD_TEAMS_MAPPING
    left_alone = conf.OPENID_LAUNCHPAD_TEAMS_MAPPING_AUTO_BLACKLIST
    names = Group.objects.exclude(name__in=left_alone).values_list("name", flat=True)
    return {name: name for name in names}


def teams_asked_for() -> tuple[str, ...]:
    """Return the teams that decide about anything on this site."""
    return tuple(
        dict.fromkeys(
            (
                *teams_mapping(),
                *conf.OPENID_LAUNCHPAD_TEAMS_REQUIRED,
                *(conf.OPENID_LAUNCHPAD_STAFF_TEAMS or ()),
            )
        )
    )


def update_groups(user: AbstractBaseUser, teams: frozenset[str]) -> None:
    """Make ``user`` a member of exactly those mapped groups whose team is in ``teams``.

    Groups that no team maps to are left alone. No group is created.
    """
    mapping = teams_mapping()
    memberships = getattr(user, "groups", None)
    if not mapping or memberships is None:
        return
    wanted = {group for team, group in mapping.items() if team in teams}
    current = set(memberships.filter(name__in=set(mapping.values())))
    missing = wanted - {group.name for group in current}
    added = list(Group.objects.filter(name__in=missing)) if missing else []
    if unknown := missing - {group.name for group in added}:
        logger.warning("OPENID_LAUNCHPAD_TEAMS_MAPPING: no such group: %s", sorted(unknown))
    if dropped := [group for group in current if group.name not in wanted]:
        memberships.remove(*dropped)
    if added:
        memberships.add(*added)


def staff_status(user: AbstractBaseUser, teams: frozenset[str]) -> bool | None:
    """Return what ``is_staff`` has to be, None to leave it as it is (always for a superuser)."""
    staff_teams = conf.OPENID_LAUNCHPAD_STAFF_TEAMS
    if staff_teams is None or getattr(user, "is_superuser", False):
        return None
    return not teams.isdisjoint(staff_teams)
