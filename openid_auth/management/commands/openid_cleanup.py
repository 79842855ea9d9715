"""``manage.py openid_cleanup``: forget nonces and associations that are over."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from openid_auth.store import DatabaseStore


class Command(BaseCommand):
    help = "Delete OpenID nonces and associations that can no longer be used. Run it daily."

    def handle(self, *args: Any, **options: Any) -> None:
        nonces, associations = DatabaseStore().cleanup()[:2]
        self.stdout.write(f"Deleted {nonces} nonces and {associations} associations.")
