"""The provider is refused outside debug mode."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error


def check_debug(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse a production site that has the development provider in it."""
    if apps.get_app_config("provider").debug:  # type: ignore[attr-defined]
        return []
    return [
        Error(
            "example_site.provider is in INSTALLED_APPS while DEBUG is False: it signs anybody "
            "in as anybody, without a password.",
            hint="Remove it from INSTALLED_APPS, and name a real provider in "
            "OPENID_SSO_SERVER_URL.",
            id="provider.E001",
        )
    ]
